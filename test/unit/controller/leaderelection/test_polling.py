"""What a candidate does that may not watch the Lease: it polls, as client-go's does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from attrs import define, field

from controller.errors import Forbidden, TransportError
from controller.manager import Group, Manager
from controller.stop import Stop
from fakes.clock import STUCK_AFTER

if TYPE_CHECKING:
    from structlog.typing import EventDict

    from fakes.election import World

NO_RIGHT = Forbidden(403, "Forbidden", 'User "bob" cannot list resource "leases"')

MISSING = {
    "event": "polling the lease: the right to list and watch it is missing",
    "log_level": "warning",
    "lease": "backup/controller",
    "resource": "leases.coordination.k8s.io",
    "verbs": "list, watch",
    "every_seconds": 2.0,
    "error": 'User "bob" cannot list resource "leases" (403 Forbidden)',
}
FAILED = {
    "event": "list and watch failed",
    "log_level": "warning",
    "resource": "leases.coordination.k8s.io",
    "error": "connection reset",
}


@define
class Loop:
    """A controller."""

    name: str = "loop"
    works: threading.Event = field(factory=threading.Event)

    def run(self, stop: threading.Event) -> None:
        self.works.set()
        stop.wait()


def test_a_process_without_the_right_to_watch_leases_leads(world: World) -> None:
    first = world.candidate("first", watching=False)
    first.client.watch_trouble = NO_RIGHT
    manager, loop, stop = Manager(clock=world.clock), Loop(), Stop()
    manager.set_elector(first.elector)
    manager.add(first.elector.informer, Group.ELECTION)
    manager.add(loop, Group.CONTROLLERS)
    running = threading.Thread(target=manager.run, args=(stop,), daemon=True)
    running.start()

    assert loop.works.wait(STUCK_AFTER)

    stop.set()
    running.join(STUCK_AFTER)
    assert world.api.spec["holderIdentity"] == ""


@pytest.mark.parametrize(
    ("trouble", "warnings"),
    [
        pytest.param(NO_RIGHT, [MISSING], id="a right that is missing is named, once"),
        pytest.param(
            TransportError("connection reset"),
            [FAILED] * 3,
            id="all other errors are logged each time, as for any informer",
        ),
    ],
)
def test_what_is_logged_of_a_watch_that_fails(
    world: World, logs: list[EventDict], trouble: Exception, warnings: list[EventDict]
) -> None:
    first = world.candidate("first", watching=False)
    first.client.watch_trouble = trouble
    stop = Stop()
    running = threading.Thread(target=first.elector.informer.run, args=(stop,), daemon=True)
    running.start()
    for listed in (1, 2, 3):
        world.api.wait_for(listed, "failed list")
        world.step(60)
    stop.set()
    running.join(STUCK_AFTER)

    warned = [entry for entry in logs if entry["log_level"] == "warning"]
    assert warned[: len(warnings)] == warnings
    assert trouble is not NO_RIGHT or len(warned) == 1
