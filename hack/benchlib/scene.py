"""What is measured on: a cluster with the controller, a volume with repositories, and Secrets."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchlib import objects
from benchlib.exposition import Metrics
from benchlib.milestones import READY, true_conditions
from benchlib.proxy import Proxy
from clusterlib import paths, processes, waiting
from clusterlib.progress import Progress
from demolib.objects import Images, missing_secrets, of_kind, with_images
from demolib.target import OwnCluster

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from demolib.kubectl import Kubectl
    from demolib.objects import Object
    from demolib.target import Target

MANIFESTS = paths.CHECKOUT / "manifests"
SAMPLE = MANIFESTS / "samples" / "file-store"

NAMESPACE = "repository-server-bench"
IN_NAMESPACE = f"--namespace={NAMESPACE}"
CONTROLLER_NAME = "repository-server-controller"
CONTROLLER = f"deployment/{CONTROLLER_NAME}"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{CONTROLLER_NAME}"
DEFINITION = "customresourcedefinition/repositoryservers.cr.kanister.io"
KUBECTL_TIMEOUT = "--timeout=180s"

CORE = f"/api/v1/namespaces/{NAMESPACE}"
PODS = f"{CORE}/pods"
SECRETS = f"{CORE}/secrets"
APPS = f"/apis/apps/v1/namespaces/{NAMESPACE}"
REPLICA_SETS = f"{APPS}/replicasets"
DEPLOYMENT = f"{APPS}/deployments/{CONTROLLER_NAME}"
SERVERS = f"/apis/cr.kanister.io/v1alpha1/namespaces/{NAMESPACE}/repositoryservers"

STEPS = 3
PASSWORD_BYTES = 24
GONE_TIMEOUT_SECONDS = 300.0
SCALED_TIMEOUT_SECONDS = 120.0

# All begin as copies of one that is empty: making a repository takes a second, a copy none.
MAKE_REPOSITORIES = """\
cd /data/backups 2>/dev/null || { mkdir -p /data/backups; cd /data/backups; }
if ! [ -d empty ]; then
  kopia repository create filesystem --path="$PWD/unfinished" \
    --override-username=maintenance --override-hostname=bench >&2
  mv unfinished empty
