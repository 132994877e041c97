"""What a client does, and what is left, when its server, its disk or its caller fails."""

from __future__ import annotations

import functools
import io
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Final

import pytest
from attrs import define, evolve, field

from controller.stop import Stop
from e2e.waiting import wait_for
from fakes.kopiascript import CONFLICT
from fakes.tcpproxy import TcpProxy
from integration import kopiaserver
from integration.kopiaserver import KopiaServer
from reconcilers.kopia.client.commands import ATTEMPT_TAG
from reconcilers.kopia.client.errors import ClientFailed, Kind, ProducerFailed
from reconcilers.kopia.client.model import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconcilers.kopia.client.model import Progress, ServerConnection

ROOT: Final = Path(__file__).parents[2]
BYTES: Final = 20_000_000
#: How long each piece of it takes on a slow path: some seconds for all.
CHUNK_SECONDS: Final = 0.01
#: How often a growing file grows, which is longer than its backup takes, and how long it rests.
APPENDS: Final = 1_000
APPEND_SECONDS: Final = 0.02
#: Real seconds after which a thread that has done nothing is stuck, not slow.
STUCK_AFTER: Final = 30.0
PATIENT: Final = Limits(connect_seconds=20.0, stalled_seconds=30.0, retries=2)
#: A connection takes a moment, more of it on a busy machine; a server that hangs makes none.
IMPATIENT: Final = Limits(
    connect_seconds=5.0,
    answer_seconds=30.0,
    stalled_seconds=3.0,
    clean_up_seconds=1.5,
    retries=1,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KopiaServer]:
    with KopiaServer(tmp_path_factory.mktemp("server"), kopiaserver.kopia()) as running:
        yield running


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with one file, which takes a moment."""
    folder = tmp_path_factory.mktemp("large")
    (folder / "file").write_bytes(os.urandom(BYTES))
    return folder


@define
class AtOnce:
    """Does something once, as soon as Kopia has shown progress."""

    act: Callable[[], object]
    done: bool = field(default=False, init=False)

    def __call__(self, progress: Progress) -> None:
        if progress.size and not self.done:
            self.done = True
            self.act()


@define
class SlowPath:
    """A way to the server that takes its time, so that what is made to happen happens meanwhile."""

    connection: ServerConnection
    proxy: TcpProxy

    def once(self, act: Callable[[], object]) -> AtOnce:
        """Return what does something once there is progress; from then on the way is quick."""

        def quicken() -> None:
            act()
            self.proxy.slow(0.0)

        return AtOnce(quicken)


@pytest.fixture
def path(server: KopiaServer) -> Iterator[SlowPath]:
    with TcpProxy("127.0.0.1", server.port) as proxy:
        proxy.slow(CHUNK_SECONDS)
        yield SlowPath(server.connection(url=f"https://localhost:{proxy.port}"), proxy)
        # A test that has failed does not take the others with it.
        server.resume()
        if not server.is_running():
            server.start()


def restarted(server: KopiaServer) -> None:
    server.kill()
    server.begin_to_start()


def test_a_backup_begins_anew_when_its_server_was_restarted(
    server: KopiaServer, path: SlowPath, large: Path
) -> None:
    fault = path.once(functools.partial(restarted, server))

    with server.client(path.connection, limits=PATIENT) as client:
        snapshot = client.back_up(large, source="/restarted", on_progress=fault)

    assert fault.done
    assert (snapshot.files, snapshot.size) == (1, BYTES)
    assert [one["id"] for one in server.snapshots("/restarted")] == [snapshot.id]


def test_a_backup_begins_anew_when_its_connection_was_cut(
    server: KopiaServer, path: SlowPath, large: Path
) -> None:
    fault = path.once(path.proxy.cut)

    with server.client(path.connection, limits=PATIENT) as client:
        snapshot = client.back_up(large, source="/cut", on_progress=fault)

    assert fault.done
    assert [one["id"] for one in server.snapshots("/cut")] == [snapshot.id]


def test_a_backup_takes_the_connection_of_a_server_that_has_come_back(
    server: KopiaServer, path: SlowPath, large: Path
) -> None:
    def move() -> None:
        # As if the server had come back with another certificate, or elsewhere.
        path.proxy.refuse()
        path.proxy.cut()

    fault = path.once(move)

    with server.client(path.connection, limits=PATIENT, reconnect=server.connection) as client:
        snapshot = client.back_up(large, source="/elsewhere", on_progress=fault)

    assert [one["id"] for one in server.snapshots("/elsewhere")] == [snapshot.id]


def test_a_backup_whose_server_does_not_come_back_fails(
    server: KopiaServer, path: SlowPath, large: Path
) -> None:
    fault = path.once(server.kill)

    with (
        server.client(path.connection, limits=IMPATIENT) as client,
        pytest.raises(ClientFailed, match="did not come back") as caught,
    ):
        client.back_up(large, source="/killed", on_progress=fault)
    server.start()

    assert caught.value.kind is Kind.SERVER_GONE
    # It could not look whether anything was left, and says how to.
    assert f"--tags {ATTEMPT_TAG}:" in caught.value.message
    assert server.snapshots("/killed") == []


def test_a_backup_is_ended_when_its_server_hangs(
    server: KopiaServer, path: SlowPath, large: Path
) -> None:
    fault = path.once(server.pause)

    with (
        server.client(path.connection, limits=IMPATIENT) as client,
        pytest.raises(ClientFailed, match="no progress") as caught,
    ):
        client.back_up(large, source="/hung", on_progress=fault)
    server.resume()

    assert caught.value.kind is Kind.STALLED
    assert f"--tags {ATTEMPT_TAG}:" in caught.value.message
    assert server.snapshots("/hung") == []


def test_a_backup_goes_on_when_its_server_has_hung_for_a_while(
    server: KopiaServer, path: SlowPath, large: Path
) -> None:
    def pause() -> None:
        server.pause()
        threading.Timer(1.0, server.resume).start()

    fault = path.once(pause)

    with server.client(path.connection, limits=evolve(PATIENT, retries=0)) as client:
        snapshot = client.back_up(large, source="/slow", on_progress=fault)

    assert fault.done
    assert [one["id"] for one in server.snapshots("/slow")] == [snapshot.id]


@pytest.mark.usefixtures("path")
def test_a_server_that_hangs_from_the_beginning_is_named_in_time(
    server: KopiaServer, large: Path
) -> None:
    server.pause()
    with (
        server.client(limits=evolve(IMPATIENT, connect_seconds=1.0)) as client,
        pytest.raises(ClientFailed, match="did not answer within 1 s") as caught,
    ):
        client.back_up(large)
    server.resume()

    assert caught.value.kind is Kind.CANNOT_CONNECT


def test_a_server_that_comes_late_is_waited_for(server: KopiaServer, tmp_path: Path) -> None:
    server.kill()
    threading.Timer(0.5, server.begin_to_start).start()

    with server.client(limits=PATIENT) as client:
        assert client.back_up(tmp_path, source="/late").files == 0


def test_a_restore_is_complete_when_its_server_was_restarted(
    server: KopiaServer, path: SlowPath, large: Path, tmp_path: Path
) -> None:
    fault = path.once(functools.partial(restarted, server))
    with server.client() as client:
        snapshot = client.back_up(large, source="/restored").id

    with server.client(path.connection, limits=PATIENT) as client:
        client.restore(snapshot, tmp_path / "target", on_progress=fault)

    assert fault.done
    assert (tmp_path / "target" / "file").read_bytes() == (large / "file").read_bytes()


def test_a_restore_that_was_interrupted_is_completed_by_another(
    server: KopiaServer, path: SlowPath, large: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    with server.client() as client:
        snapshot = client.back_up(large, source="/restored").id
    # Kopia itself tries for some 12 s.
    limits = evolve(IMPATIENT, stalled_seconds=20.0)
    with (
        server.client(path.connection, limits=limits) as client,
        pytest.raises(ClientFailed, match="did not come back") as caught,
    ):
        client.restore(snapshot, target, on_progress=path.once(server.kill))
    assert caught.value.kind is Kind.SERVER_GONE
    assert (target / "file").stat().st_size == BYTES
    assert (target / "file").read_bytes() != (large / "file").read_bytes()

    server.start()
    with server.client() as client:
        client.restore(snapshot, target)

    assert (target / "file").read_bytes() == (large / "file").read_bytes()


def test_a_restore_is_ended_when_its_server_hangs(
    server: KopiaServer, path: SlowPath, large: Path, tmp_path: Path
) -> None:
    with server.client() as client:
        snapshot = client.back_up(large, source="/hung restore").id

    with (
        server.client(path.connection, limits=IMPATIENT) as client,
        pytest.raises(ClientFailed, match="no progress") as caught,
    ):
        client.restore(snapshot, tmp_path / "target", on_progress=path.once(server.pause))
    server.resume()

    assert caught.value.kind is Kind.STALLED


def test_a_deletion_is_done_once_its_server_is_back(server: KopiaServer, tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(str(server.pid))
    killing = kopiaserver.script(
        tmp_path,
        "kopia",
        f"""case "$*" in *"snapshot delete"*)
  if mkdir {tmp_path}/killed 2>/dev/null; then kill -9 "$(cat {tmp_path}/pid)"; fi
