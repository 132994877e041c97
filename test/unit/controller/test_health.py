"""The endpoints of the probes, word for word, and that of the metrics."""

import contextlib
import errno
import http.client
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from socketserver import TCPServer

import pytest
from prometheus_client import CollectorRegistry, Counter
from structlog.testing import capture_logs
from structlog.typing import EventDict

from controller.health import CheckFailed, HealthServer, MetricsServer
from controller.stop import Stop
from fakes.clock import STUCK_AFTER


def broken() -> None:
    raise CheckFailed("the informer of pods has not synced")


def well() -> None:
    """Return: all is well."""


@pytest.fixture
def serve() -> Iterator[Callable[[HealthServer | MetricsServer], int]]:
    stop = Stop()
    threads = []

    def start(server: HealthServer | MetricsServer) -> int:
        thread = threading.Thread(target=server.run, args=(stop,))
        thread.start()
        threads.append(thread)
        return server.port

    yield start
    stop.set()
    for thread in threads:
        thread.join(STUCK_AFTER)
        assert not thread.is_alive()


def fetch(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=STUCK_AFTER)
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read().decode()


ALL_WELL = "[+]a ok\n[+]b ok\nhealthz check passed\n"
ONE_BROKEN = "[+]a ok\n[-]broken failed: reason withheld\nhealthz check failed\n"


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        pytest.param("/healthz", 200, "ok", id="all well is ok"),
        pytest.param("/healthz/", 200, "ok", id="a slash at the end changes nothing"),
        pytest.param("/healthz?verbose", 200, ALL_WELL, id="verbose lists the checks by name"),
        pytest.param("/healthz/a", 200, "ok", id="a check has a path of its own"),
        pytest.param("/readyz", 500, ONE_BROKEN, id="a failure is always verbose"),
        pytest.param(
            "/readyz/broken",
            500,
            "internal server error: the informer of pods has not synced\n",
            id="the path of a single check shows its reason",
        ),
        pytest.param("/readyz?exclude=broken", 200, "ok", id="what is excluded does not count"),
        pytest.param(
            "/readyz?exclude=broken&exclude=x&verbose",
            200,
            "[+]a ok\n[+]broken excluded: ok\n"
            'warn: some health checks cannot be excluded: no matches for "x"\n'
            "healthz check passed\n",
            id="an unknown exclusion is a warning",
        ),
        pytest.param("/readyz/none", 404, "404 page not found\n", id="an unknown check is 404"),
        pytest.param("/other", 404, "404 page not found\n", id="an unknown path is 404"),
    ],
)
def test_health_endpoints(
    serve: Callable[[HealthServer], int], path: str, status: int, text: str
) -> None:
    server = HealthServer(
        "127.0.0.1:0", healthz={"b": well, "a": well}, readyz={"a": well, "broken": broken}
    )

    assert fetch(serve(server), path) == (status, text)


def test_many_clients_may_wait_while_it_is_busy(serve: Callable[[HealthServer], int]) -> None:
    server = HealthServer("127.0.0.1:0", healthz={})

    # Nobody accepts them yet: one that finds no room would never be connected.
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            address = ("127.0.0.1", server.port)
            stack.enter_context(socket.create_connection(address, timeout=STUCK_AFTER))

    assert fetch(serve(server), "/healthz") == (200, "ok")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/healthz?verbose", (200, "[+]ping ok\nhealthz check passed\n"), id="empty"),
        pytest.param("/readyz", (404, "404 page not found\n"), id="never added"),
    ],
)
def test_without_checks(
    serve: Callable[[HealthServer], int], path: str, expected: tuple[int, str]
) -> None:
    assert fetch(serve(HealthServer("127.0.0.1:0", healthz={})), path) == expected


def test_metrics(serve: Callable[[MetricsServer], int]) -> None:
    registry = CollectorRegistry()
    Counter("backups", "Backups made.", registry=registry).inc(3)

    status, text = fetch(serve(MetricsServer("127.0.0.1:0", registry)), "/metrics")

    assert status == 200
    assert "backups_total 3.0" in text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/metrics?name[]=backups_total", 200, id="with a query"),
        pytest.param("/", 404, id="not at the root"),
        pytest.param("/metrics/", 404, id="not below it"),
        pytest.param("/debug", 404, id="nor anywhere else"),
    ],
)
def test_metrics_have_one_path(
    serve: Callable[[MetricsServer], int], path: str, status: int
) -> None:
    registry = CollectorRegistry()
    Counter("backups", "Backups made.", registry=registry)

    assert fetch(serve(MetricsServer("127.0.0.1:0", registry)), path)[0] == status


