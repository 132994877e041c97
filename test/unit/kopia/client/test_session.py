"""What a client does with what Kopia prints; a script stands for Kopia, and no server is asked."""

from __future__ import annotations

import copy
import io
import json
import os
from shlex import quote
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, evolve

from fakes.clock import InstantClock
from reconcilers.kopia.client import runner
from reconcilers.kopia.client.errors import ClientFailed, InvalidRequest, Kind
from reconcilers.kopia.client.model import Limits, ServerConnection
from reconcilers.kopia.client.session import KopiaClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONNECTION = ServerConnection("https://server:1", "u", "h", "secret-51d0", "0a" * 32)
ID = "0123456789abcdef0123456789abcdef"


def manifest(**changes: Any) -> dict[str, Any]:
    """Return a snapshot as Kopia prints it."""
    summary = {"size": 5, "files": 1, "symlinks": 0, "dirs": 1, "numFailed": 0}
    return {
        "id": ID,
        "source": {"host": "h", "userName": "u", "path": "/s"},
        "startTime": "2026-11-28T18:21:26Z",
        "endTime": "2026-11-28T18:21:27Z",
        "rootEntry": {"obj": "k" + ID, "summ": summary},
        **changes,
    }


#: Finds the next answer to a command, whose words are those that are no flags.
SCRIPT = """#!/bin/sh
words=
for word; do case "$word" in -*) ;; *) words="$words $word" ;; esac; done
set -- $words
command=$1-$2
[ "$1" != show ] || command=show
echo "$command" >>{folder}/log
for answer in {folder}/"$command".*; do
  case "$answer" in
    *.once) mv "$answer" "$answer.used" && . "$answer.used" ;;
    *.always) . "$answer" ;;
  esac
done
echo "there is no answer to $command" >&2
exit 9
"""


@define
class Script:
    """Stands for Kopia: it does of each command what a test has said.

    Args:
        folder: Of the script and its answers.
    """

    folder: Path
    count: int = 0

    @property
    def path(self) -> Path:
        return self.folder / "kopia"

    def answers(
        self, command: str, output: object = "", *, log: str = "", code: int = 0, once: bool = False
    ) -> None:
        """Say what a command prints and how it ends.

        Args:
            command: Its two words.
            output: A text, or what is printed as JSON.
            log: Printed on standard error.
            code: Its exit code.
            once: Whether only the next one does so.
        """
        self.count += 1
        text = output if isinstance(output, str) else json.dumps(output)
        answer = self.folder / f"{command}.{self.count:03}.{'once' if once else 'always'}"
        answer.write_text(f"printf %s {quote(text)}; printf %s {quote(log)} >&2; exit {code}\n")

    @property
    def ran(self) -> list[str]:
        """The commands so far."""
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def script(tmp_path: Path) -> Script:
    made = Script(tmp_path / "script")
    made.folder.mkdir()
    made.path.write_text(SCRIPT.format(folder=made.folder))
    made.path.chmod(0o755)
    return made


@pytest.fixture
def client(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KopiaClient]:
    monkeypatch.setattr(runner, "wait_until_reached", lambda *_, **__: None)
    with KopiaClient(
        CONNECTION,
        limits=Limits(retries=2),
        clock=InstantClock(),
        executable=str(script.path),
        directory=tmp_path,
    ) as opened:
        yield opened


