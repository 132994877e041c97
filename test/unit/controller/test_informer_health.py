"""What the probes, the metrics and the start see of an informer."""

import threading

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from controller.cache.backoff import BACKOFF_CAP
from controller.cache.informer import HUNG_SILENCES
from controller.cache.reflector import READ_TIMEOUT
from controller.errors import Forbidden
from controller.health import CheckFailed
from controller.metrics import Metrics
from controller.resource import Object
from fakes import apiserver
from fakes.apiserver import (
    FakeApiServer,
    added,
    error_event,
    initial_events_end,
    watch,
)
from fakes.clock import STUCK_AFTER, FakeClock, InstantClock
from fakes.informers import Listener, make_informer, running

#: Seconds without a sign of life that a thread may have.
HUNG_SECONDS = HUNG_SILENCES * READ_TIMEOUT


def test_the_age_of_the_last_contact_grows_in_silence() -> None:
    registry = CollectorRegistry()
    clock = FakeClock()
    script = watch(added("a", 1), initial_events_end(5), added("b", 6), end="silent")
    with FakeApiServer(script) as server:
        informer = make_informer(server, clock, metrics=Metrics(registry))
        listener = Listener(informer)
        informer.add_handler(listener)
        clock.step(50)
        assert informer.last_contact_age() == 50
        with running(informer):
            listener.wait_until_called("add a@1 initial", "add b@6")
            assert informer.last_contact_age() == 0

            clock.step(75)

            assert informer.last_contact_age() == 75
            values = {
                name: registry.get_sample_value(name, {"resource": "pods"})
                for name in ("informer_last_contact_seconds", "informer_store_objects")
            }
            assert values == {"informer_last_contact_seconds": 75, "informer_store_objects": 2}


def test_the_age_begins_with_the_run() -> None:
    clock = FakeClock()
    with FakeApiServer(apiserver.failure(429)) as server:
        informer = make_informer(server, clock)
        clock.step(500)
        with running(informer):
            clock.block_until_waiters(1)

            assert informer.last_contact_age() == 0


def test_a_thread_that_meets_refused_connections_only_is_alive() -> None:
    clock = InstantClock()
    with FakeApiServer() as server:
        informer = make_informer(server, clock)
        server.stop_listening()
        with running(informer):
            clock.wait_for_pauses(45)

            assert informer.last_contact_age() > HUNG_SECONDS
            informer.check_alive()
        server.listen_again()


def test_a_thread_in_a_silent_watch_is_alive_until_its_connection_must_have_been_cut() -> None:
    clock = FakeClock()
    with FakeApiServer(watch(initial_events_end(5), added("a", 6), end="silent")) as server:
        informer = make_informer(server, clock)
        listener = Listener(informer)
        informer.add_handler(listener)
        with running(informer):
            listener.wait_until_called("add a@6")
            clock.step(HUNG_SECONDS)
            informer.check_alive()

            clock.step(1)

            with pytest.raises(CheckFailed, match="informer of pods shows no life for 181 s"):
                informer.check_alive()


def test_a_watch_that_may_be_silent_for_longer_hangs_later() -> None:
    clock = FakeClock()
    with FakeApiServer(watch(initial_events_end(5), added("a", 6), end="silent")) as server:
        informer = make_informer(server, clock, read_timeout=300.0)
        listener = Listener(informer)
        informer.add_handler(listener)
        with running(informer):
            listener.wait_until_called("add a@6")

            clock.step(600)
            informer.check_alive()
            clock.step(1)
            with pytest.raises(CheckFailed, match="informer of pods shows no life for 601 s"):
                informer.check_alive()


def test_a_thread_that_a_handler_holds_hangs() -> None:
    clock = FakeClock()
    entered, leave = threading.Event(), threading.Event()

    class Stuck(Listener):
        def on_add(self, obj: Object, *, initial: bool) -> None:
            entered.set()
            leave.wait(STUCK_AFTER)

    with FakeApiServer(watch(added("a", 1), initial_events_end(5), end="silent")) as server:
        informer = make_informer(server, clock)
        informer.add_handler(Stuck(informer))
        with running(informer):
            assert entered.wait(STUCK_AFTER)
            clock.step(HUNG_SECONDS + 1)

            with pytest.raises(CheckFailed, match="informer of pods shows no life for 181 s"):
                informer.check_alive()
            leave.set()