esac
exec {server.executable} "$@" """,
    )
    with server.client() as client:
        snapshot = client.back_up(tmp_path, source="/deleted").id

    def restart() -> None:
        wait_for("the server to be killed", (tmp_path / "killed").exists)
        restarted(server)

    thread = threading.Thread(target=restart)
    thread.start()
    with server.client(limits=PATIENT, executable=killing) as client:
        assert client.delete([snapshot]) == [snapshot]
    thread.join()

    server.wait_until_it_answers()
    assert server.snapshots("/deleted") == []


def test_a_backup_that_is_cancelled_leaves_nothing(
    server: KopiaServer, path: SlowPath, large: Path, tmp_path: Path
) -> None:
    stop = Stop()

    with (
        server.client(path.connection, stop=stop, directory=tmp_path) as client,
        pytest.raises(ClientFailed) as caught,
    ):
        client.back_up(large, source="/cancelled", on_progress=path.once(stop.set))

    assert (caught.value.kind, caught.value.message) == (Kind.CANCELLED, "cancelled")
    assert server.snapshots("/cancelled") == []
    assert list(tmp_path.iterdir()) == []


#: Backs a folder up until it is told to end.
PROGRAM: Final = """
import sys
from controller.manager import stop_on_signals
from reconcilers.kopia.client.errors import ClientFailed
from reconcilers.kopia.client.model import ServerConnection
from reconcilers.kopia.client.session import KopiaClient
stop = stop_on_signals()
url, user, host, password, fingerprint, executable, directory, source = sys.argv[1:]
connection = ServerConnection(url, user, host, password, fingerprint)
try:
    with KopiaClient(connection, stop=stop, executable=executable, directory=directory) as client:
        client.back_up(
            source, source="/terminated", on_progress=lambda _: print("begun", flush=True)
        )
