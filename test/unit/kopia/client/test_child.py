"""One run of Kopia, for which scripts stand here."""

from __future__ import annotations

import io
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

import pytest
from attrs import frozen

from controller.clock import SystemClock
from controller.stop import Stop
from e2e.waiting import wait_for
from fakes.clock import STUCK_AFTER, FakeClock
from reconcilers.kopia.client import child
from reconcilers.kopia.client.child import Patience, Streams
from reconcilers.kopia.client.connections import transferred
from reconcilers.kopia.client.errors import ClientFailed, Kind, ProducerFailed

if TYPE_CHECKING:
    from pathlib import Path

    from controller.clock import Clock
    from reconcilers.kopia.client.model import Ended, Progress

#: Long enough for whatever does not hang.
PATIENT: Final = Patience(30.0, 30.0)
ENVIRONMENT: Final = {"PATH": os.environ["PATH"]}
PROGRESS: Final = " | 1 hashing, 2 hashed (3 KB), 0 cached (0 B), uploaded 1 KB, estimating..."


def run(
    script: str, *, clock: Clock | None = None, patience: Patience = PATIENT, **more: Any
) -> Ended:
    """Run a script in the place of Kopia."""
    return child.run(
        ["/bin/sh", "-c", script],
        ENVIRONMENT,
        patience=patience,
        clock=clock or SystemClock(),
        **more,
    )


def test_output_log_progress_and_code_are_told_apart() -> None:
    shown: list[Progress] = []

    ended = run(
        f"echo begun >&2; printf '\\r%s' '{PROGRESS}' >&2; printf 'rest\\n' >&2; echo out; exit 3",
        streams=Streams(on_progress=shown.append),
    )

    assert (ended.code, ended.output, ended.lines) == (3, b"out\n", ("begun", "rest"))
    assert [(one.files, one.uploaded) for one in shown] == [(2, 1000)]
    assert ended.progress == shown[-1]
    assert shown[-1].rate > 0.0


def test_it_inherits_nothing_and_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMETHING", "else")

    assert run('echo "$SOMETHING"; cat').output == b"\n"


def test_a_signal_of_the_terminal_is_not_for_it() -> None:
    group = run("cut -d' ' -f5 /proc/$$/stat").output

    assert int(group) != os.getpgrp()


def test_all_output_is_read_however_long() -> None:
    assert len(run("head -c 3000000 /dev/zero; echo last line >&2").output) == 3_000_000


def test_of_a_long_log_the_end_is_kept() -> None:
    ended = run("i=0; while [ $i -lt 1000 ]; do i=$((i+1)); echo $i; done >&2")

    assert ended.lines == tuple(str(number) for number in range(801, 1001))


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClientFailed, match=r"there is no Kopia at .*/kopia: No such file"):
        child.run([str(tmp_path / "kopia")], {}, patience=PATIENT, clock=SystemClock())


@frozen
class Watched:
    """A run in a thread of its own, under a clock that the test moves."""

    clock: FakeClock
    thread: threading.Thread
    caught: list[ClientFailed]
    ended: list[Ended]

    def goes_on(self) -> bool:
        self.clock.block_until_waiters(1)
        return self.thread.is_alive()

    def failure(self) -> ClientFailed:
        self.thread.join(STUCK_AFTER)
        (error,) = self.caught
        return error


def watched(script: str, **more: Any) -> Watched:
    """Run a script with 5 s until the first sign of life, and 60 s between two."""
    clock, caught, ended = FakeClock(), [], []

    def whole() -> None:
        try:
            ended.append(run(script, clock=clock, patience=Patience(5.0, 60.0), **more))
        except ClientFailed as error:
            caught.append(error)

    thread = threading.Thread(target=whole, daemon=True)
    thread.start()
    return Watched(clock, thread, caught, ended)


