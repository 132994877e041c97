"""Informers against a real API server, through a network that fails."""

import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3
from attrs import evolve
from prometheus_client import CollectorRegistry

from controller.cache.informer import Informer
from controller.cache.reflector import READ_TIMEOUT
from controller.clock import Deadline, SystemClock
from controller.errors import NotFound, TooManyRequests
from controller.metrics import Metrics
from controller.resource import Object, Resource
from controller.rest.client import Client, WatchStream
from controller.rest.cutoff import Guard
from controller.rest.kubeconfig import load_api_client
from controller.rest.transport import Call, Transport
from controller.stop import Stop
from fakes.tcpproxy import TcpProxy

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
DEFINITIONS = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
)
SECRETS = Resource("", "v1", "secrets", "Secret")

#: Real seconds after which a test that waits for the server is stuck, not slow.
STUCK_AFTER = 30.0

#: What a Secret holds in these tests, in clear and as the API shows it.
CLEAR, ENCODED = "open-sesame", "b3Blbi1zZXNhbWU="


class RecordingClient(Client):
    """A client that notes how an informer asks, and can be made to ask for something old."""

    connections: "Bookmarkless"
    asked: list[str]
    next_watch_from: str

    def list(self, *arguments: Any, **options: Any) -> Object:
        self.asked.append("list")
        return super().list(*arguments, **options)

    def watch(self, *arguments: Any, **options: Any) -> WatchStream:
        self.asked.append("stream" if options["send_initial_events"] else "watch")
        if self.next_watch_from and self.asked[-1] == "watch":
            options["resource_version"], self.next_watch_from = self.next_watch_from, ""
        return super().watch(*arguments, **options)


class Bookmarkless(Transport):
    """Connections whose watches can be made to ask for no bookmarks."""

    without_bookmarks = False

    def open(self, call: Call, *, stop: Stop | None) -> tuple[urllib3.BaseHTTPResponse, Guard]:
        if self.without_bookmarks:
            call = evolve(call, query={**call.query, "allowWatchBookmarks": None})
        return super().open(call, stop=stop)


class Listener:
    """Waits for what an informer tells."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._told: list[str] = []

    def on_add(self, obj: Object, *, initial: bool) -> None:
        self._tell(f"add {obj['metadata']['name']}{' initial' if initial else ''}")

    def on_update(self, old: Object, new: Object) -> None:
        assert old["metadata"]["uid"] == new["metadata"]["uid"]
        self._tell(f"update {new['metadata']['name']}")

    def on_delete(self, obj: Object) -> None:
        self._tell(f"delete {obj['metadata']['name']}")

    def wait_until_called(self, *expected: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._told) >= len(expected), STUCK_AFTER)
            assert self._told == list(expected)

    def wait_for(self, what: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: what in self._told, STUCK_AFTER)

    def _tell(self, what: str) -> None:
        with self._changed:
            self._told.append(what)
            self._changed.notify_all()


class SkippingClock(SystemClock):
    """The machine's clock, which a test sets ahead."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait for a short while, so that whoever waits looks at the clock again."""
        return super().wait(condition, 0.1 if timeout is None else min(timeout, 0.1))


@pytest.fixture
def clock() -> SkippingClock:
    """Give the clock of the connections."""
    return SkippingClock()


@pytest.fixture
def recording(kubeconfig: str, network: TcpProxy, clock: SkippingClock) -> RecordingClient:
    """Give a client that reaches the server through the proxy."""
    api_client = load_api_client(kubeconfig)
    server = urlsplit(api_client.configuration.host)
    api_client.configuration.host = f"https://127.0.0.1:{network.port}"
    api_client.configuration.tls_server_name = server.hostname
    metrics = Metrics(CollectorRegistry())
    connections = Bookmarkless(api_client, clock=clock, metrics=metrics)
    client = RecordingClient(connections, field_manager="integration-test")
    client.connections = connections
    client.asked = []
    client.next_watch_from = ""
    return client


Start = Callable[..., tuple[Informer, Listener]]


@pytest.fixture
def start(recording: RecordingClient, namespace: str) -> Iterator[Start]:
    """Give a function that starts an informer; each must end before its watch counts as silent."""
    stop = Stop()
    threads: list[threading.Thread] = []

    def run(resource: Resource, **options: Any) -> tuple[Informer, Listener]:
        informer = Informer(
            recording,
            resource,
            namespace,
            clock=SystemClock(),
            metrics=Metrics(CollectorRegistry()),
            **options,
        )
        listener = Listener()
        informer.add_handler(listener)
        threads.append(threading.Thread(target=informer.run, args=(stop,), daemon=True))
        threads[-1].start()
        return informer, listener

    yield run

    stop.set()
    for thread in threads:
        thread.join(STUCK_AFTER)
    assert not any(thread.is_alive() for thread in threads)


def config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_it_streams_and_follows(
    client: Client, namespace: str, recording: RecordingClient, start: Start
) -> None:
    client.create(CONFIG_MAPS, namespace, config_map("a"))
    informer, listener = start(CONFIG_MAPS)
    listener.wait_until_called("add a initial")

    client.create(CONFIG_MAPS, namespace, config_map("b"))
    client.apply(CONFIG_MAPS, namespace, "a", config_map("a", key="value"))
    client.delete(CONFIG_MAPS, namespace, "b")

    listener.wait_until_called("add a initial", "add b", "update a", "delete b")
    assert recording.asked == ["stream"]
    (held,) = informer.store.list()
    assert held["data"] == {"key": "value"}
    assert (held["apiVersion"], held["kind"]) == ("v1", "ConfigMap")
    assert "managedFields" not in held["metadata"]
    assert client.get(CONFIG_MAPS, namespace, "a")["metadata"]["managedFields"]


