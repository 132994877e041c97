"""A client backs up to, and restores from, a real Kopia server."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from typing import TYPE_CHECKING, Final

import pytest
from attrs import evolve, frozen

from integration import kopiaserver
from integration.kopiaserver import KopiaServer
from reconcilers.kopia.client.commands import PIN
from reconcilers.kopia.client.errors import ClientFailed, InvalidRequest, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconcilers.kopia.client.model import Progress
    from reconcilers.kopia.client.session import KopiaClient

AS_ROOT: Final = pytest.mark.skipif(os.geteuid() != 0, reason="needs the powers of root")

#: By the source that they are for.
POLICIES: Final = {
    "/identical": ("--ignore-identical-snapshots=true",),
    "/pinned": ("--keep-latest=1", *(f"--keep-{of}=0" for of in ("hourly", "daily", "weekly"))),
    "/ignored": ("--ignore-file-errors=true",),
}
NOBODY: Final = 65534
HOLE_BYTES: Final = 64 * 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KopiaServer]:
    folder = tmp_path_factory.mktemp("server")
    with KopiaServer(folder, kopiaserver.kopia(), policies=POLICIES) as running:
        yield running


@pytest.fixture
def client(server: KopiaServer) -> Iterator[KopiaClient]:
    with server.client() as opened:
        yield opened


@frozen
class Entry:
    """What a restore must bring back of a file, a folder or a link."""

    kind: str
    mode: int
    owner: tuple[int, int]
    modified: int
    content: bytes


def entries(root: Path) -> dict[bytes, Entry]:
    """Return all that is below a folder, by its path, and the folder itself."""
    top = os.fsencode(root)
    paths = [top]
    for folder, directories, files in os.walk(top):
        paths += [os.path.join(folder, name) for name in (*directories, *files)]  # noqa: PTH118 - bytes
    return {os.path.relpath(path, top): entry(path) for path in paths}


def entry(path: bytes) -> Entry:
    found = os.lstat(path)
    content = b""
    if stat.S_ISLNK(found.st_mode):
        content = os.readlink(path)  # noqa: PTH115 - bytes
    elif stat.S_ISREG(found.st_mode):
        with open(path, "rb") as file:  # noqa: PTH123 - bytes
            content = file.read()
    return Entry(
        stat.filemode(found.st_mode)[0],
        stat.S_IMODE(found.st_mode),
        (found.st_uid, found.st_gid),
        found.st_mtime_ns,
        content,
    )


def as_kept(found: dict[bytes, Entry]) -> dict[bytes, Entry]:
    """Return what is below a folder as a restore brings it back.

    A folder that is not empty gets the newest time of what is below it (Kopia
    snapshot/snapshotfs/repofs.go), but for the root; a link's time is whole microseconds.
    """
    kept = dict(found)
    for path, one in found.items():
        below = [other.modified for name, other in found.items() if name.startswith(path + b"/")]
        if one.kind == "l":
            kept[path] = evolve(one, modified=-(-one.modified // 1000) * 1000)
        elif below:
            kept[path] = evolve(one, modified=max(below))
    return kept


def write_tree(root: Path) -> None:
    """Write many small files, and all that a file system may have besides."""
    root.mkdir()
    for number in range(300):
        folder = root / "many" / str(number % 10)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(number)).write_bytes(f"content {number}\n".encode() * number)
    odd = root / "odd names"
    odd.mkdir()
    for name in (
        "new\nline",
        "carriage\rreturn",
        "quo\"tes'",
        " space before, and behind ",
        "-dash",
        "--pin=x",
        "back\\slash",
        "*?[a]",
        "%41",
        "composed \u00fc, decomposed u\u0308",
        "\U0001f600",
        "control \x01",
        "x" * 255,
        ".hidden",
        "user@host:path",
    ):
        (odd / name).write_text(name)
    links = root / "links"
    links.mkdir()
    for name, to in {
        "to a file": "../many/0/0",
        "to a folder": "../many",
        "to nothing": "nowhere",
        "out of it": "/etc/hostname",
        "of bytes": os.fsdecode(b"\xff\xfe"),
    }.items():
        (links / name).symlink_to(to)
    (root / "one name").write_text("two names")
    (root / "another name").hardlink_to(root / "one name")
    (root / "empty folder").mkdir()
    (root / "empty file").touch()
    with (root / "with a hole").open("wb") as file:
        file.write(b"begin")
        file.seek(HOLE_BYTES)
        file.write(b"end")
    modes = root / "modes"
    modes.mkdir()
    for mode in (0o400, 0o644, 0o755, 0o777, 0o4755, 0o2755, 0o1755):
        (modes / oct(mode)).write_text(oct(mode))
        (modes / oct(mode)).chmod(mode)
    (root / "sticky").mkdir()
    (root / "sticky").chmod(0o1777)
    os.utime(modes / "0o644", ns=(1, 1234567890_123456789))
    os.utime(links / "to nothing", ns=(1, 1000000000_000000001), follow_symlinks=False)
    os.utime(root / "empty folder", ns=(1, 999999999_000000001))


def take_over(root: Path) -> None:
    """Have some files belong to others, as only root can."""
    for number, name in enumerate(("many/1", "many/1/1", "odd names/-dash", "links/to a file")):
        os.chown(root / name, 1000 + number, 2000 + number, follow_symlinks=False)
    # A change of the owner takes these bits off.
    (root / "modes" / oct(0o4755)).chmod(0o4755)


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


def test_a_name_that_would_be_kept_as_another_is_refused(
    server: KopiaServer, client: KopiaClient, tmp_path: Path
) -> None:
    folder = tmp_path / "source" / "below"
    folder.mkdir(parents=True)
    for name in (b"\xfe", b"\xff"):
        (folder / os.fsdecode(name)).touch()

    with pytest.raises(ClientFailed, match=r"the name of 'below/\\xf[ef]' is not UTF-8") as caught:
        client.back_up(tmp_path / "source", source="/bytes")

    assert caught.value.kind is Kind.SOURCE_UNREADABLE
    assert server.snapshots("/bytes") == []


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


@pytest.mark.parametrize(
    ("in_the_way", "target"),
    [
        pytest.param("file/", "", id="a folder where the snapshot has a file"),
        pytest.param("folder", "", id="a file where the snapshot has a folder"),
        pytest.param("link", "", id="a file where the snapshot has a link"),
        pytest.param("plain", "plain/below", id="a file where a folder must be made on the way"),
    ],
)
def test_what_is_in_the_way_of_a_restore_is_named(
    client: KopiaClient, tmp_path: Path, in_the_way: str, target: str
) -> None:
    source, root = tmp_path / "source", tmp_path / "target"
    (source / "folder").mkdir(parents=True)
    (source / "file").touch()
    (source / "link").symlink_to("file")
    snapshot = client.back_up(source, source="/in the way").id
    root.mkdir()
    if in_the_way.endswith("/"):
        (root / in_the_way).mkdir()
    else:
        (root / in_the_way).touch()

    with pytest.raises(ClientFailed, match=str(root / in_the_way)) as caught:
        client.restore(snapshot, root / target)

    assert caught.value.kind is Kind.TARGET


@AS_ROOT
def test_a_restore_that_cannot_give_files_to_their_owners_fails(
    server: KopiaServer, client: KopiaClient, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").touch()
    os.chown(source / "file", NOBODY, NOBODY)
    snapshot = client.back_up(source, source="/owners").id
    weak = kopiaserver.without_powers(tmp_path, server.executable)

    with (
        server.client(executable=weak) as powerless,
        pytest.raises(ClientFailed, match="run as root") as caught,
    ):
        powerless.restore(snapshot, tmp_path / "target")

    assert caught.value.kind is Kind.OWNERS


@AS_ROOT
@pytest.mark.parametrize("name", ["file", "folder"])
def test_what_cannot_be_read_fails_the_backup_and_leaves_nothing(
    server: KopiaServer, tmp_path: Path, name: str
) -> None:
    source = tmp_path / "source"
    (source / "folder").mkdir(parents=True)
    (source / "file").touch()
    (source / name).chmod(0)
    os.chown(source / name, NOBODY, NOBODY)
    weak = kopiaserver.without_powers(tmp_path, server.executable)

    with (
        server.client(executable=weak) as powerless,
        pytest.raises(ClientFailed, match=f"{name}: .*permission denied") as caught,
    ):
        powerless.back_up(source, source="/unreadable")

    assert caught.value.kind is Kind.SOURCE_UNREADABLE
    assert server.snapshots("/unreadable") == []


def test_what_is_not_there_cannot_be_backed_up(server: KopiaServer, client: KopiaClient) -> None:
    with pytest.raises(ClientFailed, match="it is not there") as caught:
        client.back_up("/not/there", source="/none")

    assert caught.value.kind is Kind.SOURCE_UNREADABLE
    assert server.snapshots("/none") == []


@AS_ROOT
def test_a_full_disk_is_named_and_another_restore_completes_what_is_there(
    client: KopiaClient, tmp_path: Path
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    for number in range(4):
        (source / str(number)).write_bytes(os.urandom(1_000_000))
    snapshot = client.back_up(source, source="/full").id
    target.mkdir()
    with kopiaserver.small_disk(target, megabytes=2):
        with pytest.raises(ClientFailed, match=f"{target} is full") as caught:
            client.restore(snapshot, target)
        assert caught.value.kind is Kind.DISK_FULL
        # A file that is not complete has its full length: only another restore tells.
        assert entries(target) != entries(source)
        kopiaserver.enlarge(target, megabytes=20)

        client.restore(snapshot, target)

        assert entries(target) == entries(source)


def test_a_consumer_that_has_gone_ends_the_restore_of_a_stream(client: KopiaClient) -> None:
    content = io.BytesIO(os.urandom(2_000_000))
    snapshot = client.back_up_stream(content, directory="/consumed", name="file").id
    reader, writer = os.pipe()
    os.close(reader)

    with (
        os.fdopen(writer, "wb", buffering=0) as to,
        pytest.raises(ClientFailed, match=os.strerror(errno.EPIPE)) as caught,
    ):
        client.restore_stream(snapshot, "file", to)

    assert caught.value.kind is Kind.CONSUMER


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        pytest.param({"password": "wrong"}, Kind.ACCESS_DENIED, id="a wrong password"),
        pytest.param({"username": "eve"}, Kind.ACCESS_DENIED, id="a user that is not known"),
        pytest.param({"fingerprint": "ab" * 32}, Kind.CERTIFICATE, id="another certificate"),
    ],
)
def test_a_connection_that_is_refused_is_named(
    server: KopiaServer, tmp_path: Path, changes: dict[str, str], kind: Kind
) -> None:
    with (
        server.client(server.connection(**changes)) as refused,
        pytest.raises(ClientFailed) as caught,
    ):
        refused.back_up(tmp_path)

    assert caught.value.kind is kind
    assert "password" not in changes or changes["password"] not in caught.value.output


def test_a_certificate_is_trusted_by_its_authority(server: KopiaServer, tmp_path: Path) -> None:
    connection = server.connection(fingerprint="", ca=server.certificate)

    with server.client(connection) as trusting:
        assert trusting.back_up(tmp_path, source="/authority").files == 0


def test_the_snapshots_of_another_user_are_left_alone(
    server: KopiaServer, client: KopiaClient, tmp_path: Path
) -> None:
    snapshot = client.back_up(tmp_path, source="/of alice").id
    bob = server.connection(
        username=kopiaserver.OTHER_USER,
        hostname=kopiaserver.OTHER_HOST,
        password=kopiaserver.OTHER_PASSWORD,
    )

    with server.client(bob) as other:
        assert other.snapshots() == []
        for attempt in (
            lambda: other.delete([snapshot]),
            lambda: other.restore(snapshot, tmp_path / "taken"),
            lambda: other.verify(snapshot),
        ):
            with pytest.raises(ClientFailed) as caught:
                attempt()
            assert caught.value.kind is Kind.ACCESS_DENIED

    assert [one["id"] for one in server.snapshots("/of alice")] == [snapshot]


@AS_ROOT
def test_a_policy_that_would_hide_what_cannot_be_read_is_found(
    server: KopiaServer, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").touch(mode=0)
    os.chown(source / "file", NOBODY, NOBODY)
    weak = kopiaserver.without_powers(tmp_path, server.executable)

    with (
        server.client(executable=weak) as powerless,
        pytest.raises(ClientFailed, match="policy of the repository says to ignore") as caught,
    ):
        powerless.back_up(source, source="/ignored")

    assert caught.value.kind is Kind.SOURCE_UNREADABLE
    assert server.snapshots("/ignored") == []


def test_a_policy_by_which_there_would_be_no_snapshot_is_named(
    server: KopiaServer, client: KopiaClient, tmp_path: Path
) -> None:
    first = client.back_up(tmp_path, source="/identical")

    with pytest.raises(ClientFailed, match="ignores identical snapshots") as caught:
        client.back_up(tmp_path, source="/identical")

    assert caught.value.kind is Kind.POLICY
    assert [one["id"] for one in server.snapshots("/identical")] == [first.id]


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


def test_damage_of_the_storage_is_found(
    server: KopiaServer, client: KopiaClient, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(os.urandom(5_000_000))
    before = set(server.repository.rglob("*.f"))
    snapshot = client.back_up(tmp_path, source="/damaged")
    (pack,) = (
        path
        for path in set(server.repository.rglob("*.f")) - before
        if path.stat().st_size > snapshot.size / 2
    )
    whole = pack.read_bytes()
    pack.chmod(0o600)
    pack.write_bytes(whole[:1000] + bytes(len(whole) - 2000) + whole[-1000:])
    server.forget_contents()

    try:
        with pytest.raises(ClientFailed) as verified:
            client.verify(snapshot.id)
        with pytest.raises(ClientFailed) as restored:
            client.restore(snapshot.id, tmp_path / "target")
    finally:
        pack.write_bytes(whole)
        server.forget_contents()

    assert [verified.value.kind, restored.value.kind] == [Kind.DAMAGED, Kind.DAMAGED]