def test_it_is_killed_if_it_says_nothing_at_all() -> None:
    of = watched("exec sleep 1000")

    assert of.goes_on()
    of.clock.step(4.9)
    assert of.goes_on()
    of.clock.step(0.2)

    assert of.failure().kind is Kind.CANNOT_CONNECT


def test_it_is_killed_if_it_shows_no_progress_for_too_long() -> None:
    shown = threading.Event()
    of = watched(
        f"printf '\\r%s\\r' '{PROGRESS}' >&2; exec sleep 1000",
        streams=Streams(on_progress=lambda _: shown.set()),
    )

    assert shown.wait(STUCK_AFTER)
    of.clock.step(59.9)
    assert of.goes_on()
    of.clock.step(0.2)

    assert of.failure().kind is Kind.STALLED


def test_it_is_not_killed_while_it_works_though_it_says_nothing(tmp_path: Path) -> None:
    stop = Stop()
    of = watched(f"echo $$ >{tmp_path}/pid; exec cat /dev/zero >/dev/null", stop=stop)
    pid = int(wait_for("it to begin", lambda: read(tmp_path / "pid")))

    # Each step is less than the time without a sign; all of them are more.
    for _ in range(15):
        assert of.goes_on()
        enough = (transferred(pid) or 0) + 100_000
        wait_for("it to work", lambda: transferred(pid) or 0, enough.__le__)
        of.clock.step(4.5)
    assert of.goes_on()
    stop.set()

    assert of.failure().kind is Kind.CANCELLED


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_the_other_end_of_a_stream_takes_its_time() -> None:
    shown, read, silent = threading.Event(), threading.Event(), threading.Event()

    class Silent(io.RawIOBase):
        """Gives a byte, and then nothing until it is told to end."""

        begun = False

        def read(self, _: int = -1) -> bytes:
            if not self.begun:
                self.begun = True
                return b"x"
            read.set()
            silent.wait(STUCK_AFTER)
            return b""

    of = watched(
        f"printf '\\r%s\\r' '{PROGRESS}' >&2; exec cat",
        streams=Streams(
            stdin=Silent(),
            on_progress=lambda _: shown.set(),
        ),
    )

    assert shown.wait(STUCK_AFTER)
    assert read.wait(STUCK_AFTER)
    of.clock.step(10_000.0)
    assert of.goes_on()
    silent.set()
    of.thread.join(STUCK_AFTER)

    assert [one.output for one in of.ended] == [b"x"]


def test_a_consumer_takes_its_time() -> None:
    shown, busy, done = threading.Event(), threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        """Takes what it is given once it is told to."""

        def write(self, content: Any, /) -> int:
            busy.set()
            done.wait(STUCK_AFTER)
            return super().write(content)

    to = Slow()
    of = watched(
        f"printf '\\r%s\\r' '{PROGRESS}' >&2; printf whole",
        streams=Streams(stdout=to, on_progress=lambda _: shown.set()),
    )

    assert shown.wait(STUCK_AFTER)
    assert busy.wait(STUCK_AFTER)
    of.clock.step(10_000.0)
    assert of.goes_on()
    done.set()
    of.thread.join(STUCK_AFTER)

    assert [one.passed_on for one in of.ended] == [len(to.getvalue())]


def test_the_stop_kills_it() -> None:
    stop = Stop()

    with pytest.raises(ClientFailed) as caught:
        run(
            f"printf '\\r%s\\r' '{PROGRESS}' >&2; exec sleep 1000",
            stop=stop,
            streams=Streams(on_progress=lambda _: stop.set()),
        )

    assert caught.value.kind is Kind.CANCELLED


def test_a_stop_that_is_set_before_kills_it() -> None:
    stop = Stop()
    stop.set()

    with pytest.raises(ClientFailed) as caught:
        run("exec sleep 1000", stop=stop)

    assert caught.value.kind is Kind.CANCELLED


