"""Backs PostgreSQL up by ActionSets, loses its data and restores it."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clusterlib import waiting
from clusterlib.errors import ClusterError
from demolib import objects
from demolib.backends import FILE_STORE, MANIFESTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from demolib.kubectl import Kubectl
    from demolib.objects import Images, Object

SAMPLE = MANIFESTS / "samples" / "actionsets"
COMPONENTS = (MANIFESTS / "kanister-crds", MANIFESTS / "actionset-controller")

# Names that the manifests give.
SHOP = "shop"
CONTROLLER = "deployment/actionset-controller"
CONTROLLER_PODS = "--selector=app.kubernetes.io/name=actionset-controller"
DATABASE = "statefulset/postgresql"
POD = "postgresql-0"
CLAIM_BLUEPRINT = "postgresql-claim"
DUMP_BLUEPRINT = "postgresql-dump"
ACTION_SETS = "actionsets.cr.kanister.io"
# Of the sample, what the CronJob needs: the demo makes the ActionSets by itself.
SCHEDULE = "backup-postgresql"

# As whom PostgreSQL runs.
POSTGRES_USER = 999

TIMEOUT_SECONDS = 180
INTERVAL_SECONDS = 0.5
COMPLETE, FAILED = "complete", "failed"

# Fresh rows in each run: nothing can come from an earlier one.
FILL = """
DROP TABLE IF EXISTS orders;
CREATE TABLE orders AS SELECT n, gen_random_uuid() AS id FROM generate_series(1, 100000) AS n;
"""
# What is not written yet would keep PostgreSQL from ending, when its files are gone.
ADD = "INSERT INTO orders VALUES (100001, gen_random_uuid()); CHECKPOINT;"
LOSE_FILES = "rm -rf /var/lib/postgresql/data/pgdata/base"
LOSE_TABLE = "DROP TABLE orders;"
LOOK = "SELECT count(*), md5(string_agg(id::text, ',' ORDER BY n)) FROM orders;"

DIFFERENT = "what was restored differs: {before} before, {after} now"
HAS_FAILED = "ActionSet {name} has failed: {message}"


def installation(rendered: Iterable[Object], images: Images, namespace: str) -> list[Object]:
    """Return the controller of ActionSets and its CRDs, for a namespace.

    Args:
        rendered: the objects of the components.
        images: what the cluster has.
        namespace: where the controller is.
    """
    found = objects.with_names(rendered, objects.names_of(images))
    for obj in found:
        if obj["kind"] != "CustomResourceDefinition":
            obj["metadata"]["namespace"] = namespace
        for subject in obj.get("subjects", []):
            subject["namespace"] = namespace
        if obj["kind"] == "Deployment" and images.build:
            annotations = obj["spec"]["template"]["metadata"].setdefault("annotations", {})
            annotations[objects.BUILD_ANNOTATION] = images.build
    return found


def application(rendered: Iterable[Object], images: Images) -> list[Object]:
    """Return the sample without its schedule and its Secrets.

    Args:
        rendered: the objects of the sample.
        images: what the cluster has.
    """
    found = [
        obj
        for obj in objects.with_names(rendered, objects.names_of(images))
        if obj["metadata"]["name"] != SCHEDULE and obj["kind"] != "Secret"
    ]
    for obj in objects.of_kind(found, "StatefulSet"):
        # The cluster makes its claim, by this template.
        for template in obj["spec"]["volumeClaimTemplates"]:
            template["metadata"]["labels"] = {objects.LABEL: objects.LABEL_VALUE}
    return found


def claims(found: Iterable[Object]) -> list[Object]:
    """Return the claims that the cluster will make for StatefulSets of one pod.

    Args:
        found: objects, the StatefulSets among them.
    """
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": f"{template['metadata']['name']}-{obj['metadata']['name']}-0",
                "namespace": obj["metadata"]["namespace"],
            },
            "spec": copy.deepcopy(template["spec"]),
        }
        for obj in objects.of_kind(found, "StatefulSet")
        for template in obj["spec"]["volumeClaimTemplates"]
    ]


def action_set(
    blueprint: str, action: str, namespace: str, artifacts: Object | None = None
) -> Object:
    """Return an ActionSet of one action, as backup.yaml of the sample is.

    Args:
        blueprint: names the Blueprint.
        action: names the action of it.
        namespace: of the ActionSet and the server.
        artifacts: what a backup has left in its status.
    """
    one = {
        "name": action,
        "blueprint": blueprint,
        "preferredVersion": "v1.0.0-alpha",
        "repositoryServer": {"name": FILE_STORE.sample, "namespace": namespace},
        "object": {"kind": "StatefulSet", "name": "postgresql", "namespace": SHOP},
        "artifacts": artifacts or {},
    }
    return {
        "apiVersion": "cr.kanister.io/v1alpha1",
        "kind": "ActionSet",
        "metadata": {"generateName": f"{action}-{blueprint}-", "namespace": namespace},
        "spec": {"actions": [one]},
    }


@dataclass(frozen=True)
class ActionSets:
    """PostgreSQL, and the ActionSets about it.

    Attributes:
        kubectl: asks the cluster.
        namespace: of the ActionSets.
    """

    kubectl: Kubectl
    namespace: str

    def wait(self) -> None:
        """Wait until PostgreSQL answers.

        Raises:
            ClusterError: it does not.
        """
        options = [f"--namespace={SHOP}", f"--timeout={TIMEOUT_SECONDS}s"]
        ready = "--for=jsonpath={.status.readyReplicas}=1"
        self.kubectl.run("wait", DATABASE, ready, *options, what="waiting for PostgreSQL")

    def sql(self, statements: str) -> str:
        """Run statements, and return what they print.

        Raises:
            ClusterError: one of them failed.
        """
        options = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
        return self._in_pod("psql", "--username=postgres", *options, text=statements).strip()

    def lose_files(self) -> None:
        """Delete the files of all tables, as a broken disk does."""
        self._in_pod("sh", "-c", LOSE_FILES)

    def compare(self, before: str) -> None:
        """Compare the rows to those that there were.

        Args:
            before: what `LOOK` printed.

        Raises:
            ClusterError: they differ.
        """
        after = self.sql(LOOK)
        if after != before:
            raise ClusterError(DIFFERENT.format(before=before, after=after))

    def begin(self, wanted: Object) -> str:
        """Create an ActionSet, and return its name.

        Raises:
            ClusterError: the cluster refuses it.
        """
        text = json.dumps(objects.labelled([wanted])[0])
        options = ["--filename=-", "--output=jsonpath={.metadata.name}"]
        return self.kubectl.run("create", *options, what="creating an ActionSet", text=text)

    def end(self, name: str) -> Object:
        """Wait until an ActionSet is complete.

        Returns:
            Its status.

        Raises:
            ClusterError: it has failed, or takes too long.
        """
        seen: Object = {}

        def is_over() -> bool:
            seen.update(self._status(name))
            return seen.get("state") in (COMPLETE, FAILED)

        waiting.until(
            is_over,
            what=f"ActionSet {name} to end",
            timeout_seconds=TIMEOUT_SECONDS,
            interval_seconds=INTERVAL_SECONDS,
        )
        if seen["state"] == FAILED:
            message = seen.get("error", {}).get("message", "")
            raise ClusterError(HAS_FAILED.format(name=name, message=message))
        return seen

    def kill_in(self, name: str, phase: str) -> None:
        """Kill all pods of the controller without notice while a phase runs.

        Raises:
            ClusterError: the phase does not begin.
        """
        waiting.until(
            lambda: self._runs(name, phase),
            what=f"phase {phase} of ActionSet {name} to run",
            timeout_seconds=TIMEOUT_SECONDS,
            interval_seconds=INTERVAL_SECONDS,
        )
        options = [CONTROLLER_PODS, f"--namespace={self.namespace}", "--force", "--grace-period=0"]
        self.kubectl.run("delete", "pods", *options, what="killing the controller")

    def _runs(self, name: str, phase: str) -> bool:
        actions = self._status(name).get("actions") or [{}]
        states = {one["name"]: one["state"] for one in actions[0].get("phases") or []}
        return states.get(phase) == "running"

    def _status(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = self.kubectl.get(ACTION_SETS, name, self.namespace).get(
            "status", {}
        )
        return status

    def _in_pod(self, *command: str, text: str | None = None) -> str:
        stdin = [] if text is None else ["--stdin"]
        options = [f"--namespace={SHOP}", *stdin, POD, "--"]
        return self.kubectl.run("exec", *options, *command, what=f"running {command[0]}", text=text)
