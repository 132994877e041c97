"""Asks one cluster by kubectl."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterlib import processes
from demolib import objects

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from demolib.objects import Object

FIELD_MANAGER = "hack-demo"


@dataclass(frozen=True)
class Kubectl:
    """kubectl for one cluster. What holds a password goes to it on standard input.

    Attributes:
        program: where kubectl is.
        options: say which cluster: `--kubeconfig` and `--context`.
    """

    program: str
    options: tuple[str, ...] = ()

    def run(self, *arguments: str, what: str, text: str | None = None) -> str:
        """Run kubectl and return what it prints.

        Args:
            arguments: for kubectl.
            what: what it does, for the error.
            text: given to it on standard input.

        Raises:
            ClusterError: kubectl failed; the message has what it said.
        """
        return processes.run([self.program, *self.options, *arguments], what=what, text=text)

    def look(self, *arguments: str) -> str:
        """Run kubectl and return what it prints, be it a complaint."""
        result = subprocess.run(
            [self.program, *self.options, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return result.stdout

    def render(self, folder: Path) -> list[Object]:
        """Return the objects of a kustomization; the cluster is not asked.

        Raises:
            ClusterError: the kustomization is broken.
        """
        what = f"reading {folder}"
        text = self.run("kustomize", str(folder), what=what)
        # The command that turns any YAML into JSON here, without asking the cluster.
        to_json = ["label", "--local", "--filename=-", "--output=json", objects.SELECTOR]
        return objects.parse(self.run(*to_json, what=what, text=text))

    def existing(self, wanted: Sequence[Object]) -> list[Object]:
        """Return those of the objects that the cluster has, as it has them.

        Raises:
            ClusterError: the cluster does not answer.
        """
        if not wanted:
            return []
        options = ["--filename=-", "--ignore-not-found", "--output=json"]
        text = self.run("get", *options, what="asking for objects", text=_list(wanted))
        return objects.parse(text)

    def get(self, resource: str, name: str, namespace: str) -> Object:
        """Return one object.

        Raises:
            ClusterError: it is not there.
        """
        arguments = [resource, name, f"--namespace={namespace}", "--output=json"]
        (obj,) = objects.parse(self.run("get", *arguments, what=f"asking for {resource}/{name}"))
        return obj

    def apply(self, wanted: Sequence[Object]) -> objects.Outcome:
        """Bring the demo's own objects to what is wanted; leave those of others alone.

        Raises:
            ClusterError: the cluster refuses one.
        """
        before = self.existing(wanted)
        plan = objects.plan(wanted, before)
        after: list[Object] = []
        if plan.apply:
            options = ["--server-side", f"--field-manager={FIELD_MANAGER}", "--force-conflicts"]
            options += ["--filename=-", "--output=json"]
            text = _list(objects.labelled(plan.apply))
            after = objects.parse(self.run("apply", *options, what="applying objects", text=text))
        return objects.compare(before, after, plan.foreign)

    def create(self, wanted: Sequence[Object]) -> None:
        """Create objects of which none is there.

        Raises:
            ClusterError: the cluster refuses one.
        """
        if wanted:
            text = _list(objects.labelled(wanted))
            self.run("create", "--filename=-", what="creating objects", text=text)


def _list(wanted: Sequence[Object]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(wanted)})