except ClientFailed as error:
    sys.exit(error.kind.exit_code)
"""


def test_a_process_that_is_told_to_end_leaves_nothing(
    server: KopiaServer, path: SlowPath, large: Path, tmp_path: Path
) -> None:
    connection = path.connection
    fields = (connection.url, connection.username, connection.hostname, connection.password)
    arguments = [connection.fingerprint, str(server.executable), str(tmp_path), str(large)]
    process = subprocess.Popen(  # noqa: S603 - a program of ours
        [*kopiaserver.ENDS_WITH_US, sys.executable, "-c", PROGRAM, *fields, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)

    assert process.returncode == Kind.CANCELLED.exit_code
    assert server.snapshots("/terminated") == []
    assert list(tmp_path.iterdir()) == []
    assert commands_with(str(large)) == []


@define
class Producer:
    """Gives some bytes, and then does something."""

    then: Callable[[], bytes]
    left: int = 20
    given: bytes = b""

    def read(self, size: int) -> bytes:
        if not self.left:
            return self.then()
        self.left -= 1
        piece = os.urandom(size)
        self.given += piece
        return piece


def failing() -> bytes:
    raise ProducerFailed("pg_dump ended with code 1")


def test_a_stream_whose_producer_has_failed_is_not_kept(server: KopiaServer) -> None:
    with (
        server.client() as client,
        pytest.raises(ClientFailed, match="pg_dump ended with code 1") as caught,
    ):
        client.back_up_stream(Producer(failing), directory="/produced", name="dump")

    assert caught.value.kind is Kind.PRODUCER
    assert server.snapshots("/produced") == []


def test_a_stream_is_begun_anew_after_a_conflict(server: KopiaServer, tmp_path: Path) -> None:
    conflicting = kopiaserver.script(
        tmp_path,
        "kopia",
        f"""case "$*" in *"snapshot create"*)
  if mkdir {tmp_path}/failed 2>/dev/null; then echo {quote(CONFLICT)} >&2; exit 1; fi