NOT_SERVED = apiserver.failure(404, "NotFound")
FORBIDDEN = apiserver.failure(403, "Forbidden")


class TestKindThatIsNotServed:
    """A CRD that comes later, or never."""

    def test_it_counts_as_synced_is_not_ready_and_is_followed_once_it_is_served(self) -> None:
        clock = FakeClock()
        script = [NOT_SERVED, watch(added("a", 1), initial_events_end(5), end="silent")]
        with FakeApiServer(*script) as server:
            informer = make_informer(server, clock)
            listener = Listener(informer)
            informer.add_handler(listener)
            with running(informer):
                clock.block_until_waiters(1)
                assert informer.has_synced()
                assert not informer.is_served()
                with pytest.raises(CheckFailed, match="does not serve pods; install its CRD"):
                    informer.check_ready()

                clock.step(BACKOFF_CAP)

                listener.wait_until_called("add a@1 initial")
                assert informer.is_served()
                informer.check_ready()

    def test_objects_of_before_stay_until_a_list_says_that_they_are_gone(self) -> None:
        """The CRD is deleted while the watch is down, as client-go has it."""
        clock = FakeClock()
        script = [
            watch(added("a", 1), added("b", 2), initial_events_end(5), error_event(410)),
            NOT_SERVED,
            watch(added("b", 8), initial_events_end(9), end="silent"),
        ]
        with FakeApiServer(*script) as server:
            informer = make_informer(server, clock)
            listener = Listener(informer)
            informer.add_handler(listener)
            with running(informer):
                clock.step_until(lambda: not informer.is_served(), BACKOFF_CAP)
                assert informer.has_synced()
                assert informer.cache.get("ns", "a") is not None

                clock.step_until(informer.is_served, BACKOFF_CAP)

                listener.wait_until_called(
                    "add a@1 initial", "add b@2 initial", "update b@2 b@8", "delete a@1"
                )
                assert informer.cache.get("ns", "a") is None

    def test_the_process_is_ready_without_what_is_optional(self) -> None:
        clock = FakeClock()
        with FakeApiServer(NOT_SERVED) as server:
            informer = make_informer(server, clock, optional=True)
            with running(informer):
                clock.block_until_waiters(1)

                informer.check_ready()

    def test_it_costs_one_request_a_try(self) -> None:
        clock = FakeClock()
        with FakeApiServer(NOT_SERVED) as server, running(make_informer(server, clock)):
            clock.block_until_waiters(1)

            assert len(server.requests) == 1


class TestOptionalKindThatMayNotBeListed:
    """The right comes with a manifest of its own, which may never be applied."""

    def test_it_counts_as_synced_and_is_followed_once_it_may_be_listed(self) -> None:
        clock = FakeClock()
        follow = watch(added("a", 1), initial_events_end(5), end="silent")
        with FakeApiServer(FORBIDDEN, FORBIDDEN, follow) as server:
            informer = make_informer(server, clock, optional=True)
            listener = Listener(informer)
            informer.add_handler(listener)
            with running(informer):
                clock.block_until_waiters(1)
                assert informer.has_synced()
                assert informer.is_served()
                assert isinstance(informer.refusal(), Forbidden)
                informer.check_ready()

                clock.step(BACKOFF_CAP)

                listener.wait_until_called("add a@1 initial")
                assert informer.refusal() is None

    def test_it_is_logged_once_and_again_when_the_answer_is_another_one(self) -> None:
        clock = FakeClock()
        refused = apiserver.status_object(403, "Forbidden")
        other = apiserver.answer(403, {**refused, "message": "for another reason"})
        with (
            capture_logs() as lines,
            FakeApiServer(*[FORBIDDEN] * 6, *[other] * 4) as server,
            running(make_informer(server, clock, optional=True)),
        ):
            for _ in range(4):
                clock.block_until_waiters(1)
                clock.step(BACKOFF_CAP)
            clock.block_until_waiters(1)

        assert [line["event"] for line in lines] == [
            "no streaming list, falling back to a list",
            "waiting for the right to list",
            "no streaming list, falling back to a list",
        ]

    def test_one_that_is_not_optional_is_waited_for(self) -> None:
        clock = FakeClock()
        with FakeApiServer(FORBIDDEN, FORBIDDEN) as server:
            informer = make_informer(server, clock)
            with running(informer):
                clock.block_until_waiters(1)

                assert not informer.has_synced()
                assert informer.refusal() is None


