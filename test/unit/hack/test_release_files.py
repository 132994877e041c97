"""The files of a release are the same for the same commit, and name the image by its digest."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import tarfile
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from chartlib.copies import CHART
from clusterlib import paths
from clusterlib.errors import ClusterError
from releaselib import archives, chart, install, notes, sums, trial

if TYPE_CHECKING:
    from pathlib import Path

EPOCH: Final = 1_795_000_000
IMAGE: Final = "registry.example/controller"
DIGEST: Final = f"sha256:{'a' * 64}"


def tree(folder: Path, *, backwards: bool) -> Path:
    """Make a folder; backwards, in another order, at another time, with another umask."""
    files = {"b/two": "2", "a": "1", "b.c": "3", "b/run": "#!"}
    folder.mkdir()
    (folder / "b").mkdir(mode=0o700 if backwards else 0o755)
    for name in sorted(files, reverse=backwards):
        (folder / name).write_text(files[name])
        (folder / name).chmod(0o600 if backwards else 0o644)
        if backwards:
            os.utime(folder / name, (1, 1))
    (folder / "b/run").chmod(0o700 if backwards else 0o755)
    return folder


@pytest.mark.parametrize("name", ["x.tar", "x.tgz"])
def test_an_archive_is_the_same_for_the_same_files(tmp_path: Path, name: str) -> None:
    written = []
    for backwards in (False, True):
        folder = tree(tmp_path / str(backwards), backwards=backwards)
        target = tmp_path / f"{backwards}-{name}"
        archives.pack(folder, target, epoch=EPOCH)
        written.append(target)

    first, second = (path.read_bytes() for path in written)
    assert first == second
    with tarfile.open(written[0]) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == ["a", "b", "b/run", "b/two", "b.c"]
    assert {member.mtime for member in members} == {EPOCH}
    assert {(member.uid, member.uname) for member in members} == {(0, "")}
    assert [oct(member.mode) for member in members] == ["0o644", *["0o755"] * 2, *["0o644"] * 2]


def test_a_file_with_two_names_is_twice_in_an_archive(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("content")
    (folder / "b").hardlink_to(folder / "a")
    archives.pack(folder, tmp_path / "x.tar", epoch=EPOCH)

    with tarfile.open(tmp_path / "x.tar") as archive:
        assert [member.isreg() and member.size for member in archive] == [7, 7]


def test_a_compressed_archive_tells_neither_time_nor_name(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    archives.pack(tmp_path / "folder", tmp_path / "x.tgz", epoch=EPOCH)

    packed = (tmp_path / "x.tgz").read_bytes()
    # RFC 1952: no flags, so no name, and no time.
    assert packed[3:8] == bytes(5)
    assert gzip.decompress(packed).count(0) > 0


def test_the_checksums_are_those_that_sha256sum_checks(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).write_text(name)
    (tmp_path / sums.FILE).write_text(sums.of(tmp_path))

    checked = subprocess.run(  # noqa: S603 - as a reader does
        ["sha256sum", "--check", "--strict", sums.FILE],  # noqa: S607 - as a reader does
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert checked.stdout == "a: OK\nb: OK\n"


def test_the_values_of_the_chart_have_the_image_by_its_digest() -> None:
    before = (CHART / "values.yaml").read_text()

    after = chart.with_image(before, IMAGE, DIGEST)

    expected = yaml.safe_load(before)
    expected["image"] |= {"repository": IMAGE, "digest": DIGEST}
    assert yaml.safe_load(after) == expected


def test_values_without_the_image_are_refused() -> None:
    with pytest.raises(ValueError, match="repository"):
        chart.with_image("image: {}\n", IMAGE, DIGEST)


def test_the_overlay_names_the_image_that_the_manifests_name() -> None:
    deployment = yaml.safe_load(
        (paths.CHECKOUT / "manifests/controller/deployment.yaml").read_text()
    )
    (container,) = deployment["spec"]["template"]["spec"]["containers"]

    (entry,) = install.overlay("manifests", IMAGE, DIGEST)["images"]

    assert entry == {"name": container["image"], "newName": IMAGE, "digest": DIGEST}


def test_the_manifests_of_a_release_are_there() -> None:
    for folder, head in install.FILES.values():
        assert (paths.CHECKOUT / "manifests" / folder / "kustomization.yaml").exists()
        assert all(line.startswith("# ") or line == "#" for line in head.splitlines())


def rendered(*left_out: str) -> str:
    return notes.render(
        version="1.2.3",
        wheel="x.whl",
        changes="- See [the page](docs/x.md#y) and [Kopia](https://kopia.io).",
        image=IMAGE,
        digest=DIGEST,
        commit="abc",
        platforms=["linux/amd64"],
        left_out=left_out,
    )


def test_the_notes_say_what_changed_and_what_the_image_is() -> None:
    text = rendered()

    # A page of the checkout is nowhere beside the release.
    assert "- See the page: `docs/x.md#y` and [Kopia](https://kopia.io)." in text
    assert f"{IMAGE}@{DIGEST}" in text
    assert "Not built" not in text


def test_the_notes_say_what_the_wheel_lacks_and_which_platform() -> None:
    text = rendered("linux/arm64: no interpreter")

    assert "without two programs" in text
    assert "Not built for linux/arm64: no interpreter" in text


INSTALL: Final = """\
kind: ConfigMap
apiVersion: v1
metadata: {{name: settings}}
data: {{settings.yaml: "{settings}"}}
---
kind: Deployment
apiVersion: apps/v1
metadata: {{name: controller}}
spec: {{template: {{spec: {{containers: [{{image: "x@sha256:1"}}]}}}}}}
"""


def test_the_trial_takes_the_images_that_install_yaml_names() -> None:
    found = trial.images_of(INSTALL.format(settings="image: kopia:1"))

    assert found == ("x@sha256:1", "kopia:1")


def test_the_trial_needs_an_image_for_the_servers() -> None:
    with pytest.raises(ClusterError, match=re.escape(trial.NO_KOPIA)):
        trial.images_of(INSTALL.format(settings="pod: {}"))


def test_the_trial_refuses_a_release_that_was_changed(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="has no release"):
        trial.run(tmp_path)
    (tmp_path / "install.yaml").write_text("one")
    (tmp_path / sums.FILE).write_text(sums.of(tmp_path))
    (tmp_path / "install.yaml").write_text("two")

    with pytest.raises(ClusterError, match="is not what its SHA256SUMS says"):
        trial.run(tmp_path)
