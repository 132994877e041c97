"""What is missing on this machine, and getting it: packages, programs, images.

Known before anything is done, so that the steps can be numbered from the first to the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterlib import builds, debian, images

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from clusterlib.components import Components
    from clusterlib.images import Image
    from clusterlib.progress import Progress


@dataclass(frozen=True)
class Installation:
    """What is to be installed and built.

    Attributes:
        components: where all of it is described.
        packages: the Debian packages that are missing.
        programs: the programs that the cache does not hold.
        images: the images that the cache does not hold.
    """

    components: Components
    packages: Sequence[str]
    programs: Sequence[str]
    images: Sequence[Image]

    @property
    def steps(self) -> int:
        """How many steps it takes; none if nothing is missing."""
        built = builds.steps(self.components, self.programs)
        return bool(self.packages) + built + len(self.images)

    def carry_out(self, progress: Progress) -> None:
        """Install and build what is missing.

        Raises:
            ClusterError: a package could not be installed or a build failed.
        """
        debian.install_missing(self.packages, progress)
        builds.build_missing(self.components, self.programs, progress)
        builder = images.Builder(self.components)
        for image in self.images:
            with progress.step(f"building the image {images.reference(image, self.components)}"):
                builder.build(image)


def plan(
    components: Components,
    *,
    packages_for: Iterable[str] = (),
    programs: Iterable[str] = (),
    wanted_images: Iterable[Image] = (),
) -> Installation:
    """Find out what is missing.

    Args:
        components: where everything is described.
        packages_for: the purposes whose Debian packages are wanted, as components.toml has them.
        programs: the programs that are wanted; those that the images contain are added.
        wanted_images: the images that are wanted; what they stand on is added.
    """
    with_base = images.with_base(wanted_images)
    purposes = [*packages_for, *(["images"] if with_base else [])]
    packages = [name for purpose in purposes for name in components.debian[purpose]]
    contained = [image.program for image in with_base if image.program is not None]
    absent = builds.missing(components, dict.fromkeys([*programs, *contained]))
    # Whether an image is as it should be can be told only of one whose program is there.
    builder = images.Builder(components)
    return Installation(
        components=components,
        packages=debian.missing(packages),
        programs=absent,
        images=[i for i in with_base if i.program in absent or not builder.archive(i).exists()],
    )


def archives(wanted: Iterable[Image], components: Components) -> dict[str, Path]:
    """Return the archive of each image, by the image's reference; build what has just changed.

    Raises:
        ClusterError: a build failed.
    """
    builder = images.Builder(components)
    return {images.reference(image, components): builder.build(image) for image in wanted}