esac
exec {server.executable} "$@" """,
    )
    content, copy = os.urandom(BYTES), io.BytesIO()

    with server.client(limits=PATIENT, executable=conflicting) as client:
        stream = io.BytesIO(content)
        snapshot = client.back_up_stream(stream, directory="/conflict", name="dump")
        client.restore_stream(snapshot.id, "dump", copy)

    assert (tmp_path / "failed").exists()
    assert copy.getvalue() == content
    assert [one["id"] for one in server.snapshots("/conflict")] == [snapshot.id]


def test_a_stream_is_begun_anew_when_its_server_was_restarted(server: KopiaServer) -> None:
    def restart() -> bytes:
        restarted(server)
        return b""

    producer, copy = Producer(restart), io.BytesIO()
    told: list[Kind] = []

    with server.client(limits=PATIENT, on_retry=lambda error: told.append(error.kind)) as client:
        snapshot = client.back_up_stream(producer, directory="/streamed", name="dump")
        client.restore_stream(snapshot.id, "dump", copy)

    assert told == [Kind.SERVER_GONE]
    assert copy.getvalue() == producer.given
    assert [one["id"] for one in server.snapshots("/streamed")] == [snapshot.id]


def test_a_stream_of_which_much_was_read_is_not_begun_anew(server: KopiaServer) -> None:
    def kill() -> bytes:
        server.kill()
        return b""

    with (
        server.client(limits=evolve(IMPATIENT, retries=3)) as client,
        pytest.raises(ClientFailed, match=r"went away .*more than 4 MiB of the stream") as caught,
    ):
        client.back_up_stream(Producer(kill, left=100), directory="/long", name="dump")
    server.start()

    assert caught.value.kind is Kind.SERVER_GONE
    assert server.snapshots("/long") == []


def test_a_producer_may_be_silent_for_longer_than_kopia_may(server: KopiaServer) -> None:
    never = threading.Event()

    def silent() -> bytes:
        never.wait(2 * IMPATIENT.stalled_seconds)
        return b""

    with server.client(limits=IMPATIENT) as client:
        snapshot = client.back_up_stream(Producer(silent), directory="/silent", name="dump")

    assert [one["id"] for one in server.snapshots("/silent")] == [snapshot.id]


def test_a_file_that_grows_is_kept_as_it_was_read(
    server: KopiaServer, path: SlowPath, tmp_path: Path
) -> None:
    source = tmp_path / "source" / "log"
    source.parent.mkdir()
    source.write_bytes(os.urandom(BYTES))
    grown, ended = threading.Event(), threading.Event()

    def grow() -> None:
        for _ in range(APPENDS):
            with source.open("ab") as file:
                file.write(b"more" * 1_000)
            grown.set()
            if ended.wait(APPEND_SECONDS):
                break

    with server.client(path.connection) as client, ThreadPoolExecutor(1) as pool:
        pool.submit(grow)
        assert grown.wait(STUCK_AFTER)
        before = source.stat().st_size
        snapshot = client.back_up(source.parent, source="/grown")
        after = source.stat().st_size
        ended.set()
        client.restore(snapshot.id, tmp_path / "target")

    restored = (tmp_path / "target" / "log").read_bytes()
    assert before < after
    assert before <= len(restored) == snapshot.size <= after
    assert source.read_bytes().startswith(restored)


def test_the_password_is_in_no_argument_and_no_file(
    server: KopiaServer, path: SlowPath, large: Path, tmp_path: Path
) -> None:
    seen: list[str] = []

    def look() -> None:
        seen.extend(commands_with(str(large)))
        seen.extend(path.read_text() for path in tmp_path.rglob("*") if path.is_file())

    with server.client(path.connection, directory=tmp_path) as client:
        client.back_up(large, source="/secret", on_progress=path.once(look))

    assert any("snapshot" in text for text in seen)
    assert any(server.fingerprint in text for text in seen)
    assert not any(kopiaserver.PASSWORD in text for text in seen)


def commands_with(text: str) -> list[str]:
    """Return the command lines of the machine that have a text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended
            continue
        if text in line:
            found.append(line)
    return found
