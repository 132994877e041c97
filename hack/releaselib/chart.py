"""The chart of a release: with its version, and with the image by its digest."""

from __future__ import annotations

import json
import shutil
import tarfile
from typing import TYPE_CHECKING, Final

import yaml

from chartlib import copies, page
from clusterlib import processes
from releaselib import archives

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "repository-server-controller"
WHAT: Final = "packing the chart"

_REPOSITORY: Final = f"  repository: {NAME}\n"
_DIGEST: Final = '  digest: ""\n'


def with_image(values: str, image: str, digest: str) -> str:
    """Return the text of values.yaml with an image as its default.

    Raises:
        ValueError: The text has no such default, or more than one.
    """
    for line, wanted in (
        (_REPOSITORY, f"  repository: {image}\n"),
        (_DIGEST, f"  digest: {digest}\n"),
    ):
        if values.count(line) != 1:
            raise ValueError(line)
        values = values.replace(line, wanted)
    return values


def pack(
    scratch: Path, target: Path, *, helm: Path, version: str, image: str, digest: str, epoch: int
) -> Path:
    """Write the chart of a version to a folder, and return it.

    Args:
        scratch: A folder for what is made on the way.
        target: The folder.
        helm: The program.
        version: Of the chart and of the controller.
        image: The image's name, without a tag.
        digest: Its digest.
        epoch: The time of its files, in seconds since 1970.

    Raises:
        ClusterError: Helm refuses the chart.
    """
    source, unpacked = scratch / "chart" / NAME, scratch / "unpacked"
    shutil.copytree(copies.CHART, source)
    values = with_image((source / "values.yaml").read_text(), image, digest)
    (source / "values.yaml").write_text(values)
    schema = json.loads((source / "values.schema.json").read_text())
    text = page.render(schema, yaml.safe_load(values), version=version)
    (source / "README.md").write_text(text)
    command = [str(helm), "package", str(source), f"--destination={scratch}"]
    command += [f"--version={version}", f"--app-version={version}"]
    processes.run(command, what=WHAT)
    packed = f"{NAME}-{version}.tgz"
    # Helm writes the time of day to it.
    with tarfile.open(scratch / packed) as archive:
        archive.extractall(unpacked, filter="data")
    archives.pack(unpacked, target / packed, epoch=epoch)
    return target / packed
