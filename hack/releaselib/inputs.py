"""What a release is made from: hack/release.toml."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from clusterlib import paths
from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = paths.HACK / "release.toml"

NOT_PINNED: Final = (
    "hack/release.toml: images.{part} has no digest for {name}; resolve it and look at what it is "
    "of, as RELEASE.md says, then write it there"
)
NO_DIGEST: Final = "hack/release.toml: the digest of images.{part} is not `sha256:` and 64 digits"

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


@frozen
class Source:
    """An image of a registry.

    Attributes:
        part: Which part of the release comes from it: `base` or `kopia`.
        name: Its name with its tag.
        digest: The digest of its index; empty where nobody has looked at it.
    """

    part: str
    name: str
    digest: str

    def pinned(self) -> str:
        """Return its name with its digest, by which it can be no other.

        Raises:
            ClusterError: It has no digest.
        """
        if not self.digest:
            raise ClusterError(NOT_PINNED.format(part=self.part, name=self.name))
        repository, _, _ = self.name.rpartition(":")
        return f"{repository}@{self.digest}"


@frozen
class Inputs:
    """All of hack/release.toml.

    Attributes:
        image: The name, without a tag, by which people pull the controller's image.
        base: What it stands on.
        kopia: What it has Kopia's program from.
    """

    image: str
    base: Source
    kopia: Source

    @property
    def sources(self) -> tuple[Source, ...]:
        """The images of a registry."""
        return (self.base, self.kopia)


def load(path: Path = FILE) -> Inputs:
    """Read the file.

    Raises:
        ClusterError: A digest is none.
    """
    document = tomllib.loads(path.read_text())
    listed = document["images"]
    base, kopia = (_source(part, listed[part]) for part in ("base", "kopia"))
    return Inputs(document["image"], base, kopia)


def _source(part: str, entry: dict[str, Any]) -> Source:
    digest = entry["digest"]
    if digest and not _DIGEST.fullmatch(digest):
        raise ClusterError(NO_DIGEST.format(part=part))
    return Source(part, entry["name"], digest)
