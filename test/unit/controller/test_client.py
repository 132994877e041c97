"""What the client sends, and what it makes of every kind of answer."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes.client
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from controller import errors
from controller.clock import Deadline, DeadlineExceeded, SystemClock
from controller.errors import NotLeading
from controller.metrics import Metrics
from controller.rest.client import Client, Resource
from controller.rest.transport import host_label
from fakes import apiserver
from fakes.apiserver import FakeApiServer
from fakes.clock import STUCK_AFTER, FakeClock
from fakes.tcpproxy import TcpProxy

PODS = Resource("", "v1", "pods", "Pod")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)


def make_client(
    server: FakeApiServer,
    *,
    read_timeout: float = STUCK_AFTER,
    fence: Callable[[], None] = lambda: None,
) -> Client:
    return client_of(server.api_client(), read_timeout=read_timeout, fence=fence)


def client_of(api_client: kubernetes.client.ApiClient, **options: Any) -> Client:
    return Client(
        api_client,
        field_manager="tester",
        clock=SystemClock(),
        metrics=Metrics(CollectorRegistry()),
        **options,
    )


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as started:
        yield started


@pytest.fixture
def client(server: FakeApiServer) -> Client:
    return make_client(server)


@pytest.mark.parametrize(
    ("resource", "arguments", "path"),
    [
        pytest.param(PODS, ("ns",), "/api/v1/namespaces/ns/pods", id="core group"),
        pytest.param(PODS, (), "/api/v1/pods", id="all namespaces"),
        pytest.param(
            LEASES,
            ("ns", "a", "status"),
            "/apis/coordination.k8s.io/v1/namespaces/ns/leases/a/status",
            id="a subresource of another group",
        ),
        pytest.param(NODES, ("", "n"), "/api/v1/nodes/n", id="cluster-wide"),
        pytest.param(PODS, ("a/../b",), "/api/v1/namespaces/a%2F..%2Fb/pods", id="no way out"),
    ],
)
def test_paths(resource: Resource, arguments: tuple[str, ...], path: str) -> None:
    assert resource.path(*arguments) == path


def test_the_names_of_a_resource() -> None:
    assert (PODS.api_version, PODS.full_name) == ("v1", "pods")
    assert LEASES.api_version == "coordination.k8s.io/v1"
    assert LEASES.full_name == "leases.coordination.k8s.io"


POD = "/api/v1/namespaces/ns/pods/a"
BODY = {"metadata": {"name": "a"}}


@pytest.mark.parametrize(
    ("method", "arguments", "options", "sent"),
    [
        pytest.param("get", ("ns", "a"), {}, ("GET", POD, {}, None, None), id="get"),
        pytest.param(
            "list",
            ("ns",),
            {"resource_version": "0", "limit": 500, "label_selector": "a=b,c"},
            (
                "GET",
                "/api/v1/namespaces/ns/pods",
                {"resourceVersion": "0", "limit": "500", "labelSelector": "a=b,c"},
                None,
                None,
            ),
            id="list",
        ),
        pytest.param(
            "update",
            ("ns", "a", BODY),
            {},
            ("PUT", POD, {"fieldManager": "tester"}, "application/json", BODY),
            id="update",
        ),
        pytest.param(
            "create",
            ("ns", BODY),
            {},
            (
                "POST",
                "/api/v1/namespaces/ns/pods",
                {"fieldManager": "tester"},
                "application/json",
                BODY,
            ),
            id="create",
        ),
        pytest.param(
            "apply",
            ("ns", "a", BODY),
            {},
            (
                "PATCH",
                POD,
                {"fieldManager": "tester", "force": "true"},
                "application/apply-patch+yaml",
                BODY,
            ),
            id="apply takes what others own",
        ),
        pytest.param(
            "merge_patch",
            ("ns", "a", BODY),
            {"subresource": "status"},
            (
                "PATCH",
                f"{POD}/status",
                {"fieldManager": "tester"},
                "application/merge-patch+json",
                BODY,
            ),
            id="merge patch",
        ),
    ],
)
def test_what_is_sent(
    *,
    server: FakeApiServer,
    client: Client,
    method: str,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    sent: tuple[Any, ...],
) -> None:
    server.expect(apiserver.ok({"made": True}))

    answer = getattr(client, method)(PODS, *arguments, **options)

    (request,) = server.requests
    content_type = request.headers.get("content-type")
    assert (request.method, request.path, request.query, content_type, request.body) == sent
    assert answer == {"made": True}


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        pytest.param({}, {}, id="in the background"),
        pytest.param({"uid": "u"}, {"preconditions": {"uid": "u"}}, id="only this object"),
        pytest.param({"grace_seconds": 0}, {"gracePeriodSeconds": 0}, id="zero is a value"),
    ],
)
def test_delete_options(
    server: FakeApiServer, client: Client, options: dict[str, Any], fields: dict[str, Any]
) -> None:
    server.expect(apiserver.ok({"kind": "Status"}))

    client.delete(PODS, "ns", "a", **options)

    (request,) = server.requests
    defaults = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
    assert (request.method, request.path) == ("DELETE", POD)
    assert request.body == {**defaults, **fields}


def test_metadata_only_asks_for_nothing_else(server: FakeApiServer, client: Client) -> None:
    server.expect(apiserver.ok({}), apiserver.watch())

    client.list(PODS, "ns", metadata_only=True)
    with client.watch(
        PODS,
        "ns",
        resource_version="1",
        timeout_seconds=1,
        read_timeout=STUCK_AFTER,
        metadata_only=True,
    ):
        pass

    assert [request.headers["accept"] for request in server.requests] == [
        "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
        "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    ]


def test_a_refusal_becomes_the_error_for_its_status(server: FakeApiServer, client: Client) -> None:
    server.expect(apiserver.failure(429, "TooManyRequests", Retry_After="7"))

    with pytest.raises(errors.TooManyRequests) as caught:
        client.get(PODS, "ns", "a")

    assert caught.value.retry_after == 7.0
    assert len(server.requests) == 1, "the caller's queue decides when to try again"


def test_what_the_server_warns_of_is_logged(server: FakeApiServer, client: Client) -> None:
    """Of a field that is deprecated, say, or of what the namespace's pod security would refuse."""
    server.expect(apiserver.answer(200, BODY, Warning='299 - "would violate PodSecurity"'))

    with capture_logs() as lines:
        client.create(PODS, "ns", BODY)

    assert lines == [
        {
            "event": "warned by the API server",
            "log_level": "info",
            "request": "POST /api/v1/namespaces/ns/pods",
            "warning": "would violate PodSecurity",
        }
    ]


