"""What a client does after each failure of a backup; a script stands for Kopia."""

from __future__ import annotations

import copy
import io
import json
import os
from typing import TYPE_CHECKING, Final

import pytest
from attrs import evolve

from fakes.clock import InstantClock
from fakes.kopiascript import (
    CONFLICT,
    CREATE,
    DELETE,
    GONE,
    ID,
    LIST,
    Script,
    manifest,
)
from reconcilers.kopia.client import runner
from reconcilers.kopia.client.errors import ClientFailed, Kind
from reconcilers.kopia.client.model import Limits, ServerConnection
from reconcilers.kopia.client.session import KopiaClient

if TYPE_CHECKING:
    from pathlib import Path

CONNECTION: Final = ServerConnection("https://server:1", "u", "h", "secret-51d0", "0a" * 32)
UNREAD: Final = manifest(
    incomplete="canceled",
    rootEntry={
        "obj": "k" + ID,
        "summ": {
            **manifest()["rootEntry"]["summ"],
            "numFailed": 1,
            "errors": [{"path": "a", "error": "open /data/a: permission denied"}],
        },
    },
)
IGNORED: Final = copy.deepcopy(manifest())
IGNORED["rootEntry"]["summ"]["numIgnoredErrors"] = 3


def test_a_snapshot_is_returned_with_what_was_sent(
    client: KopiaClient, script: Script, tmp_path: Path
) -> None:
    last = " * 0 hashing, 1 hashed (5 B), 0 cached (0 B), uploaded 1.2 KB, estimating..."
    script.answers(CREATE, manifest(), log=last)

    made = client.back_up(tmp_path, source="/s")

    assert (made.id, made.uploaded) == (ID, 1200)
    assert script.ran == [CREATE]


@pytest.mark.parametrize(
    ("printed", "log", "code", "kind", "says"),
    [
        pytest.param(
            UNREAD,
            "Found 1 fatal error(s) while snapshotting u@h:/s.",
            1,
            Kind.SOURCE_UNREADABLE,
            "a: open /data/a: permission denied; nothing was kept",
            id="what could not be read, of which Kopia saves a snapshot",
        ),
        pytest.param(
            manifest(),
            "flush error: error waiting for async writes: unable to write session marker: full",
            1,
            Kind.REPOSITORY,
            "cannot back up",
            id="what the server could not keep, of which Kopia prints a snapshot",
        ),
        pytest.param(
            IGNORED, "", 0, Kind.SOURCE_UNREADABLE, "says to ignore", id="what a policy ignores"
        ),
        pytest.param(
            manifest(incomplete="checkpoint"),
            "",
            0,
            Kind.UNKNOWN,
            "not complete (checkpoint) and was deleted",
            id="what is not complete, and is not said to have failed",
        ),
        pytest.param("", "", 0, Kind.POLICY, "ignores identical snapshots", id="nothing was made"),
        pytest.param("{", "", 0, Kind.NOT_UNDERSTOOD, "Kopia 0.23.1", id="another Kopia"),
        pytest.param("", "odd", 3, Kind.UNKNOWN, "ended with code 3: odd", id="anything else"),
    ],
)
def test_of_a_backup_that_has_failed_nothing_is_left(
    client: KopiaClient,
    script: Script,
    tmp_path: Path,
    *,
    printed: object,
    log: str,
    code: int,
    kind: Kind,
    says: str,
) -> None:
    script.answers(CREATE, printed, log=log, code=code)
    script.answers(LIST, [manifest(incomplete="canceled")])
    script.answers(DELETE)

    with pytest.raises(ClientFailed) as caught:
        client.back_up(tmp_path, source="/s")

    assert caught.value.kind is kind
    assert says in caught.value.message
    assert script.ran == [CREATE, LIST, DELETE]


def test_what_an_attempt_has_left_is_removed_before_the_next(
    client: KopiaClient, script: Script, tmp_path: Path
) -> None:
    script.answers(CREATE, log=GONE, code=1, once=True)
    script.answers(CREATE, manifest())
    script.answers(LIST, [manifest()])
    script.answers(DELETE)

    assert client.back_up(tmp_path, source="/s").id == ID

    assert script.ran == [CREATE, LIST, DELETE, CREATE]


def test_an_attempt_of_a_killed_client_is_looked_for_twice(
    client: KopiaClient, script: Script, tmp_path: Path
) -> None:
    # The server completes what it was told once it notes that the client has gone.
    script.answers(CREATE, code=137, log="Snapshotting u@h:/s ...\nsignal: killed")
    script.answers(LIST, [], once=True)
    script.answers(LIST, [manifest()])
    script.answers(DELETE)

    with pytest.raises(ClientFailed) as caught:
        client.back_up(tmp_path, source="/s")

    assert caught.value.kind is Kind.OUT_OF_MEMORY
    assert script.ran == [CREATE, LIST, LIST, DELETE]


def test_what_could_not_be_looked_for_is_named(
    client: KopiaClient, script: Script, tmp_path: Path
) -> None:
    script.answers(CREATE, log=GONE, code=1)
    script.answers(LIST, log=GONE, code=1)

    with pytest.raises(ClientFailed) as caught:
        client.back_up(tmp_path, source="/s")

    assert caught.value.kind is Kind.SERVER_GONE
    assert "(server gone): delete the snapshots that `kopia snapshot list" in caught.value.message
    # The second and third try end before they begin.
    assert script.ran == [CREATE, LIST, LIST, LIST]


