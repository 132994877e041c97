"""What separates the users of one real server, and what access rules add: docs/security.md."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from integration import kopiaserver
from integration.kopiaserver import OTHER_HOST, OTHER_PASSWORD, OTHER_USER, KopiaServer
from reconcilers.kopia.client.errors import ClientFailed, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconcilers.kopia.client.model import Snapshot
    from reconcilers.kopia.client.session import KopiaClient

OWN_SNAPSHOTS: Final = "type=snapshot,hostname=OWN_HOST,username=OWN_USER"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KopiaServer]:
    with KopiaServer(tmp_path, kopiaserver.kopia()) as running:
        yield running


@pytest.fixture
def alice(server: KopiaServer) -> Iterator[KopiaClient]:
    with server.client() as opened:
        yield opened


@pytest.fixture
def bob(server: KopiaServer) -> Iterator[KopiaClient]:
    other = server.connection(username=OTHER_USER, hostname=OTHER_HOST, password=OTHER_PASSWORD)
    with server.client(other) as opened:
        yield opened


@pytest.fixture
def snapshot(alice: KopiaClient, tmp_path: Path) -> Snapshot:
    """Back up a file as one of the users."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "letter").write_text("to whom it may concern")
    return alice.back_up(folder, source="/letters")


def refuse(kind: Kind, client: KopiaClient, snapshot: Snapshot) -> None:
    """Have a client delete a snapshot, and see that it cannot."""
    with pytest.raises(ClientFailed) as refusal:
        client.delete([snapshot.id])
    assert refusal.value.kind is kind


def shown_to_bob(server: KopiaServer, object_: str) -> str:
    """Return what `kopia show` prints of an object whose id the other user knows."""
    connection = {"url": f"https://localhost:{server.port}"}
    config = {
        "apiServer": {**connection, "serverCertFingerprint": server.fingerprint},
        "caching": {"cacheDirectory": str(server.folder / "cache-of-bob")},
        "hostname": OTHER_HOST,
        "username": OTHER_USER,
    }
    (server.folder / "bob.config").write_text(json.dumps(config))
    return subprocess.run(  # noqa: S603 - a program of this project
        [server.executable, "--disable-file-logging", "show", object_],
        env={
            "HOME": str(server.folder),
            "KOPIA_CONFIG_PATH": str(server.folder / "bob.config"),
            "KOPIA_PASSWORD": OTHER_PASSWORD,
            "KOPIA_CHECK_FOR_UPDATES": "false",
        },
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_one_user_neither_sees_nor_deletes_the_snapshots_of_another(
    server: KopiaServer, bob: KopiaClient, snapshot: Snapshot
) -> None:
    assert bob.snapshots() == []
    with pytest.raises(ClientFailed) as refusal:
        bob.snapshot(snapshot.id)
    assert refusal.value.kind in (Kind.ACCESS_DENIED, Kind.NO_SUCH_SNAPSHOT)
    with pytest.raises(ClientFailed):
        bob.restore(snapshot.id, server.folder / "stolen")
    assert len(server.snapshots("/letters")) == 1


def test_a_user_may_delete_its_own_backups(
    server: KopiaServer, alice: KopiaClient, snapshot: Snapshot
) -> None:
    assert alice.delete([snapshot.id]) == [snapshot.id]
    assert server.snapshots("/letters") == []


@pytest.mark.parametrize("with_rules", [False, True], ids=["as it is", "with access rules"])
def test_whoever_knows_the_id_of_an_object_reads_it(
    server: KopiaServer, snapshot: Snapshot, *, with_rules: bool
) -> None:
    """Kopia's rules are about snapshots and policies; contents have no owner."""
    (found,) = server.snapshots("/letters")
    if with_rules:
        append_only(server)

    assert shown_to_bob(server, f"{found['rootEntry']['obj']}/letter") == "to whom it may concern"
    assert snapshot.id == found["id"]


def append_only(server: KopiaServer) -> None:
    """Do what docs/security.md says, and have the server read it."""
    server.command("server", "acl", "enable")
    for line in server.command("server", "acl", "list").splitlines():
        if "target:type=snapshot" in line:
            rule = re.match(r"id:([0-9a-f]+) ", line)
            assert rule is not None
            server.command("server", "acl", "delete", rule.group(1), "--delete")
    server.command(
        *("server", "acl", "add", "--user=*@*", "--access=APPEND", f"--target={OWN_SNAPSHOTS}")
    )
    server.kill()
    server.start()


def test_with_append_only_rules_a_user_backs_up_and_restores_and_deletes_nothing(
    server: KopiaServer, alice: KopiaClient, snapshot: Snapshot
) -> None:
    append_only(server)

    refuse(Kind.ACCESS_DENIED, alice, snapshot)
    (server.folder / "source" / "another").write_text("of today")
    second = alice.back_up(server.folder / "source", source="/letters")
    assert second.pins == snapshot.pins
    alice.restore(second.id, server.folder / "restored")
    assert (server.folder / "restored" / "another").read_text() == "of today"
    assert [one["id"] for one in server.snapshots("/letters")] == [snapshot.id, second.id]