def test_a_redirect_is_a_refusal(server: FakeApiServer, client: Client) -> None:
    """Whoever it leads to would be sent the credentials; what comes along is no object."""
    server.expect(apiserver.answer(302, {"kind": "Pod"}, Location=f"{server.url}/elsewhere"))

    with pytest.raises(errors.ApiError, match="302"):
        client.get(PODS, "ns", "a")

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "words", "read_timeout"),
    [
        pytest.param(
            apiserver.answer(200, b'{"a": '), "broken JSON", STUCK_AFTER, id="broken JSON"
        ),
        pytest.param(
            apiserver.answer(200, b"[]"), "no JSON object", STUCK_AFTER, id="not an object"
        ),
        pytest.param(apiserver.half_an_answer, POD, STUCK_AFTER, id="half an answer"),
        pytest.param(apiserver.silence, "timed out", 0.2, id="silence"),
    ],
)
def test_an_answer_that_is_none(answer: apiserver.Answer, words: str, read_timeout: float) -> None:
    with FakeApiServer(answer) as server:
        client = make_client(server, read_timeout=read_timeout)

        with pytest.raises(errors.TransportError, match=words) as caught:
            client.get(PODS, "ns", "a")

    assert not caught.value.refused


def test_a_refused_connection_says_so(server: FakeApiServer, client: Client) -> None:
    server.stop_listening()

    with pytest.raises(errors.TransportError) as caught:
        client.get(PODS, "ns", "a")

    server.listen_again()
    assert caught.value.refused


