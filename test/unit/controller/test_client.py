"""What the client sends for each verb, and what it makes of the answers."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from controller import errors
from controller.errors import NotLeading
from controller.rest.client import Client, Resource
from fakes import apiserver
from fakes.apiserver import FakeApiServer
from fakes.clock import STUCK_AFTER

PODS = Resource("", "v1", "pods", "Pod")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)


def make_client(server: FakeApiServer, fence: Callable[[], None] = lambda: None) -> Client:
    return Client(server.transport(), field_manager="tester", fence=fence)


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


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        pytest.param(PODS, "/openapi/v3/api/v1", id="core group"),
        pytest.param(LEASES, "/openapi/v3/apis/coordination.k8s.io/v1", id="another group"),
    ],
)
def test_where_a_resource_is_described(
    server: FakeApiServer, client: Client, resource: Resource, path: str
) -> None:
    server.expect(apiserver.ok({"openapi": "3.0.0"}))

    assert client.openapi(resource) == {"openapi": "3.0.0"}
    assert [request.path for request in server.requests] == [path]


POD = "/api/v1/namespaces/ns/pods/a"
BODY = {"metadata": {"name": "a"}}


@pytest.mark.parametrize(
    ("method", "arguments", "options", "sent"),
    [
        pytest.param("get", ("ns", "a"), {}, ("GET", POD, {}, None, None), id="get"),
        pytest.param(
            "get",
            ("ns", "a"),
            {"subresource": "scale"},
            ("GET", f"{POD}/scale", {}, None, None),
            id="get a subresource",
        ),
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
        pytest.param(
            "strategic_merge_patch",
            ("ns", "a", BODY),
            {},
            (
                "PATCH",
                POD,
                {"fieldManager": "tester"},
                "application/strategic-merge-patch+json",
                BODY,
            ),
            id="strategic merge patch",
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
    ("group", "version", "path"),
    [
        pytest.param("", "v1", "/api/v1", id="core group"),
        pytest.param("apps", "v1", "/apis/apps/v1", id="another group"),
    ],
)
def test_the_kinds_of_a_group_are_asked_for_by_its_version(
    server: FakeApiServer, client: Client, group: str, version: str, path: str
) -> None:
    server.expect(apiserver.ok({"resources": []}))

    assert client.api_resources(group, version) == {"resources": []}
    assert server.requests[0].path == path


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


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b'{"a": ', "broken JSON", id="broken JSON"),
        pytest.param(b"[]", "no JSON object", id="not an object"),
    ],
)
def test_an_answer_that_is_no_object(content: bytes, words: str) -> None:
    with FakeApiServer(apiserver.answer(200, content)) as server:
        client = make_client(server)

        with pytest.raises(errors.TransportError, match=words):
            client.get(PODS, "ns", "a")


class TestCaches:
    """The informers' caches are told of each write before its caller goes on."""

    @pytest.mark.parametrize(
        ("method", "arguments"),
        [
            pytest.param("create", ("ns", BODY), id="create"),
            pytest.param("update", ("ns", "a", BODY), id="update"),
            pytest.param("apply", ("ns", "a", BODY), id="apply"),
            pytest.param("merge_patch", ("ns", "a", BODY), id="merge patch"),
            pytest.param("strategic_merge_patch", ("ns", "a", BODY), id="strategic merge patch"),
        ],
    )
    def test_they_get_what_a_write_returned(
        self, server: FakeApiServer, method: str, arguments: tuple[Any, ...]
    ) -> None:
        told: list[Any] = []
        client = Client(
            server.transport(), field_manager="tester", on_write=lambda *what: told.append(what)
        )
        server.expect(apiserver.ok({"made": True}))

        getattr(client, method)(PODS, *arguments)

        assert told == [(PODS, {"made": True})]

    def test_they_hear_nothing_of_what_was_refused_read_or_deleted(
        self, server: FakeApiServer
    ) -> None:
        """A deletion returns a Status or the object as it was: the watch tells of its end."""
        told: list[Any] = []
        client = Client(
            server.transport(), field_manager="tester", on_write=lambda *what: told.append(what)
        )
        server.expect(apiserver.failure(409), apiserver.ok({}), apiserver.ok({"kind": "Status"}))

        with pytest.raises(errors.Conflict):
            client.create(PODS, "ns", BODY)
        client.get(PODS, "ns", "a")
        client.delete(PODS, "ns", "a")

        assert told == []


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
        pytest.param("strategic_merge_patch", ("ns", "a", BODY), id="strategic merge patch"),
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
    with client.watch(
        PODS, "ns", resource_version="5", timeout_seconds=1, read_timeout=STUCK_AFTER
    ) as stream:
        assert list(stream) == []
