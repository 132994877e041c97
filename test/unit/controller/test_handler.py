"""Which requests a change enqueues, and with which priority."""

from collections.abc import Callable

import pytest

from controller.cache.informer import Handler
from controller.handler import (
    Change,
    EnqueueRequests,
    all_of,
    any_change,
    content_changed,
    enqueue_owner,
    enqueue_self,
    not_own_creation,
    not_own_write,
)
from controller.reconcile import Request
from controller.resource import Object, Resource
from controller.workqueue.queue import LOW_PRIORITY

A = Request("default", "a")
B = Request("default", "b")
GREETINGS = Resource("example.com", "v1", "greetings", "Greeting")
CLUSTER_GREETINGS = Resource("example.com", "v1", "greetings", "Greeting", namespaced=False)


def obj(name: str, version: str = "1") -> Object:
    return {"metadata": {"namespace": "default", "name": name, "resourceVersion": version}}


Event = Callable[[Handler], None]
SAME = obj("a")


@pytest.mark.parametrize(
    ("event", "enqueued"),
    [
        pytest.param(
            lambda handler: handler.on_add(obj("a"), initial=False),
            [(A, 0)],
            id="a new object at once",
        ),
        pytest.param(
            lambda handler: handler.on_add(obj("a"), initial=True),
            [(A, LOW_PRIORITY)],
            id="an object of the first list after what users change",
        ),
        pytest.param(
            lambda handler: handler.on_update(obj("a", "1"), obj("a", "2")),
            [(A, 0)],
            id="a change at once, and once for both states",
        ),
        pytest.param(
            lambda handler: handler.on_update(SAME, SAME),
            [(A, LOW_PRIORITY)],
            id="a resync after what users change",
        ),
        pytest.param(
            lambda handler: handler.on_update(obj("a", "1"), obj("b", "2")),
            [(A, 0), (B, 0)],
            id="a request that only the old state maps to",
        ),
        pytest.param(lambda handler: handler.on_delete(obj("a")), [(A, 0)], id="a deletion"),
    ],
)
def test_what_an_event_enqueues(event: Event, enqueued: list[tuple[Request, int]]) -> None:
    taken: list[tuple[Request, int]] = []

    event(EnqueueRequests(lambda *one: taken.append(one), enqueue_self))

    assert taken == enqueued


@pytest.mark.parametrize(
    ("event", "change"),
    [
        pytest.param(
            lambda handler: handler.on_add(obj("a"), initial=True),
            Change(None, obj("a")),
            id="an addition has no old state",
        ),
        pytest.param(
            lambda handler: handler.on_update(obj("a", "1"), obj("a", "2")),
            Change(obj("a", "1"), obj("a", "2")),
            id="an update has both",
        ),
        pytest.param(
            lambda handler: handler.on_update(obj("a", "1"), obj("a", "own")),
            Change(obj("a", "1"), obj("a", "own"), own=True),
            id="an own write is known as such",
        ),
        pytest.param(
            lambda handler: handler.on_delete(obj("a", "own")),
            Change(obj("a", "own"), None),
            id="a deletion has no new state, and is nobody's write",
        ),
    ],
)
def test_a_predicate_sees_the_change_and_can_drop_it(event: Event, change: Change) -> None:
    seen: list[Change] = []

    def never(one: Change) -> bool:
        seen.append(one)
        return False

    def refuse(_request: Request, _priority: int) -> None:
        pytest.fail("enqueued")

    def is_own_write(one: Object) -> bool:
        return bool(one["metadata"]["resourceVersion"] == "own")

    event(EnqueueRequests(refuse, enqueue_self, never, is_own_write))

    assert seen == [change]


@pytest.mark.parametrize(
    ("change", "any_", "not_written", "not_created"),
    [
        pytest.param(Change(None, SAME), True, True, True, id="somebody else creates it"),
        pytest.param(Change(None, SAME, own=True), True, False, False, id="this process does"),
        pytest.param(Change(SAME, SAME), True, True, True, id="somebody else changes it"),
        pytest.param(Change(SAME, SAME, own=True), True, False, True, id="this process does, too"),
        pytest.param(Change(SAME, None), True, True, True, id="it is deleted"),
    ],
)
def test_predicates(change: Change, *, any_: bool, not_written: bool, not_created: bool) -> None:
    assert any_change(change) is any_
    assert not_own_write(change) is not_written
    assert not_own_creation(change) is not_created


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        pytest.param(Change(None, SAME), True, id="it is new"),
        pytest.param(Change(SAME, None), True, id="it is deleted"),
        pytest.param(Change(SAME, SAME), True, id="a resync shows it again"),
        pytest.param(Change(SAME, obj("a", "2")), False, id="only what nobody keeps has changed"),
        pytest.param(
            Change(SAME, {**obj("a", "2"), "spec": {}}), True, id="something that is kept has"
        ),
    ],
)
def test_an_update_that_changes_nothing_that_is_kept_does_not_matter(
    change: Change, *, changed: bool
) -> None:
    assert content_changed(change) is changed
    assert all_of(any_change, content_changed)(change) is changed
    assert not all_of(content_changed, not_own_write)(Change(change.old, change.new, own=True))


def reference(api_version: str, kind: str, name: str, uid: str = "1") -> Object:
    return {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid}


OURS = reference("example.com/v1", "Greeting", "hello")


@pytest.mark.parametrize(
    ("references", "names"),
    [
        pytest.param([OURS], ["hello"], id="a child names its owner"),
        pytest.param(
            [{**OURS, "uid": "of-a-predecessor"}],
            ["hello"],
            id="the child of an owner that is gone names its successor of the same name",
        ),
        pytest.param(
            [{**OURS, "apiVersion": "example.com/v1beta1"}],
            ["hello"],
            id="the version of the group does not matter",
        ),
        pytest.param(
            [OURS, reference("example.com/v1", "Greeting", "good-bye")],
            ["hello", "good-bye"],
            id="every owner is named",
        ),
        pytest.param(
            [
                reference("apps/v1", "ReplicaSet", "hello"),
                reference("example.com/v1", "Farewell", "hello"),
                reference("v1", "Greeting", "hello"),
            ],
            [],
            id="another kind or group does not count",
        ),
        pytest.param(None, [], id="an object without an owner names nobody"),
    ],
)
def test_owners(references: list[Object] | None, names: list[str]) -> None:
    child = {"metadata": {"namespace": "ns", "name": "child", "ownerReferences": references}}

    assert list(enqueue_owner(GREETINGS)(child)) == [Request("ns", name) for name in names]


def test_a_cluster_scoped_owner_has_no_namespace() -> None:
    child = {"metadata": {"namespace": "ns", "name": "child", "ownerReferences": [OURS]}}

    assert list(enqueue_owner(CLUSTER_GREETINGS)(child)) == [Request("", "hello")]


def test_a_cluster_scoped_object_names_itself_without_a_namespace() -> None:
    assert list(enqueue_self({"metadata": {"name": "node-1"}})) == [Request("", "node-1")]
