"""One renderer: a child process that is asked and answers, within its limits."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import struct
import subprocess
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Self

from attrs import define, field, frozen

from controller.clock import Deadline
from reconcilers.actionset.templates.errors import NoAnswer, RendererUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.clock import Clock

_MIB: Final = 1 << 20
#: The length of a document, before it.
_HEADER: Final = struct.Struct(">I")
#: Bytes that are read at once: what a pipe holds.
_CHUNK: Final = 65536
#: The largest answer: 4 MiB, as the program has it, and what is around the result.
_LARGEST_ANSWER: Final = 5 * _MIB
#: Seconds for a killed process to be gone.
_KILL_SECONDS: Final = 5.0
#: Seconds for one that has closed a pipe to end by itself and leave its exit code.
_END_SECONDS: Final = 1.0
#: A renderer is replaced when it has used this part of its CPU time.
_WORN: Final = 0.5

#: The part of a request's time for which one must have had the CPU to be at fault itself.
_AT_WORK: Final = 0.1

CANNOT_START: Final = "{program} cannot be started: {cause}"
TOO_SLOW: Final = "it took longer than {seconds:g} s and was stopped"
STARVED: Final = (
    "the renderer of templates had the CPU for {used:.1f} s within {seconds:g} s: give this "
    "controller more"
)
TOO_LARGE: Final = "it needed more than {mib:.0f} MiB of memory and was stopped"
TOO_DEEP: Final = "it calls itself without end and was stopped"
REQUEST_TOO_LARGE: Final = "it and its parameters have more than {mib:.0f} MiB"
REQUEST_TOO_DEEP: Final = "it or its parameters are nested too deeply"
ENDED: Final = "the renderer ended with code {code}"

#: What Go's runtime writes when it gives up, and what that means. Its other words are not used.
_DEATHS: Final = (
    (b"out of memory", TOO_LARGE),
    (b"cannot allocate memory", TOO_LARGE),
    (b"stack overflow", TOO_DEEP),
    # Its garbage collector does not look whether it was given the memory that it asks for.
    (b"runtime/mgc", TOO_LARGE),
)
#: Bytes of them that are kept: they begin with that, and go on with stacks.
_WORDS: Final = 4096


@frozen
class Limits:
    """What a renderer may use.

    Args:
        seconds: Of one request, from the time it is sent to the end of the answer.
        memory_bytes: Of data and stacks. Go's runtime collects its garbage early below it.
        cpu_seconds: Of one process in its life. It bounds what loops after its controller has
            died: while one lives, `seconds` does.
        request_bytes: Of one request.
    """

    seconds: float = 5.0
    memory_bytes: int = 256 * _MIB
    cpu_seconds: int = 120
    request_bytes: int = 32 * _MIB

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables of a renderer: settings of Go's runtime, and nothing else."""
        return {"GOMEMLIMIT": f"{self.memory_bytes // 2}", "GOMAXPROCS": "1"}