def test_a_signal_that_it_ignores_does_not_keep_it() -> None:
    stop = Stop()

    with pytest.raises(ClientFailed):
        run(
            f"trap '' TERM INT; printf '\\r%s\\r' '{PROGRESS}' >&2; while :; do sleep 1; done",
            stop=stop,
            streams=Streams(on_progress=lambda _: stop.set()),
        )


def test_a_stream_is_fed_and_passed_on() -> None:
    content = os.urandom(1_000_000)
    to = io.BytesIO()

    ended = run("exec cat", streams=Streams(stdin=io.BytesIO(content), stdout=to))

    assert to.getvalue() == content
    assert (ended.output, ended.passed_on) == (b"", len(content))


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ProducerFailed("pg_dump ended with code 1"), id="its producer has failed"),
        pytest.param(OSError(5, "pg_dump ended with code 1"), id="it cannot be read"),
    ],
)
def test_the_end_of_a_stream_that_is_not_complete_is_not_shown(
    tmp_path: Path, error: Exception
) -> None:
    class Broken(io.RawIOBase):
        """Gives a byte, and then fails."""

        begun = False

        def read(self, _: int = -1) -> bytes:
            if self.begun:
                raise error
            self.begun = True
            return b"x"

    with pytest.raises(ClientFailed, match="pg_dump ended with code 1") as caught:
        run(f"cat; touch {tmp_path}/complete", streams=Streams(stdin=Broken()))

    assert caught.value.kind is Kind.PRODUCER
    assert list(tmp_path.iterdir()) == []


def test_a_stream_that_is_not_read_to_its_end_says_nothing_itself() -> None:
    content = io.BytesIO(bytes(1_000_000))

    assert run("echo no >&2; exit 1", streams=Streams(stdin=content)).lines == ("no",)


def test_a_consumer_that_has_gone_ends_it() -> None:
    class Gone:
        """Refuses whatever is written."""

        def write(self, _: object) -> int:
            raise BrokenPipeError(32, "Broken pipe")

        def flush(self) -> None:
            raise AssertionError("nothing was written")

    with pytest.raises(ClientFailed, match="Broken pipe") as caught:
        run("exec yes", streams=Streams(stdout=Gone()))

    assert caught.value.kind is Kind.CONSUMER


def test_a_fault_of_the_caller_ends_it() -> None:
    def fail(_: Progress) -> None:
        raise KeyError("secret-51d0")

    with pytest.raises(ClientFailed, match="KeyError") as caught:
        run(
            f"printf '\\r%s\\r' '{PROGRESS}' >&2; exec sleep 1000",
            streams=Streams(on_progress=fail),
        )

    assert caught.value.kind is Kind.UNKNOWN
    assert "secret-51d0" not in caught.value.message


#: Connects to a port, says so, and does something else for long.
CONNECTED: Final = """
import socket, sys, time
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("begun", file=sys.stderr, flush=True)
while True:
    time.sleep(0.05)
    print("busy", file=sys.stderr, flush=True)
"""


def test_it_is_killed_once_its_connection_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_LOOK_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def close() -> None:
            connection, _ = server.accept()
            connection.close()

        closer = threading.Thread(target=close)
        closer.start()
        with pytest.raises(ClientFailed, match="closed the connection") as caught:
            child.run(
                [sys.executable, "-c", CONNECTED, str(port)],
                ENVIRONMENT,
                patience=PATIENT,
                clock=SystemClock(),
                connected_to=port,
            )
        closer.join()

    assert caught.value.kind is Kind.SERVER_GONE


def test_a_stream_does_not_make_looks_more_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece of one wakes who waits. No time passes: one look has found no connection."""
    looked: list[int] = []

    def not_connected(pid: int, _: int) -> bool:
        looked.append(pid)
        return False

    monkeypatch.setattr(child, "is_connected", not_connected)

    ended = run(
        "echo begun >&2; exec cat >/dev/null",
        clock=FakeClock(),
        streams=Streams(stdin=io.BytesIO(bytes(16 << 20))),
        connected_to=1,
    )

    assert ended.code == 0
    assert len(looked) <= 1
