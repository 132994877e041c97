"""The stream of a log, and every way in which it ends."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from controller import errors
from controller.clock import Deadline, DeadlineExceeded
from controller.rest.podlogs import IDLE_SECONDS, LogStream, PodLogs
from controller.rest.transport import OPEN_SECONDS, Call
from controller.stop import Stop
from fakes import apiserver
from fakes.apiserver import FakeApiServer
from fakes.clock import STUCK_AFTER, FakeClock

SECONDS = 3600.0
OTHER = Call("GET", "/api/v1/namespaces/ns/pods/a")


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as started:
        yield started


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def open_log(
    server: FakeApiServer,
    clock: FakeClock,
    *,
    seconds: float = SECONDS,
    stop: Stop | None = None,
    follow: bool = False,
) -> LogStream:
    deadline = Deadline.after(clock, seconds, stop=stop)
    logs = PodLogs(server.transport(clock=clock))
    return logs.open("ns", "pod-a", "main", deadline=deadline, follow=follow, timestamps=True)


class Reader:
    """A thread that reads a stream to its end."""

    def __init__(self, stream: LogStream) -> None:
        self.pieces: list[bytes] = []
        self.failure: Exception | None = None
        self._stream = stream
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait_until_ended(self) -> None:
        self._thread.join(STUCK_AFTER)
        assert self.ended

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def _read(self) -> None:
        try:
            self.pieces.extend(self._stream)
        except (errors.ClientError, DeadlineExceeded) as error:
            self.failure = error


def test_it_yields_the_bytes_and_ends_in_good_order(
    server: FakeApiServer, clock: FakeClock
) -> None:
    line = b"x" * 300_000
    server.expect(apiserver.stream(line, b"\nend"))

    with open_log(server, clock, follow=True) as stream:
        assert b"".join(stream) == line + b"\nend"

    assert server.requests[0].path == "/api/v1/namespaces/ns/pods/pod-a/log"
    assert server.requests[0].query == {
        "container": "main",
        "follow": "true",
        "timestamps": "true",
    }


def test_a_log_that_is_not_followed_says_so_by_nothing(
    server: FakeApiServer, clock: FakeClock
) -> None:
    server.expect(apiserver.stream(b"all"))

    with open_log(server, clock) as stream:
        assert list(stream) == [b"all"]

    assert server.requests[0].query == {"container": "main", "timestamps": "true"}


def test_a_connection_that_breaks_is_no_end(server: FakeApiServer, clock: FakeClock) -> None:
    server.expect(apiserver.stream(b"half", end="cut"))

    with open_log(server, clock) as stream:
        assert next(stream) == b"half"
        with pytest.raises(errors.TransportError):
            next(stream)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(apiserver.failure(404, "NotFound"), errors.NotFound, id="no such pod"),
        pytest.param(
            apiserver.failure(400, "BadRequest"), errors.BadRequest, id="no log of the container"
        ),
        pytest.param(apiserver.failure(403, "Forbidden"), errors.Forbidden, id="no right"),
    ],
)
def test_a_refusal_is_typed(
    server: FakeApiServer,
    clock: FakeClock,
    answer: apiserver.Answer,
    error: type[errors.ApiError],
) -> None:
    server.expect(answer)

    with pytest.raises(error, match="said the script"):
        open_log(server, clock)


def test_without_time_nothing_is_asked(server: FakeApiServer, clock: FakeClock) -> None:
    with pytest.raises(DeadlineExceeded):
        open_log(server, clock, seconds=0.0)

    assert server.requests == []


def test_one_that_does_not_begin_is_given_up(server: FakeApiServer, clock: FakeClock) -> None:
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(open_log, server, clock)
        server.wait_for_requests(1)
        clock.block_until_waiters(1)

        clock.step(OPEN_SECONDS)

        with pytest.raises(errors.TransportError, match="timed out"):
            opening.result(STUCK_AFTER)


def test_one_that_does_not_begin_in_the_time_of_its_reader_is_given_up(
    server: FakeApiServer, clock: FakeClock
) -> None:
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(open_log, server, clock, seconds=OPEN_SECONDS / 2)
        server.wait_for_requests(1)
        clock.block_until_waiters(1)

        clock.step(OPEN_SECONDS / 2)

        with pytest.raises(DeadlineExceeded):
            opening.result(STUCK_AFTER)


class TestSilence:
    """A log on which nothing comes, whose reader only another thread can wake."""

    @pytest.fixture
    def server(self) -> Iterator[FakeApiServer]:
        with FakeApiServer(apiserver.stream(b"one", end="silent")) as started:
            yield started

    def test_a_stop_ends_it_at_once(self, server: FakeApiServer, clock: FakeClock) -> None:
        """The clock stands still: no second of grace passes."""
        stop = Stop()
        with open_log(server, clock, stop=stop, follow=True) as stream:
            next(stream)
            reader = Reader(stream)
            clock.block_until_waiters(1)

            stop.set()
            reader.wait_until_ended()

        assert isinstance(reader.failure, errors.Stopped), "no end in good order"

    def test_it_counts_as_dead_where_nobody_follows(
        self, server: FakeApiServer, clock: FakeClock
    ) -> None:
        with open_log(server, clock) as stream:
            next(stream)
            reader = Reader(stream)
            clock.step_until(lambda: reader.ended)

        assert IDLE_SECONDS <= clock.monotonic() < SECONDS
        assert isinstance(reader.failure, errors.TransportError)
        assert "timed out" in str(reader.failure)

    def test_a_program_may_be_silent_until_the_deadline(
        self, server: FakeApiServer, clock: FakeClock
    ) -> None:
        with open_log(server, clock, follow=True) as stream:
            next(stream)
            reader = Reader(stream)
            clock.step_until(lambda: reader.ended, seconds=60.0)

        assert clock.monotonic() >= SECONDS
        assert isinstance(reader.failure, DeadlineExceeded)

    def test_the_end_of_its_readers_time_says_nothing_of_other_connections(
        self, server: FakeApiServer, clock: FakeClock
    ) -> None:
        transport = server.transport(clock=clock)
        server.expect(apiserver.who, apiserver.stream(b"one", end="silent"), apiserver.who)

        def follow() -> LogStream:
            deadline = Deadline.after(clock, SECONDS)
            return PodLogs(transport).open("ns", "a", "main", deadline=deadline, follow=True)

        with follow() as stream:
            next(stream)
            kept = transport.request(OTHER)
            reader = Reader(stream)
            clock.step_until(lambda: reader.ended, seconds=60.0)

        assert isinstance(reader.failure, DeadlineExceeded)
        # It takes the place of the connection that was closed.
        with follow():
            assert transport.request(OTHER) == kept
