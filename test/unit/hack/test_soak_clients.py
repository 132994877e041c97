"""What a client of the soak takes for a backup that was reported done, and for one that is lost."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import define, field

from controller.errors import ClientError
from e2e.kubectl import Ran
from soaklib import clients
from soaklib.clients import FAILURES, FILES, BackupLoop, in_parallel

ME: Any = SimpleNamespace(password="password")
WRITTEN = {f"./{number}": f"sum{number}" for number in range(FILES)}
DONE = Ran(0, json.dumps({"id": "k1"}), "")


def listing(checksums: dict[str, str]) -> str:
    return "".join(f"{checksum}  {name}\n" for name, checksum in checksums.items())


@define
class FakeClient:
    """A pod whose commands end as told."""

    written: str = listing(WRITTEN)
    backup: Ran = DONE
    restored: Ran = field(factory=lambda: Ran(0, listing(WRITTEN), ""))
    failing_restores: int = 0
    connected: Ran = field(factory=lambda: Ran(0, "", ""))
    keeps_all: bool = False
    seconds: list[int] = field(factory=list)

    def shell(self, _directory: str, _script: str) -> str:
        return self.written

    def connect(self, _directory: str, _to: object, *, seconds: int) -> Ran:
        self.seconds.append(seconds)
        return self.connected

    def keep_all(self, _directory: str, _to: object) -> None:
        self.keeps_all = True

    def attempt_to_back_up(self, _directory: str, _to: object) -> Ran:
        return self.backup

    def attempt_to_restore(self, _directory: str, _to: object, _snapshot: str) -> Ran:
        if self.failing_restores:
            self.failing_restores -= 1
            return Ran(1, "", "connection reset")
        return self.restored


def loop(client: FakeClient) -> BackupLoop:
    info = {"url": "https://s.n.svc:51515", "serviceName": "s", "tlsFingerprint": "f"}
    server: Any = SimpleNamespace(
        name="server",
        get=lambda: {"metadata": {"namespace": "n"}, "status": {"serverInfo": info}},
        password_of=lambda: "password",
    )
    fake: Any = client
    return BackupLoop(server, fake)


def test_a_backup_that_is_reported_done_is_looked_for_in_the_end() -> None:
    client = FakeClient()
    one = loop(client)
    one.back_up(ME)

    assert one.counts.done == 1
    assert one.verify() == []
    client.restored = Ran(0, listing({**WRITTEN, "./0": "another"}), "")
    assert one.verify() == ["k1"]


def test_a_client_has_more_and_more_patience_until_it_is_let_in() -> None:
    client = FakeClient(connected=Ran(1, "", "access denied"))
    one = loop(client)

    for _ in range(5):
        with pytest.raises(FAILURES):
            one.prepare()
    client.connected = Ran(0, "", "")
    one.prepare()
    one.prepare()

    assert client.seconds == [5, 10, 15, 20, 20, 20, 5]


def test_kopia_is_told_to_remove_nothing() -> None:
    client = FakeClient()

    loop(client).prepare()

    assert client.keeps_all


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(FakeClient(backup=Ran(1, "", "failed")), id="Kopia says that it failed"),
        pytest.param(FakeClient(backup=Ran(0, "", "")), id="kubectl was cut off before the answer"),
        pytest.param(FakeClient(written="sum0  ./0\n"), id="nobody knows what was to be backed up"),
    ],
)
def test_what_was_not_reported_done_is_not_looked_for(client: FakeClient) -> None:
    one = loop(client)

    with pytest.raises(FAILURES):
        one.back_up(ME)

    assert one.counts.done == 0
    assert one.verify() == []


@pytest.mark.parametrize(
    "restored",
    [
        pytest.param(Ran(1, "", "content not found"), id="Kopia does not find it"),
        pytest.param(Ran(0, "sum0", ""), id="half of a line"),
    ],
)
def test_what_cannot_be_restored_is_lost(restored: Ran) -> None:
    client = FakeClient()
    one = loop(client)
    one.back_up(ME)
    client.restored = restored

    assert one.verify() == ["k1"]


def test_a_restore_that_works_when_it_is_repeated_is_no_loss() -> None:
    client = FakeClient(failing_restores=1)
    one = loop(client)
    one.back_up(ME)

    assert one.verify() == []
    assert one.counts.restored == 1


def test_all_is_lost_behind_a_server_that_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "CONNECT_SECONDS", 0.0)
    client = FakeClient()
    one = loop(client)
    one.back_up(ME)
    client.connected = Ran(1, "", "access denied")

    assert one.verify() == ["k1"]
    assert one.failure == "exit code 1: access denied"


def test_work_in_parallel_brings_all_results() -> None:
    assert sorted(in_parallel([lambda: ["a"], list, lambda: ["b"]])) == ["a", "b"]


def test_work_in_parallel_that_fails_is_not_taken_for_done() -> None:
    def fail() -> list[str]:
        raise ClientError("away")

    with pytest.raises(ClientError):
        in_parallel([list, fail])