class TestKindThatIsFollowedOnDemand:
    """Whoever does not use it sends no request for it."""

    def test_nothing_is_asked_before_and_it_counts_as_synced(self) -> None:
        clock = FakeClock()
        with FakeApiServer() as server:
            informer = make_informer(server, clock, on_demand=True)
            with running(informer):
                clock.block_until_waiters(1)
                clock.step(HUNG_SECONDS + 1)

                assert server.requests == []
                assert informer.has_synced()
                informer.check_ready()
                informer.check_alive()

    def test_there_is_nothing_to_hear_before_so_that_no_alert_says_it_is_cut_off(self) -> None:
        registry, clock = CollectorRegistry(), FakeClock()
        with FakeApiServer() as server:
            informer = make_informer(server, clock, on_demand=True, metrics=Metrics(registry))
            with running(informer):
                clock.block_until_waiters(1)
                clock.step(HUNG_SECONDS + 1)

                age = registry.get_sample_value(
                    "informer_last_contact_seconds", {"resource": "pods"}
                )
                assert age == 0

    def test_it_is_followed_from_the_demand_on(self) -> None:
        clock = FakeClock()
        with FakeApiServer(watch(added("a", 1), initial_events_end(5), end="silent")) as server:
            informer = make_informer(server, clock, on_demand=True)
            listener = Listener(informer)
            informer.add_handler(listener)
            with running(informer):
                clock.block_until_waiters(1)
                clock.step(HUNG_SECONDS + 1)

                informer.demand()
                informer.check_alive()
                assert informer.last_contact_age() == 0
                informer.demand()

                listener.wait_until_called("add a@1 initial")
                assert informer.has_synced()

    def test_a_demand_before_the_run_counts(self) -> None:
        with FakeApiServer(watch(added("a", 1), initial_events_end(5), end="silent")) as server:
            informer = make_informer(server, on_demand=True)
            listener = Listener(informer)
            informer.add_handler(listener)
            informer.demand()
            with running(informer):
                listener.wait_until_called("add a@1 initial")


def test_an_informer_that_has_not_synced_is_not_ready() -> None:
    with FakeApiServer() as server:
        informer = make_informer(server)

        with pytest.raises(CheckFailed, match="informer of pods has not synced"):
            informer.check_ready()


def test_two_informers_of_one_name_are_refused() -> None:
    """They would overwrite each other's gauges."""
    metrics = Metrics(CollectorRegistry())
    with FakeApiServer() as server:
        make_informer(server, metrics=metrics)

        with pytest.raises(ValueError, match="an informer named 'pods' already"):
            make_informer(server, metrics=metrics)
        make_informer(server, metrics=metrics, name="pods of others")


def test_an_informer_that_was_abandoned_has_no_objects_and_no_series_in_the_end() -> None:
    registry = CollectorRegistry()
    with FakeApiServer(watch(added("a", 1), initial_events_end(5), end="silent")) as server:
        informer = make_informer(server, metrics=Metrics(registry))
        listener = Listener(informer)
        informer.add_handler(listener)
        with running(informer):
            listener.wait_until_called("add a@1 initial")
            informer.abandon()

    listener.wait_until_called("add a@1 initial", "delete a@1")
    assert informer.store.list() == []
    assert registry.get_sample_value("informer_store_objects", {"resource": "pods"}) is None