@define(eq=False)
class RendererProcess:
    """A renderer that runs. One thread at a time uses it.

    Args:
        process: It, with pipes that do not block.
        limits: What it may use.
        clock: The time.
    """

    _process: subprocess.Popen[bytes]
    _limits: Limits
    _clock: Clock
    _words: bytearray = field(factory=bytearray, init=False)
    _cpu_seconds: float = field(default=0.0, init=False)
    _dead: bool = field(default=False, init=False)

    @classmethod
    def start(cls, program: Path, limits: Limits, clock: Clock) -> Self:
        """Start one within its limits.

        Args:
            program: Path of the program.
            limits: What it may use.
            clock: The time.

        Raises:
            RendererUnavailable: It cannot be started.
        """
        try:
            process = subprocess.Popen(  # noqa: S603 - a program of the image, without a shell
                [str(program)],
                env=dict(limits.environment),
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                # A terminal's Ctrl-C is for this process, which then ends the child.
                start_new_session=True,
            )
        except OSError as error:
            raise _unavailable(program, error) from error
        started = cls(process, limits, clock)
        try:
            # It has been given nothing yet that it could work on.
            _limit(process.pid, limits)
        except OSError as error:
            started.close()
            raise _unavailable(program, error) from error
        for pipe in (started._stdin, started._stdout, started._stderr):
            os.set_blocking(pipe.fileno(), False)
        return started

    @property
    def usable(self) -> bool:
        """True if it can be asked again."""
        worn = self._cpu_seconds >= self._limits.cpu_seconds * _WORN
        return not self._dead and not worn and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send a request and return the answer.

        Args:
            request: JSON.

        Raises:
            NoAnswer: It has ended, or was ended by a limit; or the request is beyond one.
            RendererUnavailable: It was too slow because it has got too little CPU time.
        """
        try:
            document = json.dumps(request).encode()
        except RecursionError as error:
            raise NoAnswer(REQUEST_TOO_DEEP, limit=True) from error
        if len(document) > self._limits.request_bytes:
            message = REQUEST_TOO_LARGE.format(mib=self._limits.request_bytes / _MIB)
            raise NoAnswer(message, limit=True)
        deadline = Deadline.after(self._clock, self._limits.seconds)
        try:
            answer = self._exchange(_HEADER.pack(len(document)) + document, deadline)
        except BaseException:
            self.close()
            raise
        decoded: Mapping[str, Any] = json.loads(answer)
        self._cpu_seconds = decoded["cpuSeconds"]
        return decoded

    def close(self) -> None:
        """End it. It does nothing if that was done."""
        self._dead = True
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILL_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101 - as it was started
        return self._process.stdin

    @property
    def _stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101 - as it was started
        return self._process.stdout

    @property
    def _stderr(self) -> IO[bytes]:
        assert self._process.stderr is not None  # noqa: S101 - as it was started
        return self._process.stderr

    def _exchange(self, request: bytes, deadline: Deadline) -> bytes:
        """Write the request and read the answer, whichever can go on."""
        poll = select.poll()
        stdin, stdout, stderr = (
            pipe.fileno() for pipe in (self._stdin, self._stdout, self._stderr)
        )
        poll.register(stdin, select.POLLOUT)
        poll.register(stdout, select.POLLIN)
        # Who writes into a full pipe does not end.
        poll.register(stderr, select.POLLIN)
        rest, answer = memoryview(request), bytearray()
        while (size := _size(answer)) is None or len(answer) < size:
            if deadline.expired:
                raise self._late()
            for descriptor, _ in poll.poll(deadline.remaining() * 1000.0):
                if descriptor == stdout:
                    answer += self._read(stdout)
                elif descriptor == stderr:
                    if not self._listen():
                        poll.unregister(stderr)
                else:
                    rest = rest[self._write(stdin, rest) :]
                    if not rest:
                        poll.unregister(stdin)
        return bytes(answer[_HEADER.size : size])

    def _read(self, descriptor: int) -> bytes:
        chunk = os.read(descriptor, _CHUNK)
        if not chunk:
            raise self._ended()
        return chunk

    def _write(self, descriptor: int, rest: memoryview) -> int:
        try:
            return os.write(descriptor, rest)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._ended() from error

    def _late(self) -> NoAnswer | RendererUnavailable:
        """Return why there is no answer in time: it works without end, or is kept from work."""
        seconds = self._limits.seconds
        # The kernel shows hundredths, and the renderer more: the difference may be below zero.
        used = max(0.0, _cpu_seconds(self._process.pid) - self._cpu_seconds)
        if used < seconds * _AT_WORK:
            return RendererUnavailable(STARVED.format(used=used, seconds=seconds))
        return NoAnswer(TOO_SLOW.format(seconds=seconds), limit=True)

    def _listen(self) -> bool:
        """Read what it says on standard error, and keep the beginning.

        Returns:
            Whether it may say more.
        """
        heard: bytes | None = self._stderr.read(_CHUNK)
        self._words += (heard or b"")[: _WORDS - len(self._words)]
        return heard != b""

    def _ended(self) -> NoAnswer:
        """Return why it has ended. It is killed if it has only closed a pipe."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        self._process.kill()
        self._listen()
        for death, message in _DEATHS:
            if death in self._words:
                mib = self._limits.memory_bytes / _MIB
                return NoAnswer(message.format(mib=mib), limit=True)
        return NoAnswer(ENDED.format(code=self._process.wait()), limit=False)


def _limit(pid: int, limits: Limits) -> None:
    memory, seconds = limits.memory_bytes, limits.cpu_seconds
    for what, most in (
        # Not RLIMIT_AS: Go reserves far more addresses than it uses.
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_CPU, seconds),
        # It writes no file, and its memory must not become one.
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.prlimit(pid, what, (most, most))


def _cpu_seconds(pid: int) -> float:
    """Return the time that a process has used, 0.0 if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    # Behind the name in parentheses, see proc(5): user and system time.
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _unavailable(program: Path, error: OSError) -> RendererUnavailable:
    cause = error.strerror or error
    return RendererUnavailable(CANNOT_START.format(program=program, cause=cause))


def _size(answer: bytearray) -> int | None:
    """Return how long an answer is with its header, None while that has not come.

    Raises:
        NoAnswer: It is longer than the program would make it.
    """
    if len(answer) < _HEADER.size:
        return None
    length: int = _HEADER.unpack_from(answer)[0]
    if length > _LARGEST_ANSWER:
        raise NoAnswer(ENDED.format(code="an answer of another program"), limit=False)
    return _HEADER.size + length
