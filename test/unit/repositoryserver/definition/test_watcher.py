"""A CRD that lacks fields is reported once, and once more when it has them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from controller.errors import TransportError, from_status
from controller.stop import Stop
from fakes.clock import STUCK_AFTER, FakeClock
from reconcilers.repositoryserver.definition import watcher as subject
from reconcilers.repositoryserver.definition.fields import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.clock import Deadline
    from controller.resource import Object, Resource

GVK = {"group": "cr.kanister.io", "version": "v1alpha1", "kind": "RepositoryServer"}


def schema_of(paths: tuple[str, ...]) -> Object:
    """Return a schema with fields."""
    root: Object = {"x-kubernetes-group-version-kind": [GVK]}
    for path in paths:
        part = root
        for word in path.split("."):
            below = part.setdefault("properties", {}).setdefault(word.removesuffix("[]"), {})
            part = below.setdefault("items", {}) if word.endswith("[]") else below
    return {"components": {"schemas": {"one": root}}}


COMPLETE = schema_of(FIELDS)
OLD = schema_of(tuple(path for path in FIELDS if not path.startswith("spec.publish.")))
ABSENT: Object = {"components": {"schemas": {}}}


@define
class Served:
    """A client to which the API server shows one document."""

    document: Object | Exception
    looks: int = 0

    def openapi(self, resource: Resource, *, deadline: Deadline) -> Object:
        assert resource.full_name == "repositoryservers.cr.kanister.io"
        assert deadline.remaining()
        self.looks += 1
        if isinstance(self.document, Exception):
            raise self.document
        return self.document


@define
class Watched:
    """A watcher, with what it looks at."""

    served: Served
    clock: FakeClock = field(factory=FakeClock)
    registry: CollectorRegistry = field(factory=CollectorRegistry)
    watcher: subject.DefinitionWatcher = field(init=False)

    def __attrs_post_init__(self) -> None:
        client: Any = self.served
        self.watcher = subject.DefinitionWatcher(client, clock=self.clock, registry=self.registry)

    def looked(self, document: Object | Exception) -> list[str]:
        """Return the events that one look at a document logs, by level."""
        self.served.document = document
        with capture_logs() as logs:
            self.watcher.look(Stop())
        return [f"{line['log_level']}: {line['event']}" for line in logs]

    @property
    def missing(self) -> float | None:
        """The value of the metric."""
        return self.registry.get_sample_value(subject.METRIC)


@pytest.fixture
def watched() -> Watched:
    return Watched(Served(COMPLETE))


LACKS = f"warning: {subject.EVENT_LACKS}"
HAS_ALL = f"info: {subject.EVENT_COMPLETE}"
UNREAD = f"info: {subject.EVENT_UNREAD}"


def test_a_crd_with_all_fields_is_not_spoken_of(watched: Watched) -> None:
    assert watched.looked(COMPLETE) == []
    assert watched.missing == 0


def test_each_change_is_reported_once(watched: Watched) -> None:
    assert watched.looked(OLD) == [LACKS]
    assert watched.missing == 1
    assert watched.looked(OLD) == []
    assert watched.looked(COMPLETE) == [HAS_ALL]
    assert watched.missing == 0
    assert watched.looked(COMPLETE) == []


@pytest.mark.parametrize(
    ("document", "said"),
    [
        pytest.param(ABSENT, [], id="a CRD that is not served, which the informers report"),
        pytest.param(from_status(404, b""), [], id="a group that is not served"),
        pytest.param(TransportError("GET: timed out"), [UNREAD], id="an API server that is away"),
    ],
)
def test_what_cannot_be_seen_changes_nothing(
    watched: Watched, document: Object | Exception, said: list[str]
) -> None:
    watched.looked(OLD)

    assert watched.looked(document) == said
    assert watched.missing == 1
    assert watched.looked(OLD) == []


def test_the_message_names_the_fields_and_the_fix(watched: Watched) -> None:
    watched.served.document = OLD

    with capture_logs() as logs:
        watched.watcher.look(Stop())

    (line,) = logs
    assert line["fields"] == ("spec.publish",)
    assert "manifests/crd" in line["fix"]


@pytest.fixture
def running(watched: Watched) -> Iterator[Watched]:
    stop = Stop()
    thread = threading.Thread(target=watched.watcher.run, args=(stop,), daemon=True)
    thread.start()
    yield watched
    stop.set()
    thread.join(STUCK_AFTER)
    assert not thread.is_alive()


def test_it_looks_at_the_start_and_then_every_ten_minutes(running: Watched) -> None:
    running.clock.block_until_waiters(1)
    assert running.served.looks == 1

    running.clock.step(subject.PERIOD_SECONDS)
    running.clock.block_until_waiters(1)
    assert running.served.looks == 2
