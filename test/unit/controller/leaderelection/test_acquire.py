"""Who may take the lease, when, and what is written into it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from controller.errors import Forbidden
from fakes.clock import STUCK_AFTER
from fakes.election import World, lease

if TYPE_CHECKING:
    from controller.resource import Object


class TestAcquire:
    def test_the_first_makes_the_lease(self, world: World) -> None:
        first = world.candidate("first")
        world.clock.step(30)
        first.lead()

        assert world.api.requests == ["get", "create"]
        assert world.api.spec == {
            "holderIdentity": "first",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-01-01T00:00:30.000000Z",
            "renewTime": "2026-01-01T00:00:30.000000Z",
            "leaseTransitions": 0,
        }
        assert first.recorder.notes == ["first became leader"]
        assert first.status == 1

    @pytest.mark.parametrize(
        ("found", "transitions"),
        [
            pytest.param(lease(""), 4, id="a lease that was given up"),
            pytest.param(lease("", leaseTransitions=None), 1, id="one without a history"),
        ],
    )
    def test_a_free_lease_is_taken_at_once(
        self, world: World, found: Object, transitions: int
    ) -> None:
        world.api.put(found)
        world.candidate("first").lead()

        assert world.api.requests == ["get", "update"]
        assert world.api.spec["leaseTransitions"] == transitions
        assert world.api.spec["acquireTime"] == "2026-01-01T00:00:00.000000Z"

    def test_what_others_wrote_into_a_lease_is_kept(self, world: World) -> None:
        world.api.put(lease("", strategy="OldestEmulationVersion"))
        world.candidate("first").lead()

        assert world.api.spec["strategy"] == "OldestEmulationVersion"

    @pytest.mark.parametrize(
        "renewed",
        [
            pytest.param("2001-01-01T00:00:00.000000Z", id="its clock is behind"),
            pytest.param("2099-01-01T00:00:00.000000Z", id="its clock is ahead"),
        ],
    )
    def test_a_lease_expires_by_the_candidates_own_clock(self, world: World, renewed: str) -> None:
        world.api.put(lease("dead", renewTime=renewed))
        second = world.candidate("second", watching=False)
        second.start()
        for asked in range(1, 8):
            world.api.wait_for(asked, "get")
            world.step(2)
        world.api.wait_for(8, "get")
        assert not second.leads.is_set()

        world.step(1)

        assert second.leads.wait(STUCK_AFTER)
        assert world.clock.monotonic() == 15
        assert world.api.spec["leaseTransitions"] == 4

    def test_a_lease_expires_by_the_duration_of_its_holder(self, world: World) -> None:
        world.api.put(lease("dead", leaseDurationSeconds=5))
        second = world.candidate("second", watching=False)
        second.start()
        for asked in (1, 2, 3):
            world.api.wait_for(asked, "get")
            world.step(min(2, 5 - world.clock.monotonic()))

        assert second.leads.wait(STUCK_AFTER)
        assert world.clock.monotonic() == 5

    def test_a_change_that_only_the_watch_has_shown_counts_from_then(self, world: World) -> None:
        world.api.put(lease("first"))
        second = world.candidate("second")
        second.start()
        world.api.wait_for(1, "get")
        world.step(1)
        # The last sign of life, between two times that the candidate asks.
        world.api.put(lease("first", renewTime="2001-01-01T00:00:01.000000Z"))

        for second_of_test in (2, 4, 6, 8, 10, 12, 14, 15):
            world.step(second_of_test - world.clock.monotonic())
        world.settle()
        assert not second.leads.is_set()
        world.step(1)

        assert second.leads.wait(STUCK_AFTER)

    def test_a_lease_that_somebody_deletes_is_its_holders_until_it_expires(
        self, world: World
    ) -> None:
        world.api.put(lease("first"))
        second = world.candidate("second")
        second.start()
        world.api.wait_for(1, "get")
        world.api.put(None)
        for _ in range(7):
            world.step(2)
        world.settle()
        assert "create" not in world.api.requests

        world.step(1)

        assert second.leads.wait(STUCK_AFTER)
        assert world.clock.monotonic() == 15

    def test_a_label_on_a_lease_does_not_renew_it(self, world: World) -> None:
        world.api.put(lease("dead"))
        second = world.candidate("second")
        second.start()
        for _ in range(7):
            world.step(2)
            world.api.put(lease("dead"))
        world.step(1)

        assert second.leads.wait(STUCK_AFTER)

    def test_two_that_find_a_free_lease_do_not_both_get_it(self, world: World) -> None:
        world.api.put(lease(""))
        first, second = [world.candidate(name, watching=False) for name in ("first", "second")]
        # Both have read the Lease before either writes.
        read = threading.Barrier(2)
        for one in (first, second):
            one.client.after_first_get = lambda: read.wait(STUCK_AFTER)
            one.start()
        world.api.wait_for(2, "update")

        world.settle()
        assert [first.leads.is_set(), second.leads.is_set()].count(True) == 1

    def test_a_candidate_without_the_right_keeps_asking(self, world: World) -> None:
        first = world.candidate("first")
        first.client.trouble = Forbidden(403, "Forbidden", "no")
        first.start()
        world.api.wait_for(1, "failed get")
        first.client.trouble = None

        world.step(2)

        assert first.leads.wait(STUCK_AFTER)

    def test_one_that_is_stopped_while_it_waits_leaves_the_lease_alone(self, world: World) -> None:
        world.api.put(lease("first"))
        second = world.candidate("second")
        second.start()
        world.api.wait_for(1, "get")

        assert second.finish() == ""
        assert world.api.requests == ["get"]
        assert second.recorder.notes == []
        assert second.status == 0

    def test_candidates_ask_after_one_to_two_retry_periods(self, world: World) -> None:
        drawn: list[tuple[float, float]] = []
        world.api.put(lease("first"))
        second = world.candidate("second")

        def draw(low: float, high: float) -> float:
            drawn.append((low, high))
            return low

        second.elector._uniform = draw  # noqa: SLF001 - the one thing that chance decides
        second.start()
        world.api.wait_for(1, "get")
        world.settle()

        assert drawn == [(1.0, 2.2)]
