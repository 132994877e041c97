"""How a leader releases the lease when its stop is set."""

from __future__ import annotations

from controller.errors import Conflict
from fakes.clock import STUCK_AFTER
from fakes.election import REFUSED, STOP_GRACE_SECONDS, TERMS, World, lease


class TestRelease:
    def test_the_next_one_leads_at_once(self, world: World) -> None:
        first, second = world.candidate("first"), world.candidate("second")
        first.lead()
        second.start()
        world.api.wait_for(2, "get")
        world.settle()

        assert first.finish() == ""

        assert second.leads.wait(STUCK_AFTER)
        assert world.clock.monotonic() == 0
        assert world.api.spec["leaseTransitions"] == 1
        assert first.recorder.notes == ["first became leader", "first stopped leading"]
        assert first.status == 0

    def test_nothing_is_written_any_more_before_another_one_can_lead(self, world: World) -> None:
        first = world.candidate("first")
        first.lead()
        left: list[float] = []
        first.client.after_first_get = lambda: left.append(first.fence.remaining)

        first.finish()

        assert left == [0]
        assert world.api.requests[-2:] == ["get", "update"]

    def test_a_lease_given_up_names_nobody_and_lasts_a_second(self, world: World) -> None:
        first = world.candidate("first")
        first.lead()
        world.step(1)
        first.finish()

        assert world.api.spec == {
            "holderIdentity": "",
            "leaseDurationSeconds": 1,
            "acquireTime": "2026-01-01T00:00:01.000000Z",
            "renewTime": "2026-01-01T00:00:01.000000Z",
            "leaseTransitions": 0,
        }

    def test_a_lease_of_somebody_else_is_left_alone(self, world: World) -> None:
        first = world.candidate("first", watching=False)
        first.lead()
        world.api.put(lease("second"))
        first.finish()

        assert world.api.spec["holderIdentity"] == "second"

    def test_a_change_in_between_is_read_and_tried_again(self, world: World) -> None:
        first = world.candidate("first", watching=False)
        first.lead()
        first.client.lost_answer = Conflict(409, "Conflict", "the object has been modified")
        first.finish()

        assert world.api.requests[2:] == ["get", "update", "get"]
        assert world.api.spec["holderIdentity"] == ""

    def test_an_api_server_that_is_away_is_not_waited_for(self, world: World) -> None:
        first = world.candidate("first")
        first.lead()
        first.client.trouble = REFUSED

        assert first.finish() == ""
        assert world.api.requests[2:] == ["failed get"]

    def test_a_renewal_that_hangs_at_the_stop_holds_it_up_for_a_second(self, world: World) -> None:
        first = world.candidate("first")
        first.lead()
        first.client.hangs = True
        world.step(2)
        world.api.wait_for(1, "hanging update")
        world.settle()

        first.client.hangs = False
        first.stop.set()
        world.api.wait_for(1, "stopping")
        world.step(STOP_GRACE_SECONDS)

        assert first.ended() == ""
        assert world.clock.monotonic() == 3
        assert world.api.requests[-2:] == ["get", "update"]
        assert world.api.spec["holderIdentity"] == ""

    def test_one_that_is_stopped_before_it_knows_that_it_leads_frees_the_lease_as_well(
        self, world: World
    ) -> None:
        first = world.candidate("first", watching=False)
        first.client.answers_hang = True
        first.start()
        world.api.wait_for(1, "create")
        world.settle()

        first.client.answers_hang = False
        first.stop.set()
        world.api.wait_for(1, "stopping")
        world.step(STOP_GRACE_SECONDS)

        assert first.ended() == ""
        assert not first.leads.is_set()
        assert world.api.spec["holderIdentity"] == ""

    def test_an_api_server_that_hangs_is_waited_for_until_the_renew_deadline(
        self, world: World
    ) -> None:
        first = world.candidate("first")
        first.lead()
        world.settle()
        first.client.hangs = True
        first.client.allowed.clear()

        first.stop.set()
        world.api.wait_for(1, "hanging get")

        (allowed,) = first.client.allowed
        assert allowed <= TERMS.renew_deadline
        world.step(allowed)
        assert first.ended() == ""