fi
while read -r name; do rm -rf "$name"; cp -r empty "$name"; done
"""


class Scene:
    """The bench's namespace in a cluster.

    Args:
        kubectl: asks the cluster.
        proxy: asks it more quickly.
        sample: the objects of manifests/samples/file-store, in the bench's namespace.
        is_local: whether its processes run on this machine.
    """

    def __init__(
        self, kubectl: Kubectl, proxy: Proxy, sample: Sequence[Object], *, is_local: bool
    ) -> None:
        self._kubectl = kubectl
        self._sample = sample
        self.proxy = proxy
        self.is_local = is_local

    def servers(self, count: int) -> list[Object]:
        """Return RepositoryServers that can be created."""
        return objects.with_room(objects.servers(self._sample, count))

    def make_repositories(self, servers: Sequence[Object]) -> None:
        """Give each server an empty repository, in place of the one that it had.

        Raises:
            ClusterError: Kopia failed.
        """
        command = ["exec", IN_NAMESPACE, "--stdin", objects.REPOSITORIES_POD, "--", "/bin/sh"]
        folders = "".join(f"{server['metadata']['name']}\n" for server in servers)
        script = [*command, "-euc", MAKE_REPOSITORIES]
        self._kubectl.run(*script, what="making repositories", text=folders)

    def start(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a shell script in the pod with the volume, which has Kopia.

        Args:
            script: what runs; what it reads and prints goes through pipes.
            arguments: its own.
        """
        pod = ["exec", IN_NAMESPACE, "--stdin", objects.REPOSITORIES_POD]
        command = [*pod, "--", "/bin/sh", "-c", script, "sh", *arguments]
        return subprocess.Popen(
            [self._kubectl.program, *self._kubectl.options, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def create(self, collection: str, wanted: Sequence[Object]) -> None:
        """Create objects, all at once.

        Raises:
            ClusterError: the API server refuses one.
        """
        with ThreadPoolExecutor(len(wanted)) as pool:
            list(pool.map(lambda obj: self.proxy.create(collection, obj), wanted))

    def clear(self) -> None:
        """Delete what a round has made, and wait until it is gone.

        Raises:
            ClusterError: something stays.
        """
        # ReplicaSets before their pods, of which they would make others.
        for collection in (SERVERS, REPLICA_SETS, PODS, SECRETS):
            self.proxy.delete(f"{collection}?labelSelector={objects.BENCH_LABEL}")
        waiting.until(
            lambda: not self._left(), what="the pods are gone", timeout_seconds=GONE_TIMEOUT_SECONDS
        )

    @contextmanager
    def no_controller(self) -> Iterator[None]:
        """End the controller, and have as many replicas at work again in the end.

        Raises:
            ClusterError: it does not end, or does not come back.
        """
        replicas = self.proxy.get(DEPLOYMENT)["spec"]["replicas"]
        self._scale_controller(0)
        try:
            yield
        finally:
            self._scale_controller(replicas)

    def _scale_controller(self, replicas: int) -> None:
        self.proxy.merge(DEPLOYMENT, {"spec": {"replicas": replicas}})
        pods = f"{PODS}?labelSelector=app.kubernetes.io/name={CONTROLLER_NAME}"

        def done() -> bool:
            there = self.proxy.get(pods)["items"]
            leader = self.proxy.get(LEASE)["spec"].get("holderIdentity") or ""
            ready = [pod["metadata"]["name"] for pod in there if READY in true_conditions(pod)]
            leads = leader.rpartition("_")[0] in ready
            return len(there) == len(ready) == replicas and (leads or not replicas)

        what = f"{replicas} replicas of the controller"
        waiting.until(done, what=what, timeout_seconds=SCALED_TIMEOUT_SECONDS)

    def server_pods(self) -> list[Object]:
        """Return the pods that the controller has made."""
        return list(self.proxy.get(f"{PODS}?labelSelector={objects.INSTANCE_LABEL}")["items"])

    def server_replica_sets(self) -> list[Object]:
        """Return the ReplicaSets that the controller has made."""
        path = f"{REPLICA_SETS}?labelSelector={objects.INSTANCE_LABEL}"
        return list(self.proxy.get(path)["items"])

    def server_secrets(self) -> list[Object]:
        """Return the Secrets that the controller has made."""
        return list(self.proxy.get(f"{SECRETS}?labelSelector={objects.INSTANCE_LABEL}")["items"])

    def metrics(self) -> Metrics:
        """Return what the controller shows: the replica that leads.

        Raises:
            ClusterError: it does not answer.
        """
        pod, _, _ = self.proxy.get(LEASE)["spec"]["holderIdentity"].rpartition("_")
        return Metrics(self.proxy.text(f"{PODS}/{pod}:8080/proxy/metrics"))

    def _left(self) -> list[Object]:
        bare = self.proxy.get(f"{PODS}?labelSelector={objects.BENCH_LABEL}")["items"]
        made = [*self.server_replica_sets(), *self.server_pods(), *self.server_secrets()]
        return [*bare, *made]


@contextmanager
def prepared(target: Target, users: int, *, keep: bool) -> Iterator[Scene]:
    """Prepare a cluster, and remove from it what was made in the end.

    Args:
        target: the cluster.
        users: how many access users each server gets.
        keep: leave all as it is, for a look at it or the next run.

    Yields:
        The scene.

    Raises:
        ClusterError: a step failed.
    """
    kubectl, images = target.prepare()
    with ExitStack() as stack:
        if not keep:
            stack.callback(remove, kubectl, target)
        progress = Progress(STEPS)
        with progress.step("deploying the controller"):
            _deploy_controller(kubectl, images)
        with progress.step("making Secrets"):
            sample = objects.moved(with_images(kubectl.render(SAMPLE), images), NAMESPACE)
            make_secrets(kubectl, sample, users)
        with progress.step("starting a pod with the volume of the repositories"):
            _start_repositories(kubectl, target, sample)
        proxy = stack.enter_context(Proxy(kubectl))
        scene = Scene(kubectl, proxy, sample, is_local=isinstance(target, OwnCluster))
        scene.clear()
        yield scene


def remove(kubectl: Kubectl, target: Target) -> None:
    """Remove the bench's namespace, with the cluster if it is the bench's own.

    Raises:
        ClusterError: something stays.
    """
    if isinstance(target, OwnCluster):
        target.take_down()
    else:
        # The CRD stays: others may use it.
        kubectl.run("delete", "namespace", NAMESPACE, what="deleting the namespace")


def _deploy_controller(kubectl: Kubectl, images: Images) -> None:
    wanted = objects.moved(with_images(kubectl.render(MANIFESTS), images), NAMESPACE)
    apply(kubectl, wanted)
    what = "waiting for the CRD"
    kubectl.run("wait", "--for=condition=Established", DEFINITION, KUBECTL_TIMEOUT, what=what)
    rollout = ["rollout", "status", CONTROLLER, IN_NAMESPACE, KUBECTL_TIMEOUT]
    kubectl.run(*rollout, what="waiting for the controller")


def make_secrets(kubectl: Kubectl, sample: Sequence[Object], users: int) -> None:
    """Make the Secrets of the sample that are missing, among them its certificate.

    Args:
        kubectl: asks the cluster.
        sample: the sample's objects, in the bench's namespace.
        users: how many access users there shall be.

    Raises:
        ClusterError: the cluster refuses one.
    """
    wanted = objects.with_users(of_kind(sample, "Secret"), users, _generate_password)
    there = {secret["metadata"]["name"]: secret for secret in kubectl.existing(wanted)}
    apply(kubectl, missing_secrets(wanted, list(there.values()), _generate_password))
    directory = str(Path(kubectl.program).parent)
    path = os.pathsep.join([directory, os.environ.get("PATH", os.defpath)])
    script = [str(SAMPLE / "tls-secret.sh"), NAMESPACE, *kubectl.options]
    processes.run(["env", f"PATH={path}", *script], what="making the certificate")


def _start_repositories(kubectl: Kubectl, target: Target, sample: Sequence[Object]) -> None:
    claims = of_kind(sample, "PersistentVolumeClaim")
    (job,) = of_kind(sample, "Job")
    pod = objects.repositories_pod(job)
    apply(kubectl, [*claims, *target.volumes(claims), pod])
    waited = ["wait", "--for=condition=Ready", f"pod/{objects.REPOSITORIES_POD}", IN_NAMESPACE]
    kubectl.run(*waited, KUBECTL_TIMEOUT, what="waiting for the pod with the volume")


def apply(kubectl: Kubectl, wanted: Sequence[Object]) -> None:
    """Apply objects as the bench.

    Raises:
        ClusterError: the cluster refuses one.
    """
    if wanted:
        options = ["--server-side", "--force-conflicts", "--field-manager=hack-bench"]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(wanted)})
        kubectl.run("apply", *options, "--filename=-", what="applying objects", text=text)


def _generate_password() -> str:
    return secrets.token_urlsafe(PASSWORD_BYTES)