def test_a_retry_takes_the_connection_of_then(script: Script, tmp_path: Path) -> None:
    script.answers(CREATE, log=GONE, code=1, once=True)
    script.answers(CREATE, manifest())
    script.answers(LIST, [])
    reached: list[ServerConnection] = []

    def reach(connection: ServerConnection, *_: object, **__: object) -> ServerConnection:
        reached.append(connection)
        return connection

    told: list[Kind] = []
    other = evolve(CONNECTION, fingerprint="0b" * 32)

    with (
        pytest.MonkeyPatch.context() as patch,
        KopiaClient(
            CONNECTION,
            reconnect=lambda: other,
            on_retry=lambda error: told.append(error.kind),
            clock=InstantClock(),
            executable=str(script.path),
            directory=tmp_path,
        ) as client,
    ):
        patch.setattr(runner, "wait_until_reached", reach)
        client.back_up(tmp_path / "source", source="/s")
        (config,) = tmp_path.glob("*/repository.config")
        assert "0b" * 32 in config.read_text()

    assert reached == [CONNECTION, other]
    assert told == [Kind.SERVER_GONE]


def test_a_server_that_is_trusted_by_its_authority_is_so_by_kopia(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its certificate was renewed since the fingerprint was read."""
    script.answers(CREATE, manifest())

    def reach(connection: ServerConnection, *_: object, **__: object) -> ServerConnection:
        return evolve(connection, fingerprint="")

    monkeypatch.setattr(runner, "wait_until_reached", reach)
    with KopiaClient(
        evolve(CONNECTION, ca="an authority"),
        clock=InstantClock(),
        executable=str(script.path),
        directory=tmp_path,
    ) as client:
        client.back_up(tmp_path / "source", source="/s")
        (config,) = tmp_path.glob("*/repository.config")

        assert json.loads(config.read_text())["apiServer"]["serverCertFingerprint"] == ""
        assert config.with_name("ca.crt").read_text() == "an authority"


def test_a_server_that_does_not_come_back_is_said_to_have_gone(
    client: KopiaClient, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([None, ClientFailed(Kind.CANNOT_CONNECT, "no answer")])

    def reach(connection: ServerConnection, *_: object, **__: object) -> ServerConnection:
        if error := next(answers):
            raise error
        return connection

    monkeypatch.setattr(runner, "wait_until_reached", reach)
    script.answers(CREATE, log=GONE, code=1)
    script.answers(LIST, [])

    with pytest.raises(ClientFailed, match=r"went away .*; it did not come back: no") as caught:
        client.back_up(tmp_path, source="/s")

    assert caught.value.kind is Kind.SERVER_GONE


def test_a_name_that_kopia_would_not_keep_is_refused_before_it_is_started(
    client: KopiaClient, script: Script, tmp_path: Path
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / os.fsdecode(b"\xff")).touch()

    with pytest.raises(ClientFailed, match="not UTF-8"):
        client.back_up(tmp_path / "source", source="/s")

    assert script.ran == []


@pytest.mark.parametrize(
    ("reads", "log"),
    [
        pytest.param("", CONFLICT, id="before it has read anything"),
        pytest.param("head -c 100000 >/dev/null", GONE, id="in the middle of a stream"),
        pytest.param("cat >/dev/null", GONE, id="at the end of one"),
    ],
)
def test_a_stream_is_given_again_from_its_beginning(
    client: KopiaClient, script: Script, tmp_path: Path, reads: str, log: str
) -> None:
    content = os.urandom(1_000_000)
    script.answers(CREATE, log=log, code=1, once=True, reads=reads)
    script.answers(CREATE, manifest(), reads=f"cat >{tmp_path}/read")
    script.answers(LIST, [])

    assert client.back_up_stream(io.BytesIO(content), directory="/d", name="f").id == ID

    assert (tmp_path / "read").read_bytes() == content
    assert script.ran == [CREATE, LIST, CREATE]


def test_a_stream_of_which_too_much_was_read_is_not_given_again(
    client: KopiaClient, script: Script
) -> None:
    script.answers(CREATE, log=GONE, code=1, reads="cat >/dev/null")
    script.answers(LIST, [])
    content = io.BytesIO(bytes(Limits().replay_bytes + 1))

    with pytest.raises(ClientFailed) as caught:
        client.back_up_stream(content, directory="/d", name="f")

    assert caught.value.kind is Kind.SERVER_GONE
    assert caught.value.message.endswith(
        "it was not tried again by itself: more than 4 MiB of the stream were read"
    )
    assert script.ran.count(CREATE) == 1


def test_a_stream_that_fails_each_time_says_how_often(client: KopiaClient, script: Script) -> None:
    script.answers(CREATE, log=CONFLICT, code=1)
    script.answers(LIST, [])

    with pytest.raises(ClientFailed, match=r"; it was tried 3 times$") as caught:
        client.back_up_stream(io.BytesIO(b"x"), directory="/d", name="f")

    assert caught.value.kind is Kind.CONFLICT
    assert script.ran.count(CREATE) == 3
