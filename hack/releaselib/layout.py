"""Reads an image that is a folder in OCI's layout.

Source: opencontainers/image-spec, image-layout.md and layer.md (how a layer deletes files).
"""

from __future__ import annotations

import json
import posixpath
import tarfile
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_DELETED: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"


@frozen
class Image:
    """An image for one platform.

    Attributes:
        platform: Which: `linux/amd64`.
        digest: Of its manifest.
        config: How it runs.
        layers: Its layers, the lowest first.
    """

    platform: str
    digest: str
    config: dict[str, Any]
    layers: tuple[Path, ...]

    def files(self, wanted: Callable[[str], bool]) -> dict[str, bytes]:
        """Return files of its file system by their paths, without a slash at the beginning.

        Args:
            wanted: Whether a path is to be read. Links are not followed.
        """
        found: dict[str, bytes] = {}
        for layer in self.layers:
            with tarfile.open(layer) as archive:
                _apply(archive, wanted, found)
        return found


@frozen
class Layout:
    """An image for some platforms.

    Attributes:
        digest: Of the index of all of them: what a registry knows the image by.
        images: One for each platform, in the order of the index.
    """

    digest: str
    images: tuple[Image, ...]


def read(folder: Path) -> Layout:
    """Return the image of a folder that has one index."""
    (entry,) = json.loads((folder / "index.json").read_text())["manifests"]
    listed = json.loads(_blob(folder, entry["digest"]).read_text())["manifests"]
    return Layout(entry["digest"], tuple(_image(folder, one) for one in listed))


def _image(folder: Path, entry: dict[str, Any]) -> Image:
    manifest = json.loads(_blob(folder, entry["digest"]).read_text())
    config = json.loads(_blob(folder, manifest["config"]["digest"]).read_text())
    return Image(
        platform=f"{config['os']}/{config['architecture']}",
        digest=entry["digest"],
        config=config["config"],
        layers=tuple(_blob(folder, layer["digest"]) for layer in manifest["layers"]),
    )


def _blob(folder: Path, digest: str) -> Path:
    algorithm, _, value = digest.partition(":")
    return folder / "blobs" / algorithm / value


def _apply(
    archive: tarfile.TarFile, wanted: Callable[[str], bool], found: dict[str, bytes]
) -> None:
    """Bring what a layer changes to what the layers below it have."""
    added: dict[str, bytes] = {}
    for member in archive:
        path = posixpath.normpath(member.name).lstrip("/")
        folder, name = posixpath.split(path)
        if name == _OPAQUE:
            _delete(found, [folder])
        elif name.startswith(_DELETED):
            _delete(found, [posixpath.join(folder, name.removeprefix(_DELETED))])
        elif member.isfile() and wanted(path):
            content = archive.extractfile(member)
            added[path] = content.read() if content else b""
        elif not member.isdir():
            _delete(found, [path])
    found.update(added)


def _delete(found: dict[str, bytes], paths: Sequence[str]) -> None:
    for path in paths:
        for one in [one for one in found if one == path or one.startswith(f"{path}/")]:
            del found[one]
