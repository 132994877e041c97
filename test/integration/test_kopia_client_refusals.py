"""What a client of a real Kopia server refuses, or names, and what is left then."""

from __future__ import annotations

import errno
import io
import os
from typing import TYPE_CHECKING, Final

import pytest

from integration import kopiaserver
from integration.kopiaserver import KopiaServer
from integration.kopiatrees import entries
from reconcilers.kopia.client.errors import ClientFailed, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconcilers.kopia.client.session import KopiaClient

AS_ROOT: Final = pytest.mark.skipif(os.geteuid() != 0, reason="needs the powers of root")

#: By the source that they are for.
POLICIES: Final = {
    "/identical": ("--ignore-identical-snapshots=true",),
    "/ignored": ("--ignore-file-errors=true",),
}
NOBODY: Final = 65534


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KopiaServer]:
    folder = tmp_path_factory.mktemp("server")
    with KopiaServer(folder, kopiaserver.kopia(), policies=POLICIES) as running:
        yield running


@pytest.fixture
def client(server: KopiaServer) -> Iterator[KopiaClient]:
    with server.client() as opened:
        yield opened


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
