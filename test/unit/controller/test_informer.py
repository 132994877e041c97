"""An informer's store and handlers see the same changes, in the same order, each once."""

import json
import threading

import pytest

from controller.cache.trim import default_trim
from controller.resource import Object
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
from fakes.clock import STUCK_AFTER, FakeClock
from fakes.informers import Listener, label, make_informer, running


def test_handlers_are_called_with_each_change_and_find_it_in_the_store() -> None:
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
            listener.wait_until_called(
                "add a@1 initial",
                "add b@2 initial",
                "add c@6",
                "update a@1 a@7",
                "delete b@8",
            )

            assert informer.has_synced()
            assert sorted(map(label, informer.store.list())) == ["a@7", "c@6"]


def test_a_handler_that_is_added_late_is_called_with_what_is_in_the_store() -> None:
    script = watch(added("a", 1), initial_events_end(5), added("b", 6), end="silent")
    with FakeApiServer(script) as server:
        informer = make_informer(server)
        first = Listener(informer)
        informer.add_handler(first)
        with running(informer):
            first.wait_until_called("add a@1 initial", "add b@6")

            late = Listener(informer)
            informer.add_handler(late)

            assert late.calls == ["add a@1 initial", "add b@6 initial"]


@pytest.mark.parametrize(
    ("again", "calls"),
    [
        pytest.param([pod("a", 1), pod("b", 2)], [], id="unchanged objects: no call"),
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
            id="deleted and created again: the deletion comes first",
        ),
    ],
)
def test_after_a_gap_handlers_are_called_with_the_difference_only(
    again: list[Object], calls: list[str]
) -> None:
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

            listener.wait_until_called("add a@1 initial", "add b@2 initial", *calls, "add end@21")


@pytest.mark.parametrize(
    ("written", "listed"),
    [
        pytest.param(pod("unseen", 7), [added("a", 1)], id="created in the gap"),
        pytest.param(pod("a", 7), [], id="written in the gap: handled once, in the state written"),
    ],
)
def test_an_own_write_that_is_gone_after_a_gap_is_handled_as_deleted(
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
            listener.wait_until_called("add a@1 initial")
            informer.written(written)
            clock.block_until_waiters(1)
            clock.step(1)

            listener.wait_until_called("add a@1 initial", f"delete {label(written)}", "add end@21")


def test_handlers_find_the_store_complete_up_to_the_change() -> None:
    class Versions(Listener):
        def _record(self, what: str) -> None:
            super()._record(f"{what}: {informer.store.resource_version}")

    script = watch(initial_events_end(5), added("a", 6), deleted("a", 7), end="silent")
    with FakeApiServer(script) as server:
        informer = make_informer(server)
        versions = Versions(informer)
        informer.add_handler(versions)
        with running(informer):
            versions.wait_until_called("add a@6: 6", "delete a@7: 7")


def test_a_watch_that_repeats_itself_calls_no_handler_twice() -> None:
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
            listener.wait_until_called("add a@1 initial", "update a@1 a@6", "add end@8")


def test_a_resync_calls_handlers_with_each_object_and_sends_no_request() -> None:
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
            listener.wait_until_called(*before)
            # The lowest draw is nine tenths of the period.
            clock.step(900)
            due.set()

            listener.wait_until_called(*before, "update a@1 a@1", "update b@6 b@6", "add end@9")
            assert len(server.requests) == 1


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
            listener.wait_until_called("add a-trimmed@1 initial")

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
            listener.wait_until_called("add deep@4 initial")


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
            first.wait_until_called("add a@1 initial")
            informer.written(pod("a", 6))
            due.set()
            last.wait_until_called("add a@1 initial", "update a@1 a@6", "update a@6 a@7")

    assert own == [("a@6", True), ("a@6", True), ("a@7", False), ("a@7", False)]
