"""The cluster that the demo runs on: one of its own on this machine, or one that is there."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from clusterlib import components, debian, paths
from clusterlib.errors import ClusterError
from clusterlib.progress import Progress
from clusterlib.state import State
from demolib import machine, objects, teardown
from demolib.kubectl import Kubectl
from demolib.objects import Images
from storelib.stores import Stores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demolib.objects import Object
    from storelib.servers import Store

KUBECTL = "kubectl"
IMAGES = ["kopia", "repository-server-controller"]
POSTGRES = "postgres"
OPENSSL = "openssl"
# As whom the pods of the samples run.
SAMPLE_USER = 65532
NO_STORE = "the store {name} runs on this machine, which {words} need not reach"
FAILED = "`{command}` failed; what it printed above says why"


class Target(Protocol):
    """A cluster for the demo."""

    @property
    def words(self) -> str:
        """Which cluster it is."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """Which cluster it is, in arguments of hack/demo."""

    @property
    def hint(self) -> str:
        """How the reader goes on by himself, in a shell."""

    def prepare(self, *, postgres: bool = False) -> tuple[Kubectl, Images]:
        """Make it ready.

        Args:
            postgres: whether PostgreSQL is wanted.

        Returns:
            How to ask it, and which images it has.
        """

    def volumes(self, claims: Sequence[Object], *, owner: int = SAMPLE_USER) -> list[Object]:
        """Return the volumes that the claims need and the cluster will not provision.

        Args:
            claims: which.
            owner: the user whose files will be on them.
        """

    def store(self, name: str) -> Store:
        """Start an object store that the cluster's pods reach, and return what is said of it."""

    def take_down(self) -> None:
        """Remove what the demo has made, and only that."""


@dataclass(frozen=True)
class OwnCluster:
    """A cluster on this machine, made for the demo.

    Attributes:
        name: its name, for hack/cluster.
    """

    name: str

    @property
    def words(self) -> str:
        """Which cluster it is."""
        return f"the cluster {self.name} of this machine"

    @property
    def arguments(self) -> tuple[str, ...]:
        """Which cluster it is, in arguments of hack/demo."""
        return (f"--name={self.name}",)

    @property
    def hint(self) -> str:
        """How the reader goes on by himself, in a shell."""
        return f'eval "$(hack/cluster env --name {self.name})"'

    def prepare(self, *, postgres: bool = False) -> tuple[Kubectl, Images]:
        """Bring the cluster up, if it is not, with the images of this checkout.

        Args:
            postgres: whether PostgreSQL is wanted.

        Returns:
            How to ask it, and which images it has.

        Raises:
            ClusterError: none can be made on this machine, or a step failed.
        """
        if reason := machine.unfit():
            raise ClusterError(reason)
        command("cluster", "up", "--name", self.name)
        # What it prints are the names under which pods find the images.
        wanted = [*IMAGES, *([POSTGRES] if postgres else [])]
        kopia, controller, *other = command("images", "load", "--name", self.name, *wanted).split()
        images = Images(controller, kopia, self._digest(controller), *other)
        return Kubectl(_built_kubectl(), (f"--kubeconfig={State(self.name).kubeconfig}",)), images

    def volumes(self, claims: Sequence[Object], *, owner: int = SAMPLE_USER) -> list[Object]:
        """Return volumes in folders of the node, which belong to the user that the samples run as.

        A volume of the kind hostPath is not handed to a pod's fsGroup.

        Args:
            claims: which.
            owner: the user.
        """
        found = []
        for claim in claims:
            whose = objects.identity(claim)
            folder = State(self.name).directory / "volumes" / f"{whose.namespace}-{whose.name}"
            folder.mkdir(parents=True, exist_ok=True)
            os.chown(folder, owner, owner)
            found.append(objects.local_volume(claim, str(folder)))
        return found

    def store(self, name: str) -> Store:
        """Start an object store on this machine, if it does not run.

        Raises:
            ClusterError: it did not start.
        """
        return Stores(State(self.name), components.load()).up([name])[name]

    def take_down(self) -> None:
        """Take the cluster down, with everything in it and beside it."""
        with Progress(1).step(f"taking down {self.words}"):
            command("cluster", "down", "--name", self.name)

    def _digest(self, image: str) -> str:
        """Return the digest that the node knows the image by."""
        listed = ["ctr", "--namespace=k8s.io", "images", "list", f"name=={image}"]
        table = command("cluster", "exec", "--name", self.name, "--", *listed)
        return next(word for word in table.split() if word.startswith("sha256:"))


@dataclass(frozen=True)
class GivenCluster:
    """A cluster that its user has, and that the demo only uses.

    Attributes:
        options: say which cluster, for kubectl: `--kubeconfig` and `--context`.
        images: which images it can pull.
    """

    options: tuple[str, ...]
    images: Images

    @property
    def words(self) -> str:
        """Which cluster it is."""
        return f"the cluster of {' '.join(self.options)}"

    @property
    def arguments(self) -> tuple[str, ...]:
        """Which cluster it is, in arguments of hack/demo."""
        return self.options

    @property
    def hint(self) -> str:
        """How the reader goes on by himself, in a shell."""
        return shlex.join(["kubectl", *self.options, "get", "all"])

    def prepare(self, *, postgres: bool = False) -> tuple[Kubectl, Images]:
        """Make sure of the tools; nothing is built but kubectl, where there is none.

        Args:
            postgres: has no effect: the cluster pulls the image that the sample names.

        Returns:
            How to ask the cluster, and which images it can pull.

        Raises:
            ClusterError: a tool is missing and cannot be had, or the cluster does not answer.
        """
        del postgres
        packages = [] if shutil.which(OPENSSL) else [OPENSSL]
        debian.install_missing(packages, Progress(1))
        kubectl = self._kubectl()
        kubectl.run("version", what=f"asking {self.words}")
        return kubectl, self.images

    def volumes(self, claims: Sequence[Object], *, owner: int = SAMPLE_USER) -> list[Object]:
        """Return nothing: the cluster's default StorageClass provisions."""
        del claims, owner
        return []

    def store(self, name: str) -> Store:
        """Refuse: the pods of a cluster elsewhere do not reach this machine.

        Raises:
            ClusterError: always.
        """
        raise ClusterError(NO_STORE.format(name=name, words=self.words))

    def take_down(self) -> None:
        """Delete what the demo has made, and only that.

        Raises:
            ClusterError: the cluster does not answer.
        """
        teardown.take_down(self._kubectl())

    def _kubectl(self) -> Kubectl:
        return Kubectl(shutil.which(KUBECTL) or _built_kubectl(), self.options)


def command(name: str, *arguments: str) -> str:
    """Run another command of this folder, whose progress is shown.

    Returns:
        What it prints on standard output.

    Raises:
        ClusterError: it failed; it has said why.
    """
    result = subprocess.run(
        [paths.HACK / name, *arguments], stdout=subprocess.PIPE, text=True, check=False
    )
    if result.returncode != 0:
        raise ClusterError(FAILED.format(command=shlex.join([f"hack/{name}", *arguments])))
    return result.stdout


def _built_kubectl() -> str:
    return command("cluster", "build", KUBECTL).strip()
