"""What ends a request whose time is over: its socket is shut down under the thread that waits.

Python cannot interrupt a thread that waits for a socket. A socket's own timeout bounds one read,
not a request: a server that sends a byte a second outlasts it. Go cancels a request by its context
in the same way: the connection is closed under the reader (net/http transport.go, cancelRequest).
"""

import functools
import math
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Any, Final

from controller.clock import Clock
from controller.stop import Stop

#: Seconds that a request may still take once its stop is set: enough for an answer that is on its
#: way, and for the write of a status.
STOP_GRACE_SECONDS: Final = 1.0


class Cause(Enum):
    """Why a request was cut."""

    #: The caller's deadline has passed.
    DEADLINE = "deadline"
    #: The transport's own limit has passed.
    LIMIT = "limit"
    #: A stream carried nothing for longer than it may.
    SILENCE = "silence"
    #: The process ends.
    STOP = "stop"
    #: The caller has given it up.
    CLOSED = "closed"


class Guard:
    """One request under way. `Cutoff.begin` makes it.

    At any time it holds what wakes the request's thread: the socket that it waits for, or the
    look-up of a name.
    """

    __slots__ = (
        "_cutoff",
        "_end_cause",
        "_grace",
        "_stopping",
        "_take_back",
        "_under_way",
        "_wake",
        "answered",
        "cause",
        "ends",
    )

    def __init__(self, cutoff: "Cutoff", ends: float, cause: Cause, grace: float) -> None:
        self._cutoff = cutoff
        #: Monotonic seconds of the cut-off's clock at which the request is cut.
        self.ends = ends
        #: Why it was cut, None while it was not.
        self.cause: Cause | None = None
        #: Whether its answer has begun, which may go on for hours.
        self.answered = False
        self._end_cause = cause
        self._grace = grace
        self._stopping = False
        self._take_back: Callable[[], None] | None = None
        self._under_way = True
        self._wake: Callable[[], None] | None = None

    def attach(self, sock: Any) -> bool:  # noqa: ANN401 - a socket, or what urllib3 has in its place
        """Shut a socket down when the request's time is over.

        Args:
            sock: A socket, or urllib3's SSLTransport: TLS within the TLS of a proxy.

        Returns:
            False if the request was cut already.
        """
        return self.attach_waker(functools.partial(shut_down, sock))

    def attach_waker(self, wake: Callable[[], None]) -> bool:
        """Call a function when the request's time is over, in place of what was attached.

        Args:
            wake: Called with the cut-off's lock held: fast, and without waiting.

        Returns:
            False if the request was cut already.
        """
        with self._cutoff.lock:
            self._wake = wake
            return self.cause is None

    def detach(self) -> None:
        """Detach what is attached: another request uses the socket from now on."""
        with self._cutoff.lock:
            self._wake = None

    def renew(self, seconds: float, cause: Cause) -> None:
        """Set a new end for a request whose answer has begun, unless it is being stopped.

        Args:
            seconds: From now.
            cause: What it means if they pass.
        """
        with self._cutoff.lock:
            self.answered = True
            if not self._stopping:
                self.ends = self._cutoff.clock.monotonic() + seconds
                self._end_cause = cause
                self._cutoff.look_at(self.ends)

    def left(self) -> float:
        """Return the seconds left, 0.0 if there are none."""
        return max(0.0, self.ends - self._cutoff.clock.monotonic())

    def cut(self, cause: Cause) -> None:
        """Cut the request now, from any thread; nothing happens if it has ended."""
        with self._cutoff.lock:
            if self._under_way and self.cause is None:
                self.cause = cause
                if self._wake is not None:
                    self._wake()

    def end(self) -> None:
        """End the watch over the request: it has its answer, or has failed."""
        with self._cutoff.lock:
            self._under_way = False
            self._wake = None
            self._cutoff.guards.discard(self)
        if self._take_back is not None:
            self._take_back()
            self._take_back = None

    def expire(self) -> None:
        """Cut the request, since its time is over."""
        self.cut(self._end_cause)

    def obey(self, stop: Stop) -> None:
        """End the request when the stop is set, at once or after its grace."""
        self._take_back = stop.call_back(self._stopped)

    def _stopped(self) -> None:
        if not self._grace:
            self.cut(Cause.STOP)
            return
        with self._cutoff.lock:
            self._stopping = True
            ends = self._cutoff.clock.monotonic() + self._grace
            if ends < self.ends:
                self.ends = ends
                self._end_cause = Cause.STOP
                self._cutoff.look_at(ends)


class Cutoff:
    """Cuts the requests under way when their time is over. Safe to share between threads.

    A thread of its own does it, which runs only while requests are under way and a while longer. It
    is woken only for an end that is earlier than all it knows; so as a rule a request costs it
    nothing, and it looks at the requests once in the time that one may take.

    Args:
        clock: The time.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        #: Guards all fields here and in the guards. Reentrant, for the guards that the thread cuts.
        self.lock = threading.RLock()
        #: The requests under way.
        self.guards: set[Guard] = set()
        self._earlier = threading.Condition(self.lock)
        #: What cuts them; None while it has nothing to do.
        self.thread: threading.Thread | None = None
        #: When the thread looks next, in monotonic seconds.
        self.next_look = math.inf

    def begin(self, ends: float, cause: Cause, stop: Stop | None, grace: float) -> Guard:
        """Begin to watch over a request of the calling thread.

        Args:
            ends: Monotonic seconds of the clock at which it is cut.
            cause: What it means if it is.
            stop: Ends it as well; None if nothing does.
            grace: Seconds that it has from the stop on.

        Returns:
            The guard, whose `end` the caller owes.

        Raises:
            RuntimeError: The system has no thread left.
        """
        guard = Guard(self, ends, cause, grace)
        with self.lock:
            self.look_at(ends)
            self.guards.add(guard)
        if stop is not None:
            guard.obey(stop)
        return guard

    def look_at(self, when: float) -> None:
        """Make the thread look at the requests at a time, or earlier; the lock is held."""
        if when == math.inf:
            return
        if self.thread is None:
            self.next_look = when
            thread = threading.Thread(target=self._run, name="cut-off", daemon=True)
            # It fails if the system has no thread left. The next request tries again.
            thread.start()
            self.thread = thread
        elif when < self.next_look:
            self.next_look = when
            self._earlier.notify()

    def _run(self) -> None:
        with self.lock:
            try:
                while self._look():
                    wait = self.next_look - self.clock.monotonic()
                    self.clock.wait(self._earlier, min(wait, threading.TIMEOUT_MAX))
            finally:
                self.thread = None

    def _look(self) -> bool:
        """Cut what is due; return whether to look again, and set when."""
        now = self.clock.monotonic()
        for guard in [one for one in self.guards if one.ends <= now]:
            self.guards.discard(guard)
            guard.expire()
        if self.guards:
            self.next_look = min(one.ends for one in self.guards)
        # Without any it stays a while: the next request will soon be there.
        return self.next_look > now


class _Current(threading.local):
    guard: Guard | None = None


#: The guard of the request that the thread carries out. The connection pool makes connections
#: deep within a request, and hands nothing on to them.
current: Final = _Current()


def shut_down(sock: Any) -> None:  # noqa: ANN401 - see Guard.attach
    """Shut a socket down, which wakes whoever waits for it; one that is closed stays so.

    Args:
        sock: As for `Guard.attach`.
    """
    while not isinstance(sock, socket.socket):
        sock = sock.socket
    with suppress(OSError):
        # The method of the base class: that of an SSLSocket drops the TLS state under its reader.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