def test_an_address_without_a_host_is_reached_by_ipv4(
    serve: Callable[[HealthServer], int],
) -> None:
    assert fetch(serve(HealthServer(":0", healthz={})), "/healthz") == (200, "ok")


@pytest.mark.parametrize(
    ("trouble", "logged"),
    [
        pytest.param(None, [], id="a client that has gone is not logged"),
        pytest.param(
            RuntimeError("changed size"), ["request failed"], id="a check that fails is a bug"
        ),
    ],
)
def test_what_ends_a_request_early_is_no_traceback_on_standard_error(
    serve: Callable[[HealthServer], int],
    capsys: pytest.CaptureFixture[str],
    trouble: Exception | None,
    logged: list[str],
) -> None:
    client = socket.socket()
    handlers: SimpleQueue[threading.Thread] = SimpleQueue()

    def leave() -> None:
        handlers.put(threading.current_thread())
        # At once and without a farewell: what the server writes next fails.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        if trouble is not None:
            raise trouble

    with capture_logs() as lines:
        client.connect(("127.0.0.1", serve(HealthServer("127.0.0.1:0", healthz={"a": leave}))))
        client.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
        handlers.get(timeout=STUCK_AFTER).join(STUCK_AFTER)

    assert capsys.readouterr().err == ""
    assert [line["event"] for line in lines if line["event"] != "serving"] == logged


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        pytest.param("127.0.0.1:{taken}", "in use", id="a port that is taken"),
        pytest.param("192.0.2.1:0", "assign", id="an address of another machine"),
        pytest.param("no.such.host.invalid:0", "", id="a name that nobody has"),
    ],
)
def test_an_address_that_cannot_be_had_is_an_error_of_the_start(address: str, reason: str) -> None:
    first = HealthServer("127.0.0.1:0", healthz={})
    wanted = address.format(taken=first.port)

    with pytest.raises(OSError, match=f"health probes cannot be served on {wanted}: .*{reason}"):
        HealthServer(wanted, healthz={})


def test_zero_switches_a_server_off(serve: Callable[[HealthServer], int]) -> None:
    assert serve(HealthServer("0", healthz={})) == 0


def test_a_check_that_comes_later_is_asked_from_then_on(
    serve: Callable[[HealthServer], int],
) -> None:
    checks: dict[str, Callable[[], None]] = {}
    port = serve(HealthServer("127.0.0.1:0", readyz=checks))
    assert fetch(port, "/readyz") == (200, "ok")

    checks["informer-of-pods/backup"] = broken

    assert fetch(port, "/readyz/informer-of-pods/backup")[0] == 500


class Pauses(Stop):
    """A stop that is not waited for, and notes for how long it was to be."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.noted.append(timeout)
        return self.is_set()


def test_without_a_descriptor_for_a_client_it_pauses_and_serves_once_there_is_one(
    monkeypatch: pytest.MonkeyPatch, logged: list[EventDict]
) -> None:
    """The client goes on waiting in the queue of the port, which stays readable."""
    failures = [OSError(errno.EMFILE, "Too many open files") for _ in range(10)]
    accept = TCPServer.get_request

    def get_request(server: TCPServer) -> object:
        if failures:
            raise failures.pop()
        return accept(server)

    monkeypatch.setattr(TCPServer, "get_request", get_request)
    stop, server = Pauses(), HealthServer("127.0.0.1:0", healthz={})
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()

    assert fetch(server.port, "/healthz") == (200, "ok")
    failures.append(OSError(errno.EMFILE, "Too many open files"))
    assert fetch(server.port, "/healthz") == (200, "ok")

    stop.set()
    thread.join(STUCK_AFTER)
    first = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0]
    assert stop.noted == pytest.approx([*first, 0.005])
    assert [line["event"] for line in logged] == ["serving", *2 * ["no connection accepted"]]
