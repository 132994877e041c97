"""One run of Kopia as a child process: its output, its progress, and its end.

A child is killed if it shows no sign of life for too long, or if the stop is set. It gets SIGKILL,
not SIGTERM: at SIGTERM Kopia would save what it has as a snapshot, pinned, though marked incomplete
(cli/command_snapshot_create.go, snapshot/upload/upload.go).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from typing import IO, TYPE_CHECKING, Final

from attrs import define, evolve, field, frozen

from reconcilers.kopia.client.connections import is_connected, transferred
from reconcilers.kopia.client.errors import ClientFailed, Kind, ProducerFailed
from reconcilers.kopia.client.model import Ended, Progress
from reconcilers.kopia.client.progress import Lines, parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from controller.clock import Clock
    from controller.stop import Stop
    from reconcilers.kopia.client.model import Sink, Source

#: Bytes that are read from a pipe at once: what a pipe holds.
_CHUNK: Final = 65536
#: Lines of Kopia's log that are kept, from the end.
_LINES: Final = 200
#: Seconds for a killed process to be gone. One that waits for a disk may not be.
_KILL_SECONDS: Final = 5.0

#: Seconds between two looks at a process, and how many must find no connection.
_LOOK_SECONDS: Final = 2.0
_LOOKS: Final = 3
#: Bytes by which a process shows that it works though it says nothing. A restore is silent until it
#: has restored a byte: of a million empty folders, say. A process that waits moves less.
_WORK_BYTES: Final = 65536

LOST: Final = (
    "the server closed the connection while it was used; see its log and its conditions, and try "
    "again"
)
NO_PROGRAM: Final = "there is no Kopia at {executable}: {cause}; use an image that has it there"
STALLED: Final = (
    "Kopia showed no progress for {seconds:.0f} s and was killed; its server may hang, or the disk "
    "may; look at both, and try again"
)
NO_SIGN: Final = (
    "the server answered, but Kopia got nothing from it within {seconds:.0f} s and was killed; it "
    "may hang, or its storage may be away; look at its conditions"
)
CANCELLED: Final = "cancelled"
CONSUMER_GONE: Final = "the consumer of the stream has gone: {cause}; look at its own message"
PRODUCER_FAILED: Final = (
    "the producer of the stream has failed: {cause}; nothing was kept of it; look at its own "
    "message, and try again"
)


@frozen
class Patience:
    """How long a child may go without a sign of life.

    Args:
        first_seconds: Until the first one.
        stalled_seconds: From then on, between two.
    """

    first_seconds: float
    stalled_seconds: float


@frozen
class Streams:
    """The streams and callbacks of a child.

    Args:
        stdin: What is fed to it. Default: nothing.
        stdout: Where standard output is passed on to. Default: nowhere, it is kept.
        on_progress: Called with each new progress. Default: nobody is.
    """

    stdin: Source | None = None
    stdout: Sink | None = None
    on_progress: Callable[[Progress], object] | None = None


@define(eq=False)
class _Watch:
    """Signs of life of a child, shared by the threads that read from it and who waits for its end.

    Invariant: `at` is when the last sign was seen, or when the watch began to count again.
    """

    clock: Clock
    at: float
    condition: threading.Condition = field(factory=threading.Condition)
    signs: int = 0
    #: How many pumps wait for the other end of a stream, which may take all the time it likes.
    held: int = 0
    #: What has not ended: the process and its two outputs.
    pending: int = 3
    error: ClientFailed | None = None

    @property
    def over(self) -> bool:
        """True once the child has ended, and all that it printed was read."""
        return not self.pending

    def sign(self) -> None:
        """Record a sign of life."""
        with self.condition:
            self.signs += 1
            self.at = self.clock.monotonic()
            if self.signs == 1:
                # From now on who waits has another patience.
                self.condition.notify_all()

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """Count no time while the other end of a stream is waited for."""
        with self.condition:
            self.held += 1
        try:
            yield
        finally:
            with self.condition:
                self.held -= 1
                self.at = self.clock.monotonic()
                # Whoever waits for the end computes its timeout anew.
                self.condition.notify_all()

    def fail(self, error: ClientFailed) -> None:
        """Record why the child must not go on; the first one counts."""
        with self.condition:
            self.error = self.error or error
            self.condition.notify_all()

    def end(self) -> None:
        """Record that the process, or one of its outputs, has ended."""
        with self.condition:
            self.pending -= 1
            self.condition.notify_all()

    def wake(self) -> None:
        """Wake whoever waits for the child."""
        with self.condition:
            self.condition.notify_all()


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    patience: Patience,
    clock: Clock,
    stop: Stop | None = None,
    streams: Streams | None = None,
    connected_to: int | None = None,
) -> Ended:
    """Run Kopia until it ends.

    Args:
        arguments: The executable and its arguments.
        environment: All its variables.
        patience: How long it may go without a sign of life.
        clock: The time.
        stop: Kills it. Default: nothing does.
        streams: Its streams. Default: none.
        connected_to: A port that it keeps a connection to from its first sign of life: without one
            it is killed. Default: that is not looked at.

    Raises:
        ClientFailed: It cannot be started, was killed for want of progress or of its connection, by
            the stop, or since the other end of a stream has failed. What it says itself is for the
            caller to judge.
    """
    of = _Child(arguments, environment, clock, streams or Streams())
    return of.run(patience, stop, connected_to)


@define
class _Looks:
    """What is seen of a process from outside.

    Args:
        pid: The process.
        port: Where it must be connected to from its first sign of life; None for nowhere.
        clock: The time.
    """

    pid: int
    port: int | None
    clock: Clock
    _next: float = field(default=0.0, init=False)
    _moved: int | None = field(default=None, init=False)
    _missed: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        """Look at once."""
        self._next = self.clock.monotonic()

    @property
    def pause(self) -> float:
        """Seconds until the next look."""
        return max(0.0, self._next - self.clock.monotonic())

    def is_time(self) -> bool:
        """Return whether to look now; the next time is counted from then."""
        if self.pause:
            return False
        self._next = self.clock.monotonic() + _LOOK_SECONDS
        return True

    def works(self) -> bool:
        """Return whether it has read or written much since it last had."""
        moved = transferred(self.pid)
        if moved is None or (self._moved is not None and moved - self._moved < _WORK_BYTES):
            return False
        first, self._moved = self._moved is None, moved
        return not first

    def has_lost_connection(self) -> bool:
        """Return whether the last looks have found no connection."""
        if self.port is None:
            return False
        self._missed = self._missed + 1 if is_connected(self.pid, self.port) is False else 0
        return self._missed >= _LOOKS


@define(eq=False)
class _Child:
    _arguments: Sequence[str]
    _environment: Mapping[str, str]
    _clock: Clock
    _streams: Streams
    _began: float = field(init=False)
    _watch: _Watch = field(init=False)
    _lines: deque[str] = field(factory=lambda: deque(maxlen=_LINES))
    _output: list[bytes] = field(factory=list)
    _passed_on: int = 0
    _progress: Progress = field(factory=Progress)

    def __attrs_post_init__(self) -> None:
        self._began = self._clock.monotonic()
        self._watch = _Watch(self._clock, self._began)

    def run(self, patience: Patience, stop: Stop | None, connected_to: int | None) -> Ended:
        process = self._start()
        looks = _Looks(process.pid, connected_to, self._clock)
        forget = stop.call_back(self._watch.wake) if stop is not None else _nothing
        try:
            # Daemons: the other end of a stream may hold one for ever.
            for pump in self._pumps(process):
                pump.start()
            self._wait(patience, stop, looks)
        finally:
            forget()
            _kill(process)
        if self._watch.error is not None:
            raise self._watch.error
        return Ended(
            process.returncode,
            b"".join(self._output),
            tuple(self._lines),
            self._progress,
            self._passed_on,
        )

    def _start(self) -> subprocess.Popen[bytes]:
        stdin = subprocess.DEVNULL if self._streams.stdin is None else subprocess.PIPE
        try:
            return subprocess.Popen(  # noqa: S603 - a program of the image, without a shell
                self._arguments,
                env=self._environment,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                # A terminal's Ctrl-C is for this process, which then ends the child.
                start_new_session=True,
            )
        except OSError as error:
            message = NO_PROGRAM.format(executable=self._arguments[0], cause=error.strerror)
            raise ClientFailed(Kind.UNKNOWN, message) from error

    def _pumps(self, process: subprocess.Popen[bytes]) -> list[threading.Thread]:
        assert process.stdout is not None  # noqa: S101 - as it was started
        assert process.stderr is not None  # noqa: S101 - as it was started
        pumps = [
            self._pump("stdout", self._read_output, process.stdout),
            self._pump("stderr", self._read_log, process.stderr),
            self._pump("wait", self._reap, process),
        ]
        if process.stdin is not None:
            pumps.append(self._pump("stdin", self._feed, process.stdin))
        return pumps

    def _wait(self, patience: Patience, stop: Stop | None, looks: _Looks) -> None:
        """Return once the child has ended, or must be killed: then the watch has the error."""
        watch = self._watch
        with watch.condition:
            while not watch.over and watch.error is None:
                if stop is not None and stop.is_set():
                    watch.error = ClientFailed(Kind.CANCELLED, CANCELLED)
                    return
                # Each piece of a stream wakes this thread.
                is_time = looks.is_time()
                if is_time and looks.works():
                    watch.sign()
                seconds = patience.stalled_seconds if watch.signs else patience.first_seconds
                since = watch.at if watch.signs else self._began
                held = watch.held and watch.signs
                left = None if held else since + seconds - self._clock.monotonic()
                if left is not None and left <= 0.0:
                    watch.error = _without_life(seconds, began=watch.signs > 0)
                    return
                if is_time and watch.signs and looks.has_lost_connection():
                    watch.error = ClientFailed(Kind.SERVER_GONE, LOST)
                    return
                pause = looks.pause if left is None else min(left, looks.pause)
                self._clock.wait(watch.condition, pause)

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        self._watch.end()

    def _read_output(self, pipe: IO[bytes]) -> None:
        with pipe:
            while chunk := pipe.read(_CHUNK):
                self._watch.sign()
                if self._streams.stdout is None:
                    self._output.append(chunk)
                elif not self._pass_on(self._streams.stdout, chunk):
                    return
        self._watch.end()

    def _pass_on(self, to: Sink, chunk: bytes) -> bool:
        try:
            with self._watch.holding():
                rest = memoryview(chunk)
                while rest:
                    rest = rest[to.write(rest) :]
        except (OSError, ValueError) as error:
            self._watch.fail(consumer_gone(error))
            return False
        self._passed_on += len(chunk)
        self._show(Progress(size=self._passed_on))
        return True

    def _read_log(self, pipe: IO[bytes]) -> None:
        lines = Lines()
        with pipe:
            ended = False
            while not ended:
                chunk = pipe.read(_CHUNK)
                ended = not chunk
                for line in lines.feed(chunk):
                    self._watch.sign()
                    progress, rest = parsed(line)
                    if progress is not None:
                        self._show(progress)
                    if rest:
                        self._lines.append(rest)
        self._watch.end()

    def _show(self, progress: Progress) -> None:
        seconds = self._clock.monotonic() - self._began
        rate = progress.size / seconds if seconds else 0.0
        self._progress = evolve(progress, seconds=seconds, rate=rate)
        if self._streams.on_progress is not None:
            self._streams.on_progress(self._progress)

    def _feed(self, pipe: IO[bytes]) -> None:
        content = self._streams.stdin
        assert content is not None  # noqa: S101 - there is a pipe for it
        read = getattr(content, "read1", content.read)
        # A pipe that is closed says that the stream is complete: it stays open after a failure.
        while True:
            try:
                with self._watch.holding():
                    chunk = read(_CHUNK)
            except (OSError, ValueError, ProducerFailed) as error:
                message = PRODUCER_FAILED.format(cause=_cause(error))
                self._watch.fail(ClientFailed(Kind.PRODUCER, message))
                return
            if self._watch.over or self._watch.error is not None:
                return
            try:
                if not chunk:
                    pipe.close()
                    return
                rest = memoryview(chunk)
                while rest:
                    rest = rest[pipe.write(rest) :]
            except OSError:
                # Kopia has ended, and says itself why.
                return

    def _pump(self, name: str, function: Callable[..., None], of: object) -> threading.Thread:
        def guarded() -> None:
            try:
                function(of)
            except Exception as error:  # noqa: BLE001 - handed to who waits
                cause = f"{type(error).__name__} in the thread for {name}"
                self._watch.fail(ClientFailed(Kind.UNKNOWN, f"a fault of this program: {cause}"))

        return threading.Thread(target=guarded, name=f"kopia-{name}", daemon=True)


def consumer_gone(error: OSError | ValueError) -> ClientFailed:
    """Return why a stream cannot be written.

    Args:
        error: Of writing or flushing.
    """
    return ClientFailed(Kind.CONSUMER, CONSUMER_GONE.format(cause=_cause(error)))


def _without_life(seconds: float, *, began: bool) -> ClientFailed:
    if began:
        return ClientFailed(Kind.STALLED, STALLED.format(seconds=seconds))
    return ClientFailed(Kind.CANNOT_CONNECT, NO_SIGN.format(seconds=seconds))


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_KILL_SECONDS)


def _cause(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _nothing() -> None:
    return
