"""An informer on a fake API server, and a handler that records what it is called with."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry

from controller.cache.informer import Informer
from controller.metrics import Metrics
from controller.resource import Object, Resource
from controller.rest.client import Client
from controller.stop import Stop
from fakes.apiserver import (
    FakeApiServer,
)
from fakes.clock import STUCK_AFTER, FakeClock

PODS = Resource("", "v1", "pods", "Pod")


def label(obj: Object) -> str:
    return f"{obj['metadata']['name']}@{obj['metadata']['resourceVersion']}"


class Listener:
    """A handler that records its calls, and checks the store at each of them."""

    def __init__(self, informer: Informer) -> None:
        self._informer = informer
        self._changed = threading.Condition()
        self.calls: list[str] = []

    def on_add(self, obj: Object, *, initial: bool) -> None:
        assert self._informer.store.get("ns", obj["metadata"]["name"]) is obj
        self._record(f"add {label(obj)}{' initial' if initial else ''}")

    def on_update(self, old: Object, new: Object) -> None:
        assert self._informer.store.get("ns", new["metadata"]["name"]) is new
        self._record(f"update {label(old)} {label(new)}")

    def on_delete(self, obj: Object) -> None:
        self._record(f"delete {label(obj)}")

    def wait_until_called(self, *expected: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self.calls) >= len(expected), STUCK_AFTER)
            assert self.calls == list(expected)

    def _record(self, what: str) -> None:
        with self._changed:
            self.calls.append(what)
            self._changed.notify_all()


def make_informer(
    server: FakeApiServer,
    clock: FakeClock | None = None,
    **options: Any,
) -> Informer:
    metrics = options.pop("metrics", None) or Metrics(CollectorRegistry())
    client = Client(server.transport(metrics), field_manager="tester")
    return Informer(
        client,
        PODS,
        "ns",
        clock=clock or FakeClock(),
        metrics=metrics,
        uniform=lambda low, _high: low,
        **options,
    )


@contextmanager
def running(informer: Informer) -> Iterator[None]:
    """Run an informer; it must end when told to, before its watch counts as silent."""
    stop = Stop()
    thread = threading.Thread(target=informer.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(STUCK_AFTER)
    assert not thread.is_alive(), "the informer did not stop in time"
