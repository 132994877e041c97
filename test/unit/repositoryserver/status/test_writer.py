"""When a status is written, and which of its transitions are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attrs import evolve

from controller.cache.mutationcache import MutationCache
from controller.cache.store import Store
from controller.errors import Conflict, Forbidden, NotFound
from fakes import contexts, objects
from fakes.apiclient import Action, FakeClient
from fakes.clock import FakeClock
from fakes.recorder import Event, FakeRecorder
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.perobject import States
from reconcilers.repositoryserver.status.conditions import Outcome
from reconcilers.repositoryserver.status.writer import StatusWriter
from reconcilers.repositoryserver.verdict import (
    REPOSITORY_CONNECTED,
    SERVER_INITIALIZED,
    SERVER_SETUP,
    Problem,
    Waiting,
)

if TYPE_CHECKING:
    from controller.resource import Object

WRITE = Action("patch", "repositoryservers/status", objects.NAME)

READY = Outcome(verdicts=(), available=True, service_name="s")
PENDING = Outcome(
    (Waiting(REPOSITORY_CONNECTED, "OpeningRepository", "Kopia opens it"),), available=False
)
AWAY = Outcome((Waiting(SERVER_INITIALIZED, "WaitingForAnswer", "no answer"),), available=False)
FAILED = Outcome((Problem(SERVER_SETUP, "SecretMissing", "no Secret"),), available=False)
FAILED_OTHERWISE = Outcome((Problem(SERVER_SETUP, "SecretTypeWrong", "a type"),), available=False)
EXPIRING = evolve(READY, expiring="it expires")
EXPIRED = evolve(READY, expiring="it has expired", expired=True)

IS_READY = Event("Normal", "ServerReady", "clients can connect to service s")
IS_AWAY = Event("Warning", "NotAvailable", "no answer")
IS_MISSING = Event("Warning", "SecretMissing", "no Secret")
IS_MISSING_MEANWHILE = evolve(IS_MISSING, note="no Secret (meanwhile pod  still serves)")
IS_WRONG = Event("Warning", "SecretTypeWrong", "a type")
EXPIRES = Event("Warning", "CertificateExpiring", "it expires")
HAS_EXPIRED = Event("Warning", "CertificateExpired", "it has expired")


class World:
    """A resource on the API server, and in a cache that learns of its changes when it is told."""

    def __init__(self) -> None:
        self.api = FakeClient()
        self.clock = FakeClock(objects.NOW)
        self.recorder = FakeRecorder()
        self.cached = Store()
        servers = MutationCache(self.cached, clock=self.clock)
        self.api.caches[api.REPOSITORY_SERVERS] = [servers]
        self.writer = StatusWriter(
            client=self.api,  # type: ignore[arg-type]  # the fake has what is called
            servers=servers,
            recorder=self.recorder,
            states=States(),
            clock=self.clock,
        )
        self.seen = self.api.put(api.REPOSITORY_SERVERS, objects.repository_server())
        self.cached.add(self.seen)

    def write(self, outcome: Outcome) -> list[Event]:
        """Write the status of the resource as it was seen first; return the events of it."""
        self.writer.write(self.seen, outcome, contexts.begin(self.clock).deadline)
        events, self.recorder.events = self.recorder.events, []
        return events

    def status(self) -> Object:
        """Return the status as it is stored."""
        server = self.api.store(api.REPOSITORY_SERVERS).get(objects.NAMESPACE, objects.NAME)
        assert server is not None
        found: Object = server["status"]
        return found


@pytest.fixture
def world() -> World:
    return World()


def test_a_status_is_written_once_though_the_cache_does_not_show_it_yet(world: World) -> None:
    world.write(READY)
    world.write(READY)

    assert world.api.taken() == [WRITE]
    world.write(AWAY)
    assert world.api.taken() == [WRITE]


def test_it_is_of_the_generation_that_was_looked_at_and_written_on_the_version_that_is_known(
    world: World,
) -> None:
    edited = objects.merged(world.seen, {"metadata": {"generation": 2}})
    world.cached.update(world.api.put(api.REPOSITORY_SERVERS, edited))

    world.write(READY)

    (body,) = world.api.bodies
    assert body["status"]["observedGeneration"] == 1
    assert body["metadata"] == {"resourceVersion": "102"}


def test_a_resource_that_is_gone_has_no_status(world: World) -> None:
    world.cached.delete(world.seen)

    assert world.write(READY) == []
    assert world.api.taken() == []


def test_nor_is_it_written_to_a_namesake(world: World) -> None:
    world.cached.update(objects.merged(world.seen, {"metadata": {"uid": "another"}}))

    assert world.write(READY) == []
    assert world.api.taken() == []


@pytest.mark.parametrize(
    ("outcomes", "told"),
    [
        pytest.param([PENDING], [[]], id="a server that comes up is no news"),
        pytest.param([PENDING, READY], [[], [IS_READY]], id="one that has come up is"),
        pytest.param([READY, READY], [[IS_READY], []], id="once"),
        pytest.param([READY, AWAY], [[IS_READY], [IS_AWAY]], id="clients can connect no longer"),
        pytest.param([READY, AWAY, PENDING], [[IS_READY], [IS_AWAY], []], id="that is told once"),
        pytest.param([FAILED, FAILED], [[IS_MISSING], []], id="it fails, which is told once"),
        pytest.param(
            [FAILED, FAILED_OTHERWISE], [[IS_MISSING], [IS_WRONG]], id="it fails at something else"
        ),
        pytest.param([FAILED, PENDING], [[IS_MISSING], []], id="it fails no longer"),
        pytest.param(
            [evolve(FAILED, available=True), FAILED],
            [[IS_MISSING_MEANWHILE], [IS_MISSING]],
            id="the former pod serves no longer either",
        ),
        pytest.param(
            [READY, evolve(PENDING, available=True), READY],
            [[IS_READY], [], []],
            id="a change that takes its course is no news",
        ),
        pytest.param(
            [READY, evolve(FAILED, available=True), READY],
            [[IS_READY], [IS_MISSING_MEANWHILE], [IS_READY]],
            id="one that failed and has been mended is",
        ),
        pytest.param([EXPIRING], [[IS_READY, EXPIRES]], id="a warning is told besides"),
        pytest.param(
            [EXPIRING, evolve(READY, expiring="it expires soon")],
            [[IS_READY, EXPIRES], []],
            id="a warning in other words is no other one",
        ),
        pytest.param(
            [EXPIRING, EXPIRED],
            [[IS_READY, EXPIRES], [HAS_EXPIRED]],
            id="a warning with another reason is",
        ),
        pytest.param(
            [EXPIRING, evolve(READY, expiring=""), EXPIRING],
            [[IS_READY, EXPIRES], [], [EXPIRES]],
            id="a warning that is over is not told, and one that comes back is",
        ),
    ],
)
def test_what_is_told(world: World, outcomes: list[Outcome], told: list[list[Event]]) -> None:
    assert [world.write(outcome) for outcome in outcomes] == told


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(Conflict(409, "Conflict", "changed"), id="changed meanwhile"),
        pytest.param(Forbidden(403, "Forbidden", "no"), id="refused"),
    ],
)
def test_what_was_not_written_is_not_told(world: World, error: Exception) -> None:
    world.api.failures[WRITE] = error

    with pytest.raises(type(error)):
        world.write(READY)

    assert world.recorder.events == []


def test_nor_what_was_deleted_meanwhile(world: World) -> None:
    world.api.failures[WRITE] = NotFound(404, "NotFound", "gone")

    assert world.write(READY) == []


def test_what_was_done_is_told_in_a_normal_event(world: World) -> None:
    world.writer.record_event(contexts.begin(world.clock), "PodCreated", "created pod p", "Create")

    assert world.recorder.events == [Event("Normal", "PodCreated", "created pod p", "Create")]


def test_a_part_that_is_over_is_removed_from_the_status(world: World) -> None:
    world.write(evolve(READY, maintenance={"result": "Succeeded"}))
    assert world.status()["maintenance"] == {"result": "Succeeded"}

    world.write(evolve(READY, maintenance={}))

    assert "maintenance" not in world.status()