class TestHalfOpenConnections:
    """Where one connection has fallen silent the others that are kept have as well."""

    @pytest.fixture
    def network(self, server: FakeApiServer) -> Iterator[TcpProxy]:
        port = urlsplit(server.url).port
        assert port
        with TcpProxy("127.0.0.1", port) as proxy:
            yield proxy

    @pytest.fixture
    def client(self, network: TcpProxy) -> Client:
        configuration = kubernetes.client.Configuration(host=f"http://127.0.0.1:{network.port}")
        configuration.proxy = None
        return client_of(kubernetes.client.ApiClient(configuration), read_timeout=2.0)

    def get_three_at_once(self, server: FakeApiServer, client: Client) -> list[Any]:
        """Use three connections, which are kept then."""
        together = threading.Barrier(3)

        def answer(handler: apiserver.Handler) -> None:
            together.wait(5.0)
            apiserver.ok({"a": 1})(handler)

        server.expect(answer, answer, answer)
        with ThreadPoolExecutor(3) as pool:
            return list(pool.map(lambda name: client.get(PODS, "ns", name), "abc"))

    def test_a_request_without_an_answer_is_the_only_one(
        self, server: FakeApiServer, network: TcpProxy, client: Client
    ) -> None:
        self.get_three_at_once(server, client)
        network.freeze()

        with pytest.raises(errors.TransportError, match="timed out"):
            client.get(PODS, "ns", "a")

        assert self.get_three_at_once(server, client) == [{"a": 1}] * 3

    def test_an_answer_that_stops_halfway_is_the_only_one(
        self, server: FakeApiServer, network: TcpProxy, client: Client
    ) -> None:
        def half(handler: apiserver.Handler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", "8")
            handler.end_headers()
            handler.wfile.write(b'{"a"')
            handler.hang()

        self.get_three_at_once(server, client)
        server.expect(half)
        with pytest.raises(errors.TransportError, match="timed out"):
            client.get(PODS, "ns", "a")

        # Only what is connected by now; whatever is kept would be silent.
        network.freeze()
        assert self.get_three_at_once(server, client) == [{"a": 1}] * 3

    def test_a_silent_watch_is_followed_by_no_silent_request(
        self, server: FakeApiServer, network: TcpProxy, client: Client
    ) -> None:
        server.expect(apiserver.watch(apiserver.added("a", 2), end="silent"))
        with open_watch(client, read_timeout=2.0) as stream:
            next(stream)
            self.get_three_at_once(server, client)
            network.freeze()
            with pytest.raises(errors.TransportError, match="timed out"):
                next(stream)

        assert self.get_three_at_once(server, client) == [{"a": 1}] * 3


def test_a_read_is_repeated_once_on_a_dropped_connection(
    server: FakeApiServer, client: Client
) -> None:
    server.expect(apiserver.dropped, apiserver.ok({"a": 1}))

    assert client.get(PODS, "ns", "a") == {"a": 1}


def test_a_read_is_repeated_only_once(server: FakeApiServer, client: Client) -> None:
    server.expect(apiserver.dropped, apiserver.dropped)

    with pytest.raises(errors.TransportError):
        client.get(PODS, "ns", "a")

    assert len(server.requests) == 2


def test_a_write_is_never_repeated(server: FakeApiServer, client: Client) -> None:
    server.expect(apiserver.dropped)

    with pytest.raises(errors.TransportError):
        client.create(PODS, "ns", BODY)

    assert len(server.requests) == 1


class ClosingFence:
    """A fence that lets so many checks pass."""

    def __init__(self, passes: int) -> None:
        self._passes = passes

    def check(self) -> None:
        self._passes -= 1
        if self._passes < 0:
            raise NotLeading("closed")


@pytest.mark.parametrize(
    "passes",
    [
        pytest.param(0, id="a fence that is closed"),
        pytest.param(1, id="a fence that closes while the request is under way to the server"),
    ],
)
@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        pytest.param("create", ("ns", BODY), id="create"),
        pytest.param("update", ("ns", "a", BODY), id="update"),
        pytest.param("apply", ("ns", "a", BODY), id="apply"),
        pytest.param("merge_patch", ("ns", "a", BODY), id="merge patch"),
        pytest.param("delete", ("ns", "a"), id="delete"),
    ],
)
def test_no_write_passes(
    server: FakeApiServer, passes: int, method: str, arguments: tuple[Any, ...]
) -> None:
    server.expect(apiserver.ok({}))
    client = make_client(server, fence=ClosingFence(passes).check)

    with pytest.raises(NotLeading):
        getattr(client, method)(PODS, *arguments)

    # The server sees what comes after it, and that alone.
    client.get(PODS, "ns", "b")
    assert [(request.method, request.path[-1]) for request in server.requests] == [("GET", "b")]


def test_reads_pass_a_closed_fence(server: FakeApiServer) -> None:
    server.expect(apiserver.ok({"items": []}), apiserver.watch())
    client = make_client(server, fence=ClosingFence(0).check)

    client.list(PODS, "ns")
    with open_watch(client) as stream:
        assert list(stream) == []


def test_a_deadline_that_has_passed_sends_nothing(server: FakeApiServer, client: Client) -> None:
    clock = FakeClock()
    deadline = Deadline.after(clock, 10)
    clock.step(11)

    with pytest.raises(DeadlineExceeded):
        client.get(PODS, "ns", "a", deadline=deadline)

    assert server.requests == []


