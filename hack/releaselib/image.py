"""Builds the controller's image for a release, as a folder in OCI's layout."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from attrs import frozen

from clusterlib import images, paths, processes, wheels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from clusterlib.components import GoGroup
    from releaselib.platforms import Platform

#: Below the scratch folder.
LAYOUT: Final = "layout"
_CONTEXT: Final = "context"
_NAME: Final = "localhost/release:{version}"
_WHAT: Final = "building the image for {platform}"


@frozen
class Parts:
    """What the image is built from, besides the checkout.

    Attributes:
        base: The image that it stands on, as buildah names it.
        kopia: The image with Kopia's program, likewise.
        renderer: The module of the program that renders templates.
        labels: What its configuration says of it.
    """

    base: str
    kopia: str
    renderer: GoGroup
    labels: dict[str, str]


@frozen
class Builder:
    """Builds one image from nothing: no layer of an earlier build is in it.

    Attributes:
        scratch: A folder of its own.
        log: Takes what the programs say.
        epoch: The time of all that is in the image, in seconds since 1970.
        version: The version that is released.
    """

    scratch: Path
    log: Path
    epoch: int
    version: str

    def build(self, parts: Parts, platforms: Sequence[Platform]) -> Path:
        """Build the image for some platforms.

        Returns:
            The folder, which has one index of all of them.

        Raises:
            ClusterError: A build failed.
        """
        sources = self.scratch / _CONTEXT
        images.copy_files(images.sources_of(images.CONTROLLER), sources)
        target = self.scratch / LAYOUT
        index = _NAME.format(version=self.version)
        with _storage(self.scratch / "storage", self.log) as buildah:
            built = [self._build(buildah, parts, one, sources) for one in platforms]
            what = "putting the image together"
            processes.logged([*buildah, "manifest", "create", index], what=what, log=self.log)
            for name in built:
                command = [*buildah, "manifest", "add", index, name]
                processes.logged(command, what=what, log=self.log)
            # A name in the archive, by which programs list it.
            command = [*buildah, "manifest", "push", "--all", index, f"oci:{target}:{self.version}"]
            processes.logged(command, what=what, log=self.log)
        return target

    def _build(self, buildah: list[str], parts: Parts, platform: Platform, sources: Path) -> str:
        """Build the image for one platform and return the name that it has in the storage."""
        name = f"{_NAME.format(version=self.version)}-{platform.go}"
        what = _WHAT.format(platform=platform.name)
        renderer = self._renderer(buildah, parts.renderer, platform)
        same = platform.machine == os.uname().machine
        cached = wheels.fetch(self.log, "" if same else platform.machine)
        arguments = [
            f"--file={images.CONTROLLER.dockerfile}",
            f"--build-arg=BASE_IMAGE={parts.base}",
            f"--build-arg=KOPIA_IMAGE={parts.kopia}",
            f"--build-arg=RENDERER_IMAGE={renderer}",
            f"--build-arg=SOURCE_DATE_EPOCH={self.epoch}",
            f"--volume={cached}:/wheels:ro",
            "--build-arg=PIP_NO_INDEX=1",
            "--build-arg=PIP_FIND_LINKS=/wheels",
            *(f"--label={key}={value}" for key, value in parts.labels.items()),
        ]
        self._buildah_build(buildah, platform, name, [*arguments, str(sources)], what)
        return name

    def _renderer(self, buildah: list[str], group: GoGroup, platform: Platform) -> str:
        """Build the image that has the program which renders templates, and return its name."""
        folder = self.scratch / f"renderer-{platform.go}"
        folder.mkdir()
        what = f"building {group.name} for {platform.name}"
        # Without what Go reads from git, which differs in an archive of the same commit.
        command = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags", group.ldflags]
        command += ["-o", str(folder / group.name), group.programs[group.name]]
        cross = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOOS": "linux"}
        told = {**os.environ, **cross, "GOARCH": platform.go}
        processes.logged(command, what=what, log=self.log, environment=told, folder=group.folder)
        name = f"localhost/{group.name}:{platform.go}"
        arguments = [f"--file={images.RENDERER.dockerfile}", str(folder)]
        self._buildah_build(buildah, platform, name, arguments, what)
        return name

    def _buildah_build(
        self, buildah: list[str], platform: Platform, name: str, arguments: list[str], what: str
    ) -> None:
        command = [
            *(*buildah, "build", f"--tag={name}", f"--platform={platform.name}"),
            # A layer for each COPY, in an empty storage.
            *("--layers", "--force-rm"),
            *(f"--timestamp={self.epoch}", "--omit-history", "--identity-label=false"),
        ]
        processes.logged([*command, *arguments], what=what, log=self.log)


def local_reference(archive: Path) -> str:
    """Return the name by which buildah takes an image from the cache of `hack/images`."""
    return f"docker-archive:{archive}"


def registry_reference(name: str) -> str:
    """Return the name by which buildah takes an image from its registry."""
    return f"docker://{name}"


@contextlib.contextmanager
def _storage(folder: Path, log: Path) -> Iterator[list[str]]:
    """Give buildah with a storage of its own, and leave nothing mounted in it.

    Folders that are mounted could not be deleted.
    """
    buildah = images.buildah_in(folder)
    try:
        yield buildah
    finally:
        processes.logged([*buildah, "umount", "--all"], what="unmounting the build", log=log)


def scratch_folder() -> Path:
    """Return where releases are built: below the cache, where there is room."""
    folder = paths.cache() / "release"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
