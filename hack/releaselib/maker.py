"""Makes a release, step by step."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml
from attrs import frozen

from chartlib.copies import CHART
from clusterlib import components, images, installation, locks, paths, wheels
from clusterlib.errors import ClusterError
from clusterlib.progress import Progress
from releaselib import (
    archives,
    changelog,
    chart,
    commit,
    contents,
    install,
    layout,
    notes,
    platforms,
    rules,
    sbom,
    sums,
    wheel,
)
from releaselib.image import Builder, Parts, local_reference, registry_reference, scratch_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterlib.components import Components
    from clusterlib.installation import Installation
    from releaselib.commit import Commit
    from releaselib.inputs import Inputs
    from releaselib.layout import Layout
    from releaselib.platforms import Choice

DIST: Final = paths.CHECKOUT / "dist"
NAME: Final = "repository-server-controller"
REFUSED: Final = "version {version} is not released:\n{reasons}"
STEPS: Final = 6

_PACKAGE_VERSION: Final = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)


@frozen
class Request:
    """What is asked for.

    Attributes:
        version: The version.
        image: The name by which people pull the image, without a tag.
        pinned: Whether base and Kopia come from their registry, by their digests.
        platforms: The platforms, empty for all that can be built.
        allow_changes: Whether the checkout may differ from its commit.
    """

    version: str
    image: str
    pinned: bool = False
    platforms: Sequence[str] = ()
    allow_changes: bool = False


def make(request: Request, inputs: Inputs) -> Sequence[str]:
    """Make a release in `dist/`, in place of what is there.

    Returns:
        For which platforms it has no image, and why.

    Raises:
        ClusterError: The version may not be released, or a step failed.
    """
    made_of = commit.read(paths.CHECKOUT, rules.tag_of(request.version))
    changes = changelog.section((paths.CHECKOUT / "CHANGELOG.md").read_text(), request.version)
    reasons = rules.refusals(
        request.version,
        made_of,
        notes=changes,
        versions=_versions(),
        allow_changes=request.allow_changes,
    )
    if reasons:
        lines = "\n".join(f"  {reason}" for reason in reasons)
        raise ClusterError(REFUSED.format(version=request.version, reasons=lines))
    choice = platforms.choose(
        request.platforms,
        pinned=request.pinned,
        machine=platforms.this_machine(),
        interpreters=platforms.interpreters(),
    )
    # Before anything is built, which takes minutes.
    wanted = inputs.sources if request.pinned else ()
    registry = [registry_reference(one.pinned()) for one in wanted]
    with (
        locks.exclusive(paths.cache() / "locks" / "release"),
        tempfile.TemporaryDirectory(dir=scratch_folder()) as scratch,
    ):
        making = _Making(request, made_of, choice, Path(scratch))
        making.make(changes or "", registry)
        shutil.rmtree(DIST, ignore_errors=True)
        shutil.move(making.target, DIST)
    return choice.left_out


def _versions() -> dict[str, str]:
    """Return the versions that files of the checkout have, by their names."""
    package = paths.CHECKOUT / "controller" / "__init__.py"
    found = _PACKAGE_VERSION.search(package.read_text())
    described = yaml.safe_load((CHART / "Chart.yaml").read_text())
    name = str((CHART / "Chart.yaml").relative_to(paths.CHECKOUT))
    return {
        str(package.relative_to(paths.CHECKOUT)): found[1] if found else "",
        name: described["version"],
        f"{name}, appVersion,": described["appVersion"],
    }


class _Making:
    """One release while it is made.

    Args:
        request: What is asked for.
        made_of: The commit.
        choice: The platforms.
        scratch: A folder for all of it.
    """

    def __init__(self, request: Request, made_of: Commit, choice: Choice, scratch: Path) -> None:
        self._request = request
        self._commit = made_of
        self._choice = choice
        self._scratch = scratch
        self._log = paths.cache() / "logs" / "release.log"
        self._known: Components = components.load()
        self.target = scratch / "dist"

    def make(self, changes: str, registry: Sequence[str]) -> None:
        """Make all files of the release.

        Args:
            changes: What the changelog says of the version.
            registry: Base and Kopia as buildah takes them from a registry; empty for those that
                are made on the machine.
        """
        self.target.mkdir()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._log.write_text("")
        version, epoch = self._request.version, self._commit.epoch
        missing = self._missing(local=not registry)
        progress = Progress(missing.steps + STEPS)
        missing.carry_out(progress)
        with progress.step("building the image"):
            base, kopia = registry or self._local()
            made = layout.read(self._build(base, kopia))
        with progress.step("listing what is in it"):
            self._list(made)
        named = {"version": version, "image": self._request.image, "digest": made.digest}
        with progress.step("rendering the manifests"):
            folder = self._folder("manifests")
            install.write(folder, self.target, kubectl=self._known.program("kubectl"), **named)
        with progress.step("packing the chart"):
            folder, helm = self._folder("chart"), self._known.program("helm")
            chart.pack(folder, self.target, helm=helm, epoch=epoch, **named)
        with progress.step("building the wheel"):
            wheel.build(self._folder("wheel"), self.target, epoch=epoch, log=self._log)
        with progress.step("writing notes and checksums"):
            self._write_notes(changes, made)
            (self.target / sums.FILE).write_text(sums.of(self.target))

    def _missing(self, *, local: bool) -> Installation:
        """Return what is to be installed and built before."""
        return installation.plan(
            self._known,
            packages_for=["images"],
            programs=["kubectl", "helm"],
            wanted_images=[images.BASE, images.KOPIA] if local else [],
        )

    def _local(self) -> tuple[str, str]:
        """Return base and Kopia as they are in the cache of `hack/images`."""
        builder = images.Builder(self._known)
        base, kopia = (local_reference(builder.build(one)) for one in (images.BASE, images.KOPIA))
        return base, kopia

    def _build(self, base: str, kopia: str) -> Path:
        """Build the image and pack it; return its folder."""
        version, epoch = self._request.version, self._commit.epoch
        labels = {
            "org.opencontainers.image.title": NAME,
            "org.opencontainers.image.version": version,
            "org.opencontainers.image.revision": self._commit.id,
            "org.opencontainers.image.licenses": "Apache-2.0",
        }
        renderer = self._known.groups[images.RENDERER.name]
        parts = Parts(base=base, kopia=kopia, renderer=renderer, labels=labels)
        builder = Builder(self._folder("image"), self._log, epoch, version)
        folder = builder.build(parts, self._choice.built)
        archives.pack(folder, self.target / f"{NAME}-{version}.oci.tar", epoch=epoch)
        return folder

    def _list(self, made: Layout) -> None:
        """Write what is in the image, for each platform."""
        kopia = self._known.groups[images.KOPIA.name].version.removeprefix("v")
        for image, platform in zip(made.images, self._choice.built, strict=True):
            subject = sbom.Subject(
                name=self._request.image,
                version=self._request.version,
                digest=image.digest,
                platform=image.platform,
                epoch=self._commit.epoch,
                kopia=kopia,
            )
            machine = "" if platform.machine == platforms.this_machine() else platform.machine
            fetched = wheels.fetch(self._log, machine)
            hashes = sbom.wheel_hashes({one.name: sums.digest(one) for one in fetched.iterdir()})
            text = sbom.render(subject, contents.of(image), hashes)
            sbom.check(text)
            name = f"{NAME}-{self._request.version}-{image.platform.replace('/', '-')}.cdx.json"
            (self.target / name).write_text(text)

    def _write_notes(self, changes: str, made: Layout) -> None:
        (built,) = self.target.glob("*.whl")
        text = notes.render(
            version=self._request.version,
            wheel=built.name,
            changes=changes,
            image=self._request.image,
            digest=made.digest,
            commit=self._commit.id,
            platforms=[one.name for one in self._choice.built],
            left_out=self._choice.left_out,
        )
        (self.target / notes.FILE).write_text(text)

    def _folder(self, name: str) -> Path:
        folder = self._scratch / name
        folder.mkdir()
        return folder
