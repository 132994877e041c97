"""The informer's store and handlers see the same changes, in the same order, each once."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from controller.cache.backoff import BACKOFF_CAP
from controller.cache.informer import HUNG_SILENCES, Informer
from controller.cache.reflector import READ_TIMEOUT
from controller.cache.trim import default_trim
from controller.health import CheckFailed
from controller.metrics import Metrics
from controller.resource import Object, Resource
from controller.rest.client import Client
from controller.stop import Stop
from fakes import apiserver
from fakes.apiserver import (
    FakeApiServer,
    added,
    bookmark,
    deleted,
    event,
    initial_events_end,
    modified,
    pod,
    watch,
)
from fakes.clock import STUCK_AFTER, FakeClock, InstantClock

#: Seconds without a sign of life that a thread may have.
HUNG_SECONDS = HUNG_SILENCES * READ_TIMEOUT

PODS = Resource("", "v1", "pods", "Pod")


def label(obj: Object) -> str:
    return f"{obj['metadata']['name']}@{obj['metadata']['resourceVersion']}"


class Listener:
    """A handler that writes down what it is told and what the store held at that moment."""

    def __init__(self, informer: Informer) -> None:
        self._informer = informer
        self._changed = threading.Condition()
        self.told: list[str] = []

    def on_add(self, obj: Object, *, initial: bool) -> None:
        assert self._informer.store.get("ns", obj["metadata"]["name"]) is obj
        self._tell(f"add {label(obj)}{' initial' if initial else ''}")

    def on_update(self, old: Object, new: Object) -> None:
        assert self._informer.store.get("ns", new["metadata"]["name"]) is new
        self._tell(f"update {label(old)} {label(new)}")

    def on_delete(self, obj: Object) -> None:
        self._tell(f"delete {label(obj)}")

    def wait_until_told(self, *expected: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self.told) >= len(expected), STUCK_AFTER)
            assert self.told == list(expected)

    def _tell(self, what: str) -> None:
        with self._changed:
            self.told.append(what)
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


def test_handlers_hear_of_each_change_and_find_it_in_the_store() -> None:
    script = watch(
        added("a", 1),
        added("b", 2),
        initial_events_end(5),
        added("c", 6),
        modified("a", 7),
        deleted("b", 8),
        end="silent",
    )
    with FakeApiServer(script) as server:
        informer = make_informer(server)
        listener = Listener(informer)
        informer.add_handler(listener)
        assert not informer.has_synced()

        with running(informer):
            listener.wait_until_told(
                "add a@1 initial",
                "add b@2 initial",
                "add c@6",
                "update a@1 a@7",
                "delete b@8",
            )

            assert informer.has_synced()
            assert sorted(map(label, informer.store.list())) == ["a@7", "c@6"]


def test_handlers_that_join_late_hear_of_what_is_there() -> None:
    script = watch(added("a", 1), initial_events_end(5), added("b", 6), end="silent")
    with FakeApiServer(script) as server:
        informer = make_informer(server)
        first = Listener(informer)
        informer.add_handler(first)
        with running(informer):
            first.wait_until_told("add a@1 initial", "add b@6")

            late = Listener(informer)
            informer.add_handler(late)

            assert late.told == ["add a@1 initial", "add b@6 initial"]


@pytest.mark.parametrize(
    ("again", "told"),
    [
        pytest.param([pod("a", 1), pod("b", 2)], [], id="unchanged objects: nothing to tell"),
        pytest.param([pod("a", 1), pod("b", 9)], ["update b@2 b@9"], id="a missed change"),
        pytest.param([pod("a", 1)], ["delete b@2"], id="a missed deletion: the last known state"),
        pytest.param(
            [pod("a", 1), pod("b", 2), pod("c", 9)],
            ["add c@9"],
            id="a missed creation: not initial",
        ),
        pytest.param(
            [pod("a", 1), pod("b", 9, uid="another")],
            ["delete b@2", "add b@9"],
            id="deleted and created again: the end of the old one is told",
        ),
    ],
)
def test_after_a_gap_only_the_difference_is_told(again: list[Object], told: list[str]) -> None:
    clock = FakeClock()
    script = [
        watch(added("a", 1), added("b", 2), initial_events_end(5)),
        apiserver.failure(410, "Expired"),
        watch(
            *[event("ADDED", obj) for obj in again],
            initial_events_end(20),
            added("end", 21),
            end="silent",
        ),
    ]
    with FakeApiServer(*script) as server:
        informer = make_informer(server, clock)
        listener = Listener(informer)
        informer.add_handler(listener)
        with running(informer):
            clock.block_until_waiters(1)
            clock.step(1)

            listener.wait_until_told("add a@1 initial", "add b@2 initial", *told, "add end@21")


@pytest.mark.parametrize(
    ("written", "listed"),
    [
        pytest.param(pod("unseen", 7), [added("a", 1)], id="created in the gap"),
        pytest.param(pod("a", 7), [], id="written in the gap: told once, in the state written"),
    ],
)
def test_an_own_write_that_is_gone_after_a_gap_is_told_as_deleted(
    written: Object, listed: list[Object]
) -> None:
    clock = FakeClock()
    script = [
        watch(added("a", 1), initial_events_end(5)),
        apiserver.failure(410, "Expired"),
        watch(*listed, initial_events_end(20), added("end", 21), end="silent"),
    ]
    with FakeApiServer(*script) as server:
        informer = make_informer(server, clock)
        listener = Listener(informer)
        informer.add_handler(listener)
        with running(informer):
            listener.wait_until_told("add a@1 initial")
            informer.written(written)
            clock.block_until_waiters(1)
            clock.step(1)

            listener.wait_until_told("add a@1 initial", f"delete {label(written)}", "add end@21")


def test_handlers_find_the_store_complete_up_to_what_they_are_told() -> None:
    class Versions(Listener):
        def _tell(self, what: str) -> None:
            super()._tell(f"{what}: {informer.store.resource_version}")

    script = watch(initial_events_end(5), added("a", 6), deleted("a", 7), end="silent")
    with FakeApiServer(script) as server:
        informer = make_informer(server)
        versions = Versions(informer)
        informer.add_handler(versions)
        with running(informer):
            versions.wait_until_told("add a@6: 6", "delete a@7: 7")


def test_a_watch_that_repeats_itself_tells_nothing_twice() -> None:
    script = watch(
        added("a", 1),
        initial_events_end(5),
        added("a", 1),
        modified("a", 6),
        deleted("never-seen", 7),
        added("end", 8),
        end="silent",
    )
    with FakeApiServer(script) as server:
        informer = make_informer(server)
        listener = Listener(informer)
        informer.add_handler(listener)
        with running(informer):
            listener.wait_until_told("add a@1 initial", "update a@1 a@6", "add end@8")


def test_resync_tells_each_object_again_without_asking_the_server() -> None:
    clock = FakeClock()
    due = threading.Event()
    script = watch(
        added("a", 1),
        initial_events_end(5),
        added("b", 6),
        lambda: due.wait(STUCK_AFTER),
        bookmark(7),
        bookmark(8),
        added("end", 9),
        end="silent",
    )
    with FakeApiServer(script) as server:
        informer = make_informer(server, clock, resync_period=1000.0)
        listener = Listener(informer)
        informer.add_handler(listener)
        with running(informer):
            before = ("add a@1 initial", "add b@6")
            listener.wait_until_told(*before)
            # The lowest draw is nine tenths of the period.
            clock.step(900)
            due.set()

            listener.wait_until_told(*before, "update a@1 a@1", "update b@6 b@6", "add end@9")
            assert len(server.requests) == 1


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
            listener.wait_until_told("add a@1 initial", "add b@6")
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
            listener.wait_until_told("add a@6")
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
            listener.wait_until_told("add a@6")

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


def test_indices_see_the_trimmed_object() -> None:
    def trim(obj: Object) -> Object:
        obj["metadata"]["name"] += "-trimmed"
        return obj

    with FakeApiServer(watch(added("a", 1), initial_events_end(5), end="silent")) as server:
        informer = make_informer(
            server, trim=trim, indexers={"name": lambda obj: [obj["metadata"]["name"]]}
        )
        listener = Listener(informer)
        informer.add_handler(listener)
        with running(informer):
            listener.wait_until_told("add a-trimmed@1 initial")

            assert len(informer.store.by_index("name", "a-trimmed")) == 1


LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@pytest.mark.parametrize(
    ("metadata", "kept"),
    [
        pytest.param({"name": "a"}, {"name": "a"}, id="nothing to drop"),
        pytest.param({"managedFields": [{}], "name": "a"}, {"name": "a"}, id="managed fields"),
        pytest.param(
            {"annotations": {LAST_APPLIED: '{"data": "secret"}', "mine": "1"}},
            {"annotations": {"mine": "1"}},
            id="what kubectl apply leaves, which can hold a Secret's data",
        ),
        pytest.param({"annotations": None}, {"annotations": None}, id="annotations may be null"),
    ],
)
def test_the_default_trim(metadata: Object, kept: Object) -> None:
    assert default_trim({"metadata": metadata, "spec": 1}) == {"metadata": kept, "spec": 1}


def test_a_handler_that_fails_ends_the_informer() -> None:
    class Broken(Listener):
        def on_add(self, obj: Object, *, initial: bool) -> None:
            raise ZeroDivisionError(label(obj), initial)

    with FakeApiServer(watch(added("a", 1), initial_events_end(5), end="silent")) as server:
        informer = make_informer(server)
        informer.add_handler(Broken(informer))

        with pytest.raises(ZeroDivisionError):
            informer.run(Stop())


@pytest.mark.parametrize("levels", [600, 9000])
@pytest.mark.parametrize("listed", [True, False], ids=["in a list", "in a watch"])
def test_an_object_that_is_nested_too_deep_does_not_end_the_informer(
    levels: int, *, listed: bool
) -> None:
    """Any user who may create one could keep the whole process from running."""
    spec = '{"a":' * levels + "1" + "}" * levels
    deep = json.dumps(pod("deep", 4, spec="deep")).replace('"deep"}', f"{spec}}}").encode()

    def stream(handler: apiserver.Handler) -> None:
        watch(end="open")(handler)
        handler.send_chunk(b'{"type": "ADDED", "object": %s}\n' % deep)
        handler.send_chunk(json.dumps(initial_events_end(5)).encode() + b"\n")
        handler.hang()

    page = b'{"metadata": {"resourceVersion": "5"}, "items": [%s]}' % deep
    script = (
        [apiserver.failure(422), apiserver.answer(200, page), watch(end="silent")]
        if listed
        else [stream]
    )
    with FakeApiServer(*script) as server:
        informer = make_informer(server)
        listener = Listener(informer)
        informer.add_handler(listener)
        with running(informer):
            listener.wait_until_told("add deep@4 initial")


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([watch(initial_events_end(5), end="silent")], id="while the watch is silent"),
        pytest.param([apiserver.failure(429)], id="while it pauses"),
    ],
)
def test_stopping_is_prompt(script: list[apiserver.Answer]) -> None:
    with FakeApiServer(*script) as server, running(make_informer(server)):
        server.wait_for_requests(1)


def test_handlers_can_ask_whose_write_they_are_called_with() -> None:
    """Whatever the order in which handlers were added: the informer forgets the write after all."""
    own: list[tuple[str, bool]] = []

    class Asking(Listener):
        def on_update(self, old: Object, new: Object) -> None:
            own.append((label(new), informer.cache.is_own_write(new)))
            super().on_update(old, new)

    due = threading.Event()
    script = watch(
        added("a", 1),
        initial_events_end(5),
        lambda: due.wait(STUCK_AFTER),
        modified("a", 6),
        modified("a", 7),
        end="silent",
    )
    with FakeApiServer(script) as server:
        informer = make_informer(server)
        first, last = Asking(informer), Asking(informer)
        informer.add_handler(first)
        informer.add_handler(last)
        with running(informer):
            first.wait_until_told("add a@1 initial")
            informer.written(pod("a", 6))
            due.set()
            last.wait_until_told("add a@1 initial", "update a@1 a@6", "update a@6 a@7")

    assert own == [("a@6", True), ("a@6", True), ("a@7", False), ("a@7", False)]


NOT_SERVED = apiserver.failure(404, "NotFound")


class TestKindThatIsNotServed:
    """A CRD that comes later, or never."""

    def test_it_counts_as_synced_is_not_ready_and_is_taken_up_when_it_comes(self) -> None:
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

                listener.wait_until_told("add a@1 initial")
                assert informer.is_served()
                informer.check_ready()

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
            listener.wait_until_told("add a@1 initial")
            informer.abandon()

    listener.wait_until_told("add a@1 initial", "delete a@1")
    assert informer.store.list() == []
    assert registry.get_sample_value("informer_store_objects", {"resource": "pods"}) is None
