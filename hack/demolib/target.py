"""The cluster that the demo runs on: one of its own on this machine, or one that is there."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from clusterlib import builds, cluster, components, debian, images, locks
from clusterlib.progress import Progress
from clusterlib.state import State
from demolib import objects, teardown
from demolib.kubectl import Kubectl
from demolib.objects import Images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterlib.components import Components
    from demolib.objects import Object

KUBECTL = "kubectl"
OPENSSL = "openssl"
# As whom the pods of the samples run.
SAMPLE_USER = 65532
NOT_THERE = "there is no cluster {name}; hack/demo without --down makes it"


class Target(Protocol):
    """A cluster for the demo."""

    @property
    def words(self) -> str:
        """Which cluster it is."""

    @property
    def hint(self) -> str:
        """How the reader goes on by himself, in a shell."""

    def prepare(self) -> tuple[Kubectl, Images]:
        """Make it ready.

        Returns:
            How to ask it, and which images it has.
        """

    def volumes(self, claims: Sequence[Object]) -> list[Object]:
        """Return the volumes that the claims need and the cluster will not provision."""

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
    def hint(self) -> str:
        """How the reader goes on by himself, in a shell."""
        return f'eval "$(hack/cluster env --name {self.name})"'

    def prepare(self) -> tuple[Kubectl, Images]:
        """Bring the cluster up, if it is not, with the images of this checkout.

        Returns:
            How to ask it, and which images it has.

        Raises:
            ClusterError: a step failed.
        """
        state, known = State(self.name), components.load()
        cluster.Cluster(state, known).up(with_node=True)
        archives = cluster.build_images(images.PROJECT, known)
        progress = Progress(len(archives))
        with locks.exclusive(state.lock):
            for name, archive in archives.items():
                with progress.step(f"loading {name} into {self.name}"):
                    images.load(name, archive, state)
        controller = images.reference(images.CONTROLLER, known)
        kopia = images.reference(images.KOPIA, known)
        # The archive's name has a digest of what the image was built from.
        build = archives[controller].stem.rpartition("-")[2]
        return self._kubectl(state, known), Images(controller, kopia, build)

    def volumes(self, claims: Sequence[Object]) -> list[Object]:
        """Return volumes in folders of the node, whose owner is the user that the samples run as.

        A volume of the kind hostPath is not handed to a pod's fsGroup.
        """
        found = []
        for claim in claims:
            whose = objects.identity(claim)
            folder = State(self.name).directory / "volumes" / f"{whose.namespace}-{whose.name}"
            folder.mkdir(parents=True, exist_ok=True)
            os.chown(folder, SAMPLE_USER, SAMPLE_USER)
            found.append(objects.local_volume(claim, str(folder)))
        return found

    def take_down(self) -> None:
        """Take the cluster down, with everything in it."""
        with Progress(1).step(f"taking down the cluster {self.name}"):
            cluster.Cluster(State(self.name), components.load()).down()

    def _kubectl(self, state: State, known: Components) -> Kubectl:
        return Kubectl(str(known.program(KUBECTL)), (f"--kubeconfig={state.kubeconfig}",))


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
    def hint(self) -> str:
        """How the reader goes on by himself, in a shell."""
        return f"kubectl {' '.join(self.options)}"

    def prepare(self) -> tuple[Kubectl, Images]:
        """Make sure of the tools; nothing is built but kubectl, where there is none.

        Returns:
            How to ask the cluster, and which images it can pull.

        Raises:
            ClusterError: a tool is missing and cannot be had, or the cluster does not answer.
        """
        packages = [] if shutil.which(OPENSSL) else [OPENSSL]
        debian.install_missing(packages, Progress(1))
        kubectl = self._kubectl()
        kubectl.run("version", what=f"asking {self.words}")
        return kubectl, self.images

    def volumes(self, claims: Sequence[Object]) -> list[Object]:
        """Return nothing: the cluster's default StorageClass provisions."""
        del claims
        return []

    def take_down(self) -> None:
        """Delete what the demo has made, and only that.

        Raises:
            ClusterError: the cluster does not answer.
        """
        teardown.take_down(self._kubectl())

    def _kubectl(self) -> Kubectl:
        there = shutil.which(KUBECTL)
        if there is not None:
            return Kubectl(there, self.options)
        known = components.load()
        builds.build_missing(known, [KUBECTL], Progress(1))
        return Kubectl(str(known.program(KUBECTL)), self.options)
