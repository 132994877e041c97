"""Tries a release: applies its install.yaml to an empty cluster, and waits for a server."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from clusterlib import components, namespace, paths, processes
from clusterlib.errors import ClusterError
from clusterlib.progress import Progress
from clusterlib.state import State
from demolib.kubectl import Kubectl
from demolib.objects import of_kind
from demolib.target import OwnCluster, command
from releaselib import install, sums

if TYPE_CHECKING:
    from collections.abc import Sequence

CLUSTER: Final = "release-{pid}"
NAMESPACE: Final = "kanister"
CONTROLLER: Final = "deployment/repository-server-controller"
SERVER: Final = "repositoryserver/file-store"
SAMPLES: Final = paths.CHECKOUT / "manifests" / "samples"
TIMEOUT: Final = "--timeout=180s"
STEPS: Final = 4

NOTHING_THERE: Final = "dist/ has no release; `hack/release VERSION` makes one"
OTHER_FILES: Final = "dist/ is not what its SHA256SUMS says; make the release again"
NO_KOPIA: Final = "dist/install.yaml names no image for the servers"


def run(dist: Path) -> str:
    """Try a release on a cluster of its own, which is taken down in the end.

    Args:
        dist: The folder with the release.

    Returns:
        What the server says of itself in the end.

    Raises:
        ClusterError: There is no release, or something did not come up.
    """
    if not (dist / sums.FILE).exists():
        raise ClusterError(NOTHING_THERE)
    if (dist / sums.FILE).read_text() != sums.of(dist):
        raise ClusterError(OTHER_FILES)
    target = OwnCluster(CLUSTER.format(pid=os.getpid()))
    command("cluster", "build", "kubectl")
    command("cluster", "up", "--name", target.name)
    try:
        kubectl = _kubectl(target.name)
        (archive,) = dist.glob("*.oci.tar")
        return _Trial(target, kubectl, dist / install.INSTALL, archive).run()
    finally:
        target.take_down()


def images_of(text: str) -> tuple[str, str]:
    """Return what an install.yaml names: the controller's image, and that of all servers.

    Raises:
        ClusterError: It names none for the servers.
    """
    found = [obj for obj in yaml.safe_load_all(text) if obj]
    (deployment,) = of_kind(found, "Deployment")
    (settings,) = of_kind(found, "ConfigMap")
    controller = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    for content in settings["data"].values():
        if image := yaml.safe_load(content).get("image"):
            return str(controller), str(image)
    raise ClusterError(NO_KOPIA)


class _Trial:
    """One trial.

    Args:
        target: The cluster.
        kubectl: Asks it.
        manifests: The install.yaml.
        archive: The image.
    """

    def __init__(
        self, target: OwnCluster, kubectl: Kubectl, manifests: Path, archive: Path
    ) -> None:
        self._target = target
        self._kubectl = kubectl
        self._manifests = manifests
        self._archive = archive
        self._progress = Progress(STEPS)

    def run(self) -> str:
        """Run all steps, and return what the server says of itself."""
        controller, server = images_of(self._manifests.read_text())
        with self._progress.step("loading the images"):
            self._load(controller, server)
        with self._progress.step("applying install.yaml, waiting for the controller"):
            self._apply(f"--filename={self._manifests}")
            self._wait("rollout", "status", CONTROLLER)
        with tempfile.TemporaryDirectory() as scratch:
            samples = Path(scratch) / "samples"
            shutil.copytree(SAMPLES, samples)
            with self._progress.step("applying the sample on a volume"):
                self._apply_sample(samples)
        with self._progress.step("waiting for its server to be Ready", self._said):
            self._wait("wait", SERVER, "--for=condition=Ready")
        return self._said()

    def _load(self, controller: str, server: str) -> None:
        """Put the images on the node, by the names that install.yaml has for them."""
        # containerd makes the digest part of the name, from what is in the archive.
        repository = controller.partition("@")[0]
        self._ctr("import", f"--base-name={repository}", "--digests", str(self._archive))
        built = command("images", "load", "--name", self._target.name, "kopia").strip()
        host = "" if "." in server.partition("/")[0] else "docker.io/"
        self._ctr("tag", "--force", built, f"{host}{server}")

    def _ctr(self, *arguments: str) -> None:
        inside = namespace.enter(State(self._target.name))
        images = ["ctr", "--namespace=k8s.io", "images", *arguments]
        processes.run([*inside, *images], what="loading an image into the node")

    def _apply(self, *arguments: str) -> None:
        self._kubectl.run("apply", *arguments, what="applying the manifests")

    def _apply_sample(self, samples: Path) -> None:
        """Apply the sample as its README says, with a volume for its claim."""
        folder = samples / "file-store"
        path = f"{Path(self._kubectl.program).parent}{os.pathsep}{os.environ['PATH']}"
        for script in (
            [str(samples / "fill-in.sh")],
            [str(folder / "tls-secret.sh"), NAMESPACE, *self._kubectl.options],
        ):
            processes.run(["env", f"PATH={path}", *script], what="preparing the sample")
        claims = of_kind(self._kubectl.render(folder), "PersistentVolumeClaim")
        self._kubectl.apply(self._target.volumes(claims))
        self._apply(f"--kustomize={folder}")

    def _wait(self, *arguments: str) -> None:
        told = [f"--namespace={NAMESPACE}", TIMEOUT]
        self._kubectl.run(*arguments, *told, what=f"waiting for {self._now()}")

    def _now(self) -> str:
        """Return the pods as they are, for what is said of one that does not come up."""
        return self._kubectl.look("get", "pods", f"--namespace={NAMESPACE}", "--output=name")

    def _said(self) -> str:
        ready = '{.status.conditions[?(@.type=="Ready")].message}'
        options = [f"--namespace={NAMESPACE}", f"--output=jsonpath={ready}"]
        return self._kubectl.look("get", SERVER, *options)


def _kubectl(name: str, options: Sequence[str] = ()) -> Kubectl:
    program = str(components.load().program("kubectl"))
    return Kubectl(program, (f"--kubeconfig={State(name).kubeconfig}", *options))