GONE = "flush error: rpc error: code = Unavailable desc = closing transport: EOF"
CREATE, LIST, DELETE = "snapshot-create", "snapshot-list", "snapshot-delete"
RESTORE, SHOW_MANIFEST, SHOW = "snapshot-restore", "manifest-show", "show"
SUMMARY = "Restored {files} files, 1 directories and 0 symbolic links (5 B)."
UNREAD = manifest(
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
IGNORED = copy.deepcopy(manifest())
IGNORED["rootEntry"]["summ"]["numIgnoredErrors"] = 3


def shown(printed: dict[str, Any]) -> str:
    """Return what `manifest show` prints of a snapshot."""
    return f"// label type:snapshot\n{json.dumps(printed)}"


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
    other = evolve(CONNECTION, fingerprint="0b" * 32)

    with (
        pytest.MonkeyPatch.context() as patch,
        KopiaClient(
            CONNECTION,
            reconnect=lambda: other,
            clock=InstantClock(),
            executable=str(script.path),
            directory=tmp_path,
        ) as client,
    ):
        patch.setattr(runner, "wait_until_reached", lambda one, *_, **__: reached.append(one))
        client.back_up(tmp_path / "source", source="/s")
        (config,) = tmp_path.glob("*/repository.config")
        assert "0b" * 32 in config.read_text()

    assert reached == [CONNECTION, other]


def test_a_server_that_does_not_come_back_is_said_to_have_gone(
    client: KopiaClient, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([None, ClientFailed(Kind.CANNOT_CONNECT, "no answer")])

    def reach(*_: object, **__: object) -> None:
        if error := next(answers):
            raise error

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


def test_a_stream_is_not_read_twice(client: KopiaClient, script: Script) -> None:
    script.answers(CREATE, log=GONE, code=1)
    script.answers(LIST, [])

    with pytest.raises(ClientFailed) as caught:
        client.back_up_stream(io.BytesIO(b"x"), directory="/d", name="f")

    assert caught.value.kind is Kind.SERVER_GONE
    assert script.ran.count(CREATE) == 1


@pytest.mark.parametrize(
    ("printed", "log", "code", "there"),
    [
        pytest.param(shown(manifest()), "", 0, [ID], id="it is there"),
        pytest.param("", f'error getting metadata for "{ID}": not found', 1, [], id="it is gone"),
    ],
)
def test_a_deletion_says_what_was_there(
    client: KopiaClient, script: Script, *, printed: str, log: str, code: int, there: list[str]
) -> None:
    script.answers(SHOW_MANIFEST, printed, log=log, code=code)
    # Somebody else was quicker.
    script.answers(DELETE, log=f"no snapshots matched {ID}", code=1)

    assert client.delete([ID]) == there
    assert script.ran == [SHOW_MANIFEST, *([DELETE] if there else [])]


@pytest.mark.parametrize(
    ("of", "log", "kind", "says"),
    [
        pytest.param(
            manifest(),
            SUMMARY.format(files=0),
            Kind.DAMAGED,
            "0 files of snapshot",
            id="less than the snapshot has",
        ),
        pytest.param(manifest(), "", Kind.NOT_UNDERSTOOD, "how much", id="nobody knows what"),
        pytest.param(
            manifest(incomplete="checkpoint"),
            None,
            Kind.NO_SUCH_SNAPSHOT,
            "is not complete (checkpoint)",
            id="a snapshot that is not complete",
        ),
    ],
)
def test_a_restore_that_is_not_whole_fails(
    client: KopiaClient,
    script: Script,
    tmp_path: Path,
    *,
    of: dict[str, Any],
    log: str | None,
    kind: Kind,
    says: str,
) -> None:
    script.answers(SHOW_MANIFEST, shown(of))
    script.answers(RESTORE, log=log or "")

    with pytest.raises(ClientFailed) as caught:
        client.restore(ID, tmp_path / "target")

    assert caught.value.kind is kind
    assert says in caught.value.message
    assert (RESTORE in script.ran) is (log is not None)


def test_a_stream_that_comes_short_fails(client: KopiaClient, script: Script) -> None:
    script.answers(SHOW_MANIFEST, shown(manifest()))
    script.answers(SHOW, "four")

    with pytest.raises(ClientFailed, match="has 5 bytes, but 4 came") as caught:
        client.restore_stream(ID, "f", io.BytesIO())

    assert caught.value.kind is Kind.DAMAGED


@pytest.mark.parametrize(
    ("log", "code", "tries"),
    [
        pytest.param(GONE, 1, 2, id="nothing was written: it begins anew"),
        pytest.param(f"partial\n{GONE}", 1, 1, id="something was: it cannot"),
    ],
)
def test_a_stream_is_written_once(
    client: KopiaClient, script: Script, log: str, code: int, tries: int
) -> None:
    script.answers(SHOW_MANIFEST, shown(manifest()))
    script.answers(SHOW, "par" if "partial" in log else "", log=log, code=code, once=True)
    script.answers(SHOW, "whole")
    to = io.BytesIO()

    if tries == 2:
        assert client.restore_stream(ID, "f", to) == 5
    else:
        with pytest.raises(ClientFailed) as caught:
            client.restore_stream(ID, "f", to)
        assert caught.value.kind is Kind.SERVER_GONE

    assert script.ran.count(SHOW) == tries


def test_a_list_is_whole_or_fails(client: KopiaClient, script: Script) -> None:
    # Kopia goes on, and ends with code 0.
    script.answers(LIST, [], log=f"unable to parse snapshot manifest {ID}: {GONE}", once=True)
    gone = f"unable to parse snapshot manifest {ID}: snapshot not found"
    script.answers(LIST, [manifest(), manifest(id="f" * 32, incomplete="x")], log=gone)

    assert [one.id for one in client.snapshots()] == [ID]
    assert script.ran == [LIST, LIST]


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        pytest.param(
            lambda client: client.back_up("/data", source="data"),
            "begin it with /",
            id="a source that is no path",
        ),
        pytest.param(
            lambda client: client.back_up_stream(io.BytesIO(), directory="d", name="f"),
            "begin it with /",
            id="a folder of a stream that is no path",
        ),
        pytest.param(
            lambda client: client.back_up_stream(io.BytesIO(), directory="/d", name="a/f"),
            "without /",
            id="a file of a stream in another folder",
        ),
        pytest.param(
            lambda client: client.restore(ID, "/target", path="a/../../b"),
            r"without \.\.",
            id="a path that leads out of the snapshot",
        ),
        pytest.param(
            lambda client: client.restore("k" + ID[:8], "/target"),
            "32 hexadecimal digits",
            id="an id that is none",
        ),
        pytest.param(
            lambda client: client.restore_stream(ID, "/", io.BytesIO()),
            "no file of the snapshot is named",
            id="a stream of no file",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(
    client: KopiaClient, script: Script, ask: Callable[[KopiaClient], object], says: str
) -> None:
    script.answers(SHOW_MANIFEST, shown(manifest()))

    with pytest.raises(InvalidRequest, match=says):
        ask(client)

    assert set(script.ran) <= {SHOW_MANIFEST}


def test_a_client_works_inside_of_with_only(
    client: KopiaClient, script: Script, tmp_path: Path
) -> None:
    script.answers(LIST, [])
    assert client.snapshots() == []
    (folder,) = tmp_path.glob("kopia-client-*")
    assert folder.stat().st_mode & 0o777 == 0o700

    client.__exit__()

    assert not folder.exists()
    with pytest.raises(InvalidRequest, match="inside of `with`"):
        client.snapshots()