def test_a_deadline_that_passes_between_two_looks_at_it_has_passed(client: Client) -> None:
    class PassingClock(FakeClock):
        def monotonic(self) -> float:
            self.step(1)
            return super().monotonic()

    with pytest.raises(DeadlineExceeded):
        client.get(PODS, "ns", "a", deadline=Deadline(PassingClock(), at=1.5))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(apiserver.silence, id="that does not come"),
        pytest.param(apiserver.trickle, id="that comes byte by byte"),
    ],
)
def test_a_deadline_bounds_the_wait_for_an_answer(
    server: FakeApiServer, client: Client, answer: apiserver.Answer
) -> None:
    server.expect(answer)
    clock = SystemClock()
    started = clock.monotonic()

    with pytest.raises(DeadlineExceeded):
        client.get(PODS, "ns", "a", deadline=Deadline.after(clock, 0.1))

    assert clock.monotonic() - started < STUCK_AFTER, "that is the client's own timeout"


def test_requests_are_counted(server: FakeApiServer) -> None:
    registry = CollectorRegistry()
    client = Client(
        server.api_client(),
        field_manager="tester",
        clock=FakeClock(),
        metrics=Metrics(registry),
        read_timeout=2.0,
    )
    server.expect(apiserver.ok({}), apiserver.failure(404, "NotFound"), apiserver.silence)

    client.create(PODS, "ns", BODY)
    for _ in range(2):
        with pytest.raises(errors.ClientError):
            client.get(PODS, "ns", "a")

    host = server.url.removeprefix("http://")
    counted = {
        (sample.labels["method"], sample.labels["code"], sample.labels["host"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "rest_client_requests_total"
    }
    assert counted == {
        ("POST", "200", host): 1,
        ("GET", "404", host): 1,
        ("GET", "<error>", host): 1,
    }
    sizes = {"verb": "POST", "host": host}
    sent = registry.get_sample_value("rest_client_request_size_bytes_sum", sizes)
    assert sent == len(json.dumps(BODY, separators=(",", ":")))


@pytest.mark.parametrize(
    ("url", "label"),
    [
        pytest.param("https://10.0.0.1:6443", "10.0.0.1:6443", id="host and port"),
        pytest.param("https://user:secret@h:1/proxy", "h:1", id="never what may be secret"),
        pytest.param("https://[fd00::1]:6443", "[fd00::1]:6443", id="IPv6"),
        pytest.param("https://api.example", "api.example", id="no port"),
    ],
)
def test_the_host_label(url: str, label: str) -> None:
    assert host_label(url) == label


def test_an_api_below_a_path_is_asked_there(server: FakeApiServer) -> None:
    server.expect(apiserver.ok(BODY))
    api_client = server.api_client()
    api_client.configuration.host = f"{server.url}/clusters/one"

    client_of(api_client).get(PODS, "ns", "a")

    assert server.requests[0].path == "/clusters/one/api/v1/namespaces/ns/pods/a"


def test_a_proxy_is_told_where_a_request_goes(server: FakeApiServer) -> None:
    server.expect(apiserver.ok(BODY))
    configuration = kubernetes.client.Configuration(host="http://api.invalid:6443")
    configuration.proxy = server.url

    client_of(kubernetes.client.ApiClient(configuration)).get(PODS, "ns", "a")

    (request,) = server.requests
    assert request.path == "/api/v1/namespaces/ns/pods/a"
    assert request.headers["host"] == "api.invalid:6443"


def test_the_token_is_read_anew_for_each_request(server: FakeApiServer) -> None:
    tokens = iter(["first", "second"])
    api_client = server.api_client()
    api_client.configuration.api_key["BearerToken"] = "bearer expired"

    def refresh(configuration: Any) -> None:
        configuration.api_key["BearerToken"] = f"bearer {next(tokens)}"

    api_client.configuration.refresh_api_key_hook = refresh
    client = client_of(api_client)
    server.expect(apiserver.ok({}), apiserver.ok({}))

    client.get(PODS, "ns", "a")
    client.get(PODS, "ns", "a")

    assert [request.headers["authorization"] for request in server.requests] == [
        "bearer first",
        "bearer second",
    ]


def test_credentials_that_cannot_be_renewed_are_no_bug(server: FakeApiServer) -> None:
    api_client = server.api_client()
    api_client.configuration.api_key["BearerToken"] = "bearer expired"

    def refresh(_configuration: Any) -> None:
        raise FileNotFoundError("token")

    api_client.configuration.refresh_api_key_hook = refresh
    client = client_of(api_client)

    with pytest.raises(errors.TransportError, match="credentials"):
        client.get(PODS, "ns", "a")

    assert server.requests == []


def open_watch(client: Client, read_timeout: float = STUCK_AFTER) -> Any:
    return client.watch(
        PODS,
        "ns",
        resource_version="5",
        timeout_seconds=300,
        read_timeout=read_timeout,
        send_initial_events=True,
    )


def test_a_watch_yields_its_events_and_ends_in_good_order(
    server: FakeApiServer, client: Client
) -> None:
    large = apiserver.event("ADDED", apiserver.pod("large", 1, padding="x" * 500_000))
    events = [large, apiserver.added("a", 2), apiserver.bookmark(3)]
    server.expect(apiserver.watch(*events))

    with open_watch(client) as stream:
        assert list(stream) == events

    assert server.requests[0].query == {
        "watch": "true",
        "resourceVersion": "5",
        "timeoutSeconds": "300",
        "allowWatchBookmarks": "true",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
    }


@pytest.mark.parametrize(
    ("end", "read_timeout"),
    [
        pytest.param("cut", STUCK_AFTER, id="the connection broke between events"),
        pytest.param("truncated", STUCK_AFTER, id="the stream ended inside an event"),
        pytest.param("silent", 2.0, id="half-open: nothing comes for longer than the read timeout"),
    ],
)
def test_a_watch_that_does_not_end_in_good_order(end: apiserver.End, read_timeout: float) -> None:
    with FakeApiServer(apiserver.watch(apiserver.added("a", 1), end=end)) as server:
        client = make_client(server)

        with open_watch(client, read_timeout) as stream, pytest.raises(errors.TransportError):
            list(stream)


def test_what_came_before_the_break_is_delivered() -> None:
    script = apiserver.watch(apiserver.added("a", 1), end="cut")
    with FakeApiServer(script) as server, open_watch(make_client(server)) as stream:
        events = iter(stream)

        assert next(events) == apiserver.added("a", 1)
        with pytest.raises(errors.TransportError):
            next(events)


def certificate(folder: Path) -> Path:
    """Write a self-signed certificate for 127.0.0.1 with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime(2020, 1, 1, tzinfo=UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=36500))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    file = folder / "tls.pem"
    file.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


@pytest.mark.parametrize("tls", [pytest.param(False, id="plain"), pytest.param(True, id="TLS")])
def test_close_wakes_the_reader_from_another_thread(*, tls: bool, tmp_path: Path) -> None:
    script = apiserver.watch(apiserver.added("a", 1), end="silent")
    with (
        FakeApiServer(script, tls=certificate(tmp_path) if tls else None) as server,
        open_watch(make_client(server), read_timeout=2 * STUCK_AFTER) as stream,
    ):
        events = iter(stream)
        next(events)
        rest: list[Any] = []
        reader = threading.Thread(target=lambda: rest.extend(events))
        reader.start()

        stream.close()
        reader.join(STUCK_AFTER)

        assert not reader.is_alive()
        assert rest == []
        stream.close()


def test_a_refused_watch_raises_at_once(server: FakeApiServer, client: Client) -> None:
    server.expect(apiserver.failure(410, "Expired"))

    with pytest.raises(errors.Gone):
        open_watch(client)


def test_a_certificate_nobody_vouches_for_is_a_transport_error(tmp_path: Path) -> None:
    with FakeApiServer(tls=certificate(tmp_path)) as server:
        configuration = kubernetes.client.Configuration(host=server.url)
        client = Client(
            kubernetes.client.ApiClient(configuration),
            field_manager="tester",
            clock=SystemClock(),
            metrics=Metrics(CollectorRegistry()),
        )

        with pytest.raises(errors.TransportError, match="certificate verify failed"):
            client.get(PODS, "ns", "a")


def test_a_certificate_authority_that_is_replaced_on_disk_is_believed(tmp_path: Path) -> None:
    """The kubelet replaces `ca.crt`; nobody starts the process anew for it."""
    served = apiserver.watch(end="clean")
    with FakeApiServer(served, served, tls=certificate(tmp_path)) as server:
        client = make_client(server)
        with open_watch(client) as stream:
            assert list(stream) == []

        server.stop_listening()
        certificate(tmp_path)
        server.listen_again()

        with open_watch(client) as stream:
            assert list(stream) == []
