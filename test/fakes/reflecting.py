"""A reflector that runs, the sink that it fills, and what was asked of the API server."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry

from controller.cache.reflector import Reflector
from controller.clock import Clock
from controller.metrics import Metrics
from controller.resource import Object
from controller.rest.client import Client, Resource
from controller.stop import Stop
from fakes import apiserver
from fakes.apiserver import (
    FakeApiServer,
    added,
    initial_events_end,
    watch,
)
from fakes.clock import STUCK_AFTER, FakeClock

PODS = Resource("", "v1", "pods", "Pod")


class Mirror:
    """A sink that writes down what it is told, as "add name@version"."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._told: list[str] = []
        self.objects: list[Object] = []
        self.complete_up_to: list[str] = []

    def add(self, obj: Object) -> None:
        self._tell("add", obj)

    def update(self, obj: Object) -> None:
        self._tell("update", obj)

    def delete(self, obj: Object) -> None:
        self._tell("delete", obj)

    def replace(self, objects: list[Object], resource_version: str) -> None:
        self._tell("replace", *objects)
        self.complete_up_to = [resource_version]

    def bookmark(self, resource_version: str) -> None:
        self.complete_up_to.append(resource_version)

    def wait_until_told(self, *expected: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._told) >= len(expected), STUCK_AFTER)
            assert self._told == list(expected)

    def _tell(self, what: str, *objects: Object) -> None:
        names = [f"{o['metadata']['name']}@{o['metadata']['resourceVersion']}" for o in objects]
        with self._changed:
            self._told.append(" ".join([what, *names]))
            self.objects.extend(objects)
            self._changed.notify_all()


@contextmanager
def reflecting(
    server: FakeApiServer,
    mirror: Mirror,
    clock: FakeClock,
    *,
    metadata_only: bool = False,
    keep: Callable[[Object], Object] = lambda obj: obj,
    on_contact: Callable[[], None] = lambda: None,
    beat: Callable[[], None] = lambda: None,
    read_timeout: float = 2 * STUCK_AFTER,
    metrics: Metrics | None = None,
    transport_clock: Clock | None = None,
) -> Iterator[None]:
    """Run a reflector; it must end when told to, before its watch counts as silent.

    Args:
        transport_clock: By which a watch is silent; the machine's unless given.
    """
    metrics = metrics or Metrics(CollectorRegistry())
    client = Client(server.transport(metrics, transport_clock), field_manager="tester")
    reflector = Reflector(
        client,
        PODS,
        "ns",
        mirror,
        clock=clock,
        metrics=metrics,
        metadata_only=metadata_only,
        keep=keep,
        on_contact=on_contact,
        beat=beat,
        uniform=lambda low, _high: low,
        read_timeout=read_timeout,
    )
    stop = Stop()
    thread = threading.Thread(target=reflector.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(STUCK_AFTER)
    assert not thread.is_alive(), "the reflector did not stop in time"


def asked(server: FakeApiServer, count: int) -> list[str]:
    """Return the requests once there are that many: "stream", "list" or "watch" and a version."""
    told = []
    for request in server.wait_for_requests(count):
        version = request.query.get("resourceVersion", "")
        if request.query.get("sendInitialEvents"):
            told.append(f"stream from {version or 'now'}")
        elif request.query.get("watch"):
            told.append(f"watch from {version}")
        else:
            told.append(f"list at {version or 'now'}")
    return told


def streamed(*later: Object, end: apiserver.End = "silent") -> apiserver.Answer:
    """Stream one object "a" up to version 5, then what comes later."""
    return watch(added("a", 1), initial_events_end(5), *later, end=end)


SILENT = watch(end="silent")
