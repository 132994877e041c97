"""How a leader keeps the lease, and when it has lost it."""

from __future__ import annotations

import threading
from typing import Any, NoReturn

import pytest

from controller.errors import TransportError
from controller.health import CheckFailed
from controller.leaderelection.elector import HUNG_TOLERANCE
from fakes.clock import STUCK_AFTER
from fakes.election import REFUSED, World, lease


class TestRenew:
    def test_a_renewal_is_one_request_that_changes_one_field(self, world: World) -> None:
        world.api.put(lease(""))
        first = world.candidate("first")
        first.lead()
        before = world.api.spec

        world.renew(3)

        assert world.api.requests == ["get", "update"] + ["update"] * 3
        assert world.api.spec == {**before, "renewTime": "2026-01-01T00:00:06.000000Z"}

    def test_a_second_one_waits_as_long_as_the_lease_is_renewed(self, world: World) -> None:
        world.candidate("first").lead()
        second = world.candidate("second")
        second.start()
        world.api.wait_for(2, "get")

        world.renew(20)

        assert not second.leads.is_set()
        assert world.api.spec["holderIdentity"] == "first"

    def test_the_fence_is_open_from_one_renewal_to_the_next(self, world: World) -> None:
        first = world.candidate("first")
        assert first.fence.remaining == 0
        first.lead()
        assert first.fence.remaining == 10

        world.step(1.5)
        assert first.fence.remaining == 8.5
        world.renew()

        world.settle()
        assert first.fence.remaining == 10

    def test_a_lost_answer_is_no_lost_lease(self, world: World) -> None:
        first = world.candidate("first")
        first.lead()
        first.client.lost_answer = TransportError("reset")

        world.step(2)
        world.settle()

        assert world.api.requests[2:] == ["update", "get", "update"]
        assert first.fence.remaining == 10

    def test_a_lease_that_was_deleted_is_made_again(self, world: World) -> None:
        first = world.candidate("first", watching=False)
        first.lead()
        world.api.put(None)
        world.step(2)
        world.api.wait_for(2, "create")

        world.settle()
        assert world.api.spec["holderIdentity"] == "first"
        assert first.fence.remaining == 10

    def test_a_lease_older_than_before_ends_leader_and_candidates(self, world: World) -> None:
        """What they know may never have been, and their watches stay silent until it comes again.

        Who waits for a higher version would see the lease expire while its holder renews it.
        """
        first, second = world.candidate("a"), world.candidate("b")
        first.lead()
        second.start()
        world.renew()

        world.api.restore()
        world.step(2)

        reason = "lease backup/controller is older than before: etcd was restored from a backup"
        assert first.ended() == reason
        assert second.ended() == reason
        assert not first.fence.remaining
        assert not second.leads.is_set()

    def test_a_lease_that_cannot_be_renewed_is_lost_at_the_deadline(self, world: World) -> None:
        first = world.candidate("first")
        first.lead()
        first.client.trouble = REFUSED
        for failed in range(1, 5):
            world.step(2)
            world.api.wait_for(failed, "failed get")
        assert first.fence.remaining == 2

        world.step(2)

        assert first.ended() == "lease backup/controller was not renewed within 10 s"
        assert world.clock.monotonic() == 10
        assert first.status == 0

    @pytest.mark.parametrize(
        ("begins", "sent"),
        [
            pytest.param(2, ["update", "get"], id="one that hangs leaves time for another one"),
            pytest.param(4, ["update", "get"], id="the other one is cut when the fence closes"),
            pytest.param(6, ["update"], id="what hangs until the fence closes is the last"),
            pytest.param(8, ["update"], id="however little time it had"),
        ],
    )
    def test_an_api_server_that_hangs_costs_the_lease_when_the_fence_closes(
        self, world: World, begins: int, sent: list[str]
    ) -> None:
        first = world.candidate("first")
        first.lead()
        first.client.trouble = REFUSED
        for failed in range(1, begins // 2):
            world.step(2)
            world.api.wait_for(failed, "failed get")
        first.client.trouble = None
        first.client.hangs = True
        before = len(world.api.requests)
        world.step(2)
        world.api.wait_for(1, "hanging update")
        if "get" in sent:
            world.step(5)
            world.api.wait_for(1, "hanging get")

        world.step(10 - world.clock.monotonic())

        assert first.ended() == "lease backup/controller was not renewed within 10 s"
        assert world.clock.monotonic() == 10
        assert world.api.requests[before:] == [f"hanging {verb}" for verb in sent]

    def test_one_that_was_paused_in_the_middle_of_a_renewal_writes_nothing(
        self, world: World
    ) -> None:
        first = world.candidate("first", watching=False)
        first.lead()
        first.client.lost_answer = TransportError("reset")
        first.client.after_first_get = lambda: world.clock.step(20)

        world.step(2)

        assert first.ended() == "lease backup/controller was not renewed within 10 s"
        assert world.api.requests[2:] == ["update", "get"]

    def test_no_request_lasts_beyond_the_deadline(self, world: World) -> None:
        first = world.candidate("first")
        first.lead()
        first.client.trouble = REFUSED
        first.client.allowed.clear()
        for failed in range(1, 5):
            world.step(2)
            world.api.wait_for(failed, "failed get")

        assert first.client.allowed == [5, 5, 5, 5, 4, 4, 2, 2]

    def test_one_that_was_paused_beyond_the_deadline_sends_nothing(self, world: World) -> None:
        first = world.candidate("first")
        first.lead()
        sent = list(world.api.requests)

        world.step(20)

        assert first.ended() == "lease backup/controller was not renewed within 10 s"
        assert first.fence.remaining == 0
        assert world.api.requests == sent

    def test_another_holder_whom_the_watch_shows_ends_it_at_once(self, world: World) -> None:
        first = world.candidate("first")
        first.lead()
        world.settle()

        world.api.put(lease("second"))

        assert first.ended() == "lease backup/controller was taken by second"
        assert first.fence.remaining == 0

    def test_another_holder_whom_the_watch_shows_before_a_renewal_is_answered_ends_it(
        self, world: World
    ) -> None:
        first = world.candidate("first")
        first.lead()
        first.client.before_answer = lambda: world.api.put(lease("second"))
        reopened: list[float] = []
        first.before_end = lambda: reopened.append(first.fence.remaining)

        world.step(2)

        assert first.ended() == "lease backup/controller was taken by second"
        assert reopened == [0]

    def test_the_fence_closes_when_the_watch_shows_another_holder_while_a_renewal_hangs(
        self, world: World
    ) -> None:
        first = world.candidate("first")
        first.lead()
        first.client.hangs = True
        world.step(2)
        world.api.wait_for(1, "hanging update")

        world.api.put(lease("second"))
        assert first.fence.remaining == 0
        world.step(5)

        assert first.ended() == "lease backup/controller was taken by second"
        assert world.api.requests[-1] == "hanging update"

    def test_a_lease_that_somebody_else_releases_is_lost(self, world: World) -> None:
        first = world.candidate("first")
        first.lead()
        world.settle()

        world.api.put(lease(""))

        assert first.ended() == "lease backup/controller was released by somebody else"

    def test_another_holder_whom_a_renewal_meets_ends_it(self, world: World) -> None:
        first = world.candidate("first", watching=False)
        first.lead()
        world.settle()

        world.api.put(lease("second"))
        world.step(2)

        assert first.ended() == "lease backup/controller was taken by second"
        assert first.fence.remaining == 0


class TestCheckAlive:
    def test_a_leader_whose_thread_hangs(self, world: World) -> None:
        first = world.candidate("first")
        first.lead()
        asked, gate = threading.Event(), threading.Event()

        def hang(*_arguments: Any, **_options: Any) -> NoReturn:
            asked.set()
            gate.wait(STUCK_AFTER)
            raise REFUSED

        first.client.update = hang  # type: ignore[method-assign]
        world.step(2)
        assert asked.wait(STUCK_AFTER)
        world.clock.step(13 + HUNG_TOLERANCE)
        first.elector.check_alive()

        world.clock.step(1)

        with pytest.raises(CheckFailed, match=r"^lease backup/controller has expired 21 s ago$"):
            first.elector.check_alive()
        gate.set()

    def test_one_that_waits_is_well(self, world: World) -> None:
        second = world.candidate("second")
        world.api.put(lease("dead", leaseDurationSeconds=1))
        second.client.trouble = REFUSED
        second.start()
        world.api.wait_for(1, "failed get")
        world.clock.step(3600)

        second.elector.check_alive()

    def test_a_candidate_whose_write_was_not_answered_is_well(self, world: World) -> None:
        """The Lease names it, but it has never led: an API server that is away is no hang."""
        first = world.candidate("first")
        first.client.answers_hang = True
        first.start()
        world.api.wait_for(1, "create")
        first.client.trouble = REFUSED
        world.step(5)
        world.settle()

        world.clock.step(15 + HUNG_TOLERANCE)

        assert first.elector.is_leader()
        assert not first.leads.is_set()
        first.elector.check_alive()
