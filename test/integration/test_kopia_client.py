"""A client backs up to, and restores from, a real Kopia server."""

from __future__ import annotations

import contextlib
import io
import os
from typing import TYPE_CHECKING, Final

import pytest

from integration import kopiaserver
from integration.kopiaserver import KopiaServer
from integration.kopiatrees import HOLE_BYTES, as_kept, entries, take_over, write_tree
from reconcilers.kopia.client.commands import PIN
from reconcilers.kopia.client.errors import ClientFailed, InvalidRequest, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconcilers.kopia.client.model import Progress
    from reconcilers.kopia.client.session import KopiaClient

AS_ROOT: Final = pytest.mark.skipif(os.geteuid() != 0, reason="needs the powers of root")

#: By the source that it is for.
POLICIES: Final = {
    "/pinned": ("--keep-latest=1", *(f"--keep-{of}=0" for of in ("hourly", "daily", "weekly"))),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KopiaServer]:
    folder = tmp_path_factory.mktemp("server")
    with KopiaServer(folder, kopiaserver.kopia(), policies=POLICIES) as running:
        yield running


@pytest.fixture
def client(server: KopiaServer) -> Iterator[KopiaClient]:
    with server.client() as opened:
        yield opened


@AS_ROOT
def test_a_tree_is_restored_as_it_was(client: KopiaClient, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    write_tree(source)
    take_over(source)
    shown: list[Progress] = []

    snapshot = client.back_up(source, source="/tree", tags={"app": "db"}, on_progress=shown.append)
    restored = client.restore(snapshot.id, target, sparse=True)

    before = entries(source)
    assert entries(target) == as_kept(before)
    kinds = [one.kind for one in before.values()]
    assert (snapshot.files, snapshot.directories, snapshot.symlinks) == (
        kinds.count("-"),
        kinds.count("d"),
        kinds.count("l"),
    )
    assert (restored.files, restored.directories, restored.symlinks) == (
        snapshot.files,
        snapshot.directories,
        snapshot.symlinks,
    )
    assert snapshot.size == sum(len(one.content) for one in before.values() if one.kind == "-")
    assert snapshot.tags == {"app": "db"}
    assert snapshot.pins == (PIN,)
    assert (target / "with a hole").stat().st_blocks * 512 < HOLE_BYTES / 2
    assert shown[-1].files == snapshot.files + snapshot.symlinks


def test_what_kopia_does_not_keep_is_as_documented(client: KopiaClient, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "one name").write_text("content")
    (source / "another name").hardlink_to(source / "one name")
    os.mkfifo(source / "pipe")
    with contextlib.suppress(OSError):  # a file system without them
        os.setxattr(source / "one name", "user.kept", b"no")

    client.restore(client.back_up(source, source="/not kept").id, target)

    assert sorted(path.name for path in target.iterdir()) == ["another name", "one name"]
    assert (target / "one name").stat().st_nlink == 1
    assert os.listxattr(target / "one name") == []


def test_a_file_is_backed_up_and_restored_by_itself(client: KopiaClient, tmp_path: Path) -> None:
    (tmp_path / "file.zip").write_text("content")

    snapshot = client.back_up(tmp_path / "file.zip", source="/file")
    client.restore(snapshot.id, tmp_path / "new" / "folder" / "copy.zip")

    assert (tmp_path / "new" / "folder" / "copy.zip").read_text() == "content"
    assert (snapshot.files, snapshot.size) == (1, len("content"))


def test_a_part_is_restored_by_its_path(client: KopiaClient, tmp_path: Path) -> None:
    (tmp_path / "source" / "a" / "b").mkdir(parents=True)
    (tmp_path / "source" / "a" / "b" / "file").write_text("content")
    (tmp_path / "source" / "other").touch()
    snapshot = client.back_up(tmp_path / "source", source="/part")

    client.restore(snapshot.id, tmp_path / "folder", path="/a/b/")
    client.restore(snapshot.id, tmp_path / "file", path="a/b/file")
    client.restore(snapshot.root, tmp_path / "whole")

    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "content"
    assert sorted(path.name for path in (tmp_path / "whole").iterdir()) == ["a", "other"]


def test_all_snapshots_of_a_source_are_kept_until_they_are_deleted(
    server: KopiaServer, client: KopiaClient, tmp_path: Path
) -> None:
    # By its policy the latest one is.
    (tmp_path / "source").mkdir()

    made = [client.back_up(tmp_path / "source", source="/pinned").id for _ in range(3)]

    assert [one.id for one in client.snapshots(source="/pinned")] == made
    assert client.delete([made[0], made[0], "0" * 32]) == made[:1]
    assert client.delete(made[:1]) == []
    assert [one["id"] for one in server.snapshots("/pinned")] == made[1:]


def test_folders_of_the_same_path_are_apart_by_their_source(
    client: KopiaClient, tmp_path: Path
) -> None:
    # Name, size, time, mode and owner are the same: Kopia takes the file for unchanged.
    source, target = tmp_path / "data", tmp_path / "restored"
    source.mkdir()
    made = {}
    for text, name, force_hash in (
        ("first", "/claim-0", False),
        ("other", "/claim-1", False),
        ("third", "/claim-0", True),
    ):
        (source / "file").write_text(text)
        os.utime(source / "file", (1, 1))
        made[text] = client.back_up(source, source=name, force_hash=force_hash).id

    for text, snapshot in made.items():
        client.restore(snapshot, target)
        assert (target / "file").read_text() == text


def test_snapshots_are_found_by_source_and_tags(client: KopiaClient, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    first = client.back_up(tmp_path / "source", source="/found", tags={"a": "1", "b": "x:y"})
    second = client.back_up(tmp_path / "source", source="/found/below", tags={"a": "1"})

    assert client.snapshots(tags={"a": "1"}) == [
        client.snapshot(first.id),
        client.snapshot(second.id),
    ]
    assert [one.id for one in client.snapshots(tags={"a": "1", "b": "x:y"})] == [first.id]
    # Kopia's own list has those of the folders above as well.
    assert [one.id for one in client.snapshots(source="/found/below")] == [second.id]
    assert client.snapshots(source="/nowhere") == []


def test_a_stream_has_the_shape_of_kandos(client: KopiaClient) -> None:
    content = os.urandom(3_000_000)

    snapshot = client.back_up_stream(io.BytesIO(content), directory="/dumps", name="db.sql")

    assert (snapshot.files, snapshot.directories, snapshot.size) == (1, 1, len(content))
    assert snapshot.source == f"{kopiaserver.USER}@{kopiaserver.HOST}:/dumps"
    copy = io.BytesIO()
    assert client.restore_stream(snapshot.id, "db.sql", copy) == len(content)
    assert copy.getvalue() == content
    with pytest.raises(ClientFailed) as caught:
        client.restore_stream(snapshot.id, "another", io.BytesIO())
    assert caught.value.kind is Kind.NO_SUCH_SNAPSHOT


def test_a_restore_overwrites_and_keeps_what_the_snapshot_does_not_have(
    client: KopiaClient, tmp_path: Path
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "folder").mkdir(parents=True)
    (source / "file").write_text("of the snapshot")
    (source / "link").symlink_to("file")
    snapshot = client.back_up(source, source="/over").id
    (target / "folder").mkdir(parents=True)
    (target / "file").write_text("a longer text that was there before")
    (target / "link").symlink_to("elsewhere")
    (target / "folder" / "other").write_text("kept")

    client.restore(snapshot, target)

    assert (target / "file").read_text() == "of the snapshot"
    assert (target / "link").readlink().name == "file"
    assert (target / "folder" / "other").read_text() == "kept"


def test_a_certificate_is_trusted_by_its_authority(server: KopiaServer, tmp_path: Path) -> None:
    connection = server.connection(fingerprint="", ca=server.certificate)

    with server.client(connection) as trusting:
        assert trusting.back_up(tmp_path, source="/authority").files == 0


def test_a_renewed_certificate_is_trusted_by_its_authority(
    server: KopiaServer, tmp_path: Path
) -> None:
    connection = server.connection(fingerprint="ab" * 32, ca=server.certificate)

    with server.client(connection) as trusting:
        assert trusting.back_up(tmp_path, source="/renewed").files == 0


def test_verification_reads_what_it_says(client: KopiaClient, tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / str(number)).write_bytes(os.urandom(1000))
    snapshot = client.back_up(tmp_path, source="/verified")

    whole, none = client.verify(snapshot.id), client.verify(snapshot.id, share=0.0)

    assert (whole.read_files, whole.read_size) == (snapshot.files, snapshot.size)
    assert (none.read_files, none.objects) == (0, snapshot.files + snapshot.directories)
    with pytest.raises(ClientFailed) as caught:
        client.verify("0" * 32)
    assert caught.value.kind is Kind.NO_SUCH_SNAPSHOT
    with pytest.raises(InvalidRequest, match="from 0 to 1"):
        client.verify(snapshot.id, share=1.5)