@pytest.mark.parametrize(
    ("fail", "silent"),
    [
        pytest.param(TcpProxy.cut, 0.0, id="a connection that is cut"),
        pytest.param(TcpProxy.freeze, READ_TIMEOUT, id="a half-open connection"),
    ],
)
def test_it_goes_on_where_it_was(
    *,
    client: Client,
    namespace: str,
    recording: RecordingClient,
    network: TcpProxy,
    start: Start,
    clock: SkippingClock,
    fail: Callable[[TcpProxy], None],
    silent: float,
) -> None:
    client.create(CONFIG_MAPS, namespace, config_map("before"))
    _, listener = start(CONFIG_MAPS)
    listener.wait_until_called("add before initial")
    client.create(CONFIG_MAPS, namespace, config_map("live"))
    listener.wait_until_called("add before initial", "add live")

    fail(network)
    client.create(CONFIG_MAPS, namespace, config_map("meanwhile"))
    clock.ahead = silent

    listener.wait_until_called("add before initial", "add live", "add meanwhile")
    assert recording.asked[:2] == ["stream", "watch"]
    assert set(recording.asked[2:]) <= {"watch"}


@pytest.fixture
def young(client: Client) -> Iterator[Resource]:
    """Give a resource that the server has only just begun to keep."""
    resource = Resource("test.example", "v1", "youngsters", "Youngster")
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    definition = {
        "apiVersion": DEFINITIONS.api_version,
        "kind": DEFINITIONS.kind,
        "metadata": {"name": resource.full_name},
        "spec": {
            "group": resource.group,
            "scope": "Namespaced",
            "names": {"plural": resource.plural, "kind": resource.kind},
            "versions": [version],
        },
    }
    client.create(DEFINITIONS, "", definition)
    wait_until_served(client, resource)
    yield resource
    client.delete(DEFINITIONS, "", resource.full_name)


def wait_until_served(client: Client, resource: Resource) -> None:
    clock = SystemClock()
    deadline = Deadline.after(clock, STUCK_AFTER)
    while True:
        try:
            client.list(resource, "default")
        except (NotFound, TooManyRequests):
            deadline.check()
            clock.wait_event(threading.Event(), 0.05)
        else:
            return


def test_it_finds_the_difference_when_its_version_is_too_old(
    *,
    client: Client,
    namespace: str,
    recording: RecordingClient,
    network: TcpProxy,
    start: Start,
    young: Resource,
) -> None:
    def create(name: str) -> None:
        body = {"apiVersion": young.api_version, "kind": young.kind, "metadata": {"name": name}}
        client.create(young, namespace, body)

    create("goes")
    informer, listener = start(young)
    listener.wait_until_called("add goes initial")
    create("stays")
    listener.wait_until_called("add goes initial", "add stays")

    # Version 1 is from before the resource's time; the deletion falls into the gap.
    recording.next_watch_from = "1"
    network.freeze()
    client.delete(young, namespace, "goes")
    network.cut()

    listener.wait_until_called("add goes initial", "add stays", "delete goes")
    assert recording.asked == ["stream", "watch", "stream"]
    assert [obj["metadata"]["name"] for obj in informer.store.list()] == ["stays"]


def test_it_lists_where_no_stream_comes_to_its_end(
    client: Client, namespace: str, recording: RecordingClient, start: Start
) -> None:
    recording.connections.without_bookmarks = True
    client.create(CONFIG_MAPS, namespace, config_map("a"))

    _, listener = start(CONFIG_MAPS, read_timeout=1.0)
    listener.wait_until_called("add a initial")
    client.create(CONFIG_MAPS, namespace, config_map("b"))

    listener.wait_until_called("add a initial", "add b")
    assert recording.asked[:3] == ["stream", "list", "watch"]


def test_metadata_of_secrets_holds_no_data(client: Client, namespace: str, start: Start) -> None:
    last_applied = "kubectl.kubernetes.io/last-applied-configuration"

    def secret(name: str) -> Object:
        annotations = {last_applied: f'{{"data": {{"password": "{ENCODED}"}}}}', "mine": "kept"}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "annotations": annotations},
            "data": {"password": ENCODED},
        }

    client.create(SECRETS, namespace, secret("there"))
    informer, listener = start(SECRETS, metadata_only=True)
    client_sees = client.get(SECRETS, namespace, "there")
    listener.wait_until_called("add there initial")
    client.create(SECRETS, namespace, secret("new"))
    listener.wait_until_called("add there initial", "add new")

    assert ENCODED in str(client_sees)
    held = informer.store.list()
    assert [obj["metadata"]["annotations"] for obj in held] == [{"mine": "kept"}] * 2
    assert {(obj["apiVersion"], obj["kind"]) for obj in held} == {("v1", "Secret")}
    assert ENCODED not in str(held)
    assert CLEAR not in str(held)


def test_after_much_change_the_store_is_what_the_server_has(
    client: Client, namespace: str, network: TcpProxy, start: Start
) -> None:
    informer, listener = start(CONFIG_MAPS)
    for round_ in range(60):
        name = f"c{round_ % 7}"
        client.apply(CONFIG_MAPS, namespace, name, config_map(name, round=str(round_)))
        if round_ % 5 == 4:
            client.delete(CONFIG_MAPS, namespace, name)
        if round_ % 20 == 19:
            network.cut()
    client.create(CONFIG_MAPS, namespace, config_map("end"))
    listener.wait_for("add end")

    assert versions(informer.store.list()) == versions(client.list(CONFIG_MAPS, namespace)["items"])


def versions(objects: list[Object]) -> dict[str, str]:
    return {obj["metadata"]["name"]: obj["metadata"]["resourceVersion"] for obj in objects}
