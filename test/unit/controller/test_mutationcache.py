"""The mutation cache: which of two states of an object is read, and for how long."""

import copy
import sys
from collections.abc import Callable
from typing import Any

import pytest
from attrs import frozen
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from controller.cache.backoff import BACKOFF_CAP, BACKOFF_JITTER
from controller.cache.mutationcache import DEFAULT_TTL_SECONDS, MutationCache
from controller.cache.reflector import READ_TIMEOUT
from controller.cache.store import Key, Store, key_of
from controller.cache.trim import LAST_APPLIED
from controller.resource import Object
from fakes.clock import FakeClock


def owners(obj: Object) -> list[str]:
    owner: list[str] = obj["metadata"].get("owners", [])
    return owner


def pod(version: int, **metadata: Any) -> Object:
    return {
        "metadata": {
            "namespace": "backup",
            "name": "files",
            "resourceVersion": str(version),
            **metadata,
        }
    }


class Caches:
    """A store and a cache over it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = Store({"owner": owners})
        self.cache = MutationCache(self.store, clock=self.clock, indexers={"owner": owners})

    def seen(self) -> str | None:
        found = self.cache.get("backup", "files")
        return None if found is None else found["metadata"]["resourceVersion"]


@pytest.fixture
def caches() -> Caches:
    return Caches()


@pytest.mark.parametrize(
    ("stored", "written", "seen"),
    [
        pytest.param(5, 6, "6", id="a write is seen before the watch shows it"),
        pytest.param(None, 6, "6", id="so is a new object"),
        pytest.param(7, 6, "7", id="what came after the write is seen"),
        pytest.param(6, 6, "6", id="the watch has caught up"),
        pytest.param(9, 10, "10", id="versions are numbers: 10 comes after 9"),
    ],
)
def test_the_newer_state_is_seen(
    caches: Caches, stored: int | None, written: int, seen: str
) -> None:
    if stored is not None:
        caches.store.add(pod(stored))
    caches.cache.mutated(pod(written))

    assert caches.seen() == seen


def test_an_answer_that_comes_late_does_not_hide_the_write_after_it(caches: Caches) -> None:
    caches.cache.mutated(pod(7))

    caches.cache.mutated(pod(6))

    assert caches.seen() == "7"


def test_a_write_that_the_watch_has_shown_is_forgotten(caches: Caches) -> None:
    caches.cache.mutated(pod(6))
    caches.store.add(pod(6))
    assert caches.seen() == "6"

    caches.store.delete(pod(6))

    assert caches.seen() is None


@pytest.mark.parametrize(
    ("shown", "own"),
    [
        pytest.param(pod(6), True, id="the state that the write has left is"),
        pytest.param(pod(5), False, id="what somebody wrote before it is not"),
        pytest.param(pod(7), False, id="nor what somebody wrote after it"),
        pytest.param(pod(6, name="mails"), False, id="nor what was written to another object"),
    ],
)
def test_an_own_write_is(caches: Caches, shown: Object, own: bool) -> None:
    caches.cache.mutated(pod(6))

    assert caches.cache.is_own_write(shown) is own


def test_a_write_whose_answer_is_not_here_yet_is_not_known_as_own(caches: Caches) -> None:
    assert not caches.cache.is_own_write(pod(6))


def test_a_write_is_known_until_a_half_open_watch_has_been_replaced(caches: Caches) -> None:
    caches.cache.mutated(pod(6))

    caches.clock.step(READ_TIMEOUT + BACKOFF_CAP * (1 + BACKOFF_JITTER))

    assert caches.seen() == "6"


def test_a_write_that_the_watch_never_shows_is_forgotten_in_time(caches: Caches) -> None:
    caches.cache.mutated(pod(6))

    caches.clock.step(DEFAULT_TTL_SECONDS)

    assert caches.seen() is None


@pytest.mark.parametrize(
    ("deleted", "seen"),
    [
        pytest.param(7, None, id="a deletion after the write ends it"),
        pytest.param(5, "6", id="the deletion of a namesake before it does not"),
    ],
)
def test_a_deletion_that_the_watch_shows(caches: Caches, deleted: int, seen: str | None) -> None:
    caches.cache.mutated(pod(6))

    caches.cache.deleted(pod(deleted))

    assert caches.seen() == seen


@pytest.mark.parametrize(
    ("complete", "seen"),
    [
        pytest.param("5", "6", id="a list from before the write says nothing of it"),
        pytest.param("6", None, id="a list as new as the write has the last word"),
        pytest.param("10", None, id="a newer one as well: versions are numbers"),
    ],
)
def test_a_list_without_the_object(caches: Caches, complete: str, seen: str | None) -> None:
    caches.cache.mutated(pod(6))

    caches.store.replace([], complete)

    assert caches.seen() == seen


def test_a_bookmark_beyond_the_write_has_the_last_word(caches: Caches) -> None:
    caches.cache.mutated(pod(6))

    caches.store.bookmark("7")

    assert caches.seen() is None


def test_a_write_whose_object_came_and_went_before_its_answer_is_not_taken(caches: Caches) -> None:
    caches.store.add(pod(6))
    caches.store.delete(pod(7))
    caches.store.bookmark("7")

    caches.cache.mutated(pod(6))

    assert caches.seen() is None


def test_settle_returns_own_creations_that_are_gone(caches: Caches) -> None:
    caches.cache.mutated(pod(6))
    caches.cache.mutated(pod(8, name="seen"))
    caches.cache.mutated(pod(11, name="too new"))
    caches.store.replace([pod(9, name="seen")], "10")

    unseen = caches.cache.settle()

    assert unseen == [pod(6)]
    assert caches.cache.settle() == []
    assert caches.cache.get("backup", "too new") == pod(11, name="too new")


class TestMemory:
    """What a Secret holds must not stay in memory."""

    @pytest.fixture
    def snapshot(self) -> Object:
        data = {"apiVersion": "v1", "kind": "Secret", "data": {"password": "cGFzc3dvcmQ="}}
        annotations = {LAST_APPLIED: "all of it", "kept": "yes"}
        return {**pod(6, managedFields=[{"manager": "tester"}], annotations=annotations), **data}

    def test_only_metadata_is_kept_where_the_informer_keeps_no_more(
        self, caches: Caches, snapshot: Object
    ) -> None:
        cache = MutationCache(caches.store, clock=caches.clock, metadata_only=True)

        written = copy.deepcopy(snapshot)

        cache.mutated(snapshot)

        metadata = pod(6, annotations={"kept": "yes"})["metadata"]
        kept = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
        assert cache.get("backup", "files") == kept
        assert snapshot == written, "what the caller holds is left as it is"

    @pytest.mark.parametrize("shown", [True, False], ids=["by itself", "by its deletion"])
    def test_a_write_is_forgotten_as_soon_as_the_watch_has_shown_it(
        self, caches: Caches, snapshot: Object, *, shown: bool
    ) -> None:
        caches.cache.mutated(snapshot)
        kept = caches.cache.get("backup", "files")
        assert kept is not None
        held = sys.getrefcount(kept)
        caches.store.add(pod(6))

        (caches.cache.shown if shown else caches.cache.deleted)(pod(6))

        assert sys.getrefcount(kept) == held - 1


@pytest.mark.parametrize(
    ("stored", "written", "versions"),
    [
        pytest.param(None, {"owners": ["u1"]}, ["6"], id="a new object is found by its index"),
        pytest.param({"owners": ["u1"]}, {"owners": ["u1"]}, ["6"], id="a changed one once"),
        pytest.param(None, {"owners": ["u2"]}, [], id="another value is another entry"),
        pytest.param({"owners": ["u1"]}, {}, [], id="an object that lost the value is not found"),
    ],
)
def test_an_index_shows_writes(
    caches: Caches,
    stored: dict[str, Any] | None,
    written: dict[str, Any],
    versions: list[str],
) -> None:
    if stored is not None:
        caches.store.add(pod(5, **stored))
    caches.cache.mutated(pod(6, **written))

    found = caches.cache.by_index("owner", "u1")

    assert [obj["metadata"]["resourceVersion"] for obj in found] == versions


def test_a_write_that_the_watch_shows_during_a_look_is_found_by_its_index() -> None:
    class Busy(Store):
        """A store to which an event comes right after each look into an index."""

        event: Callable[[], None] = staticmethod(lambda: None)

        def by_index(self, index: str, value: str) -> list[Object]:
            found = super().by_index(index, value)
            self.event()
            return found

    store = Busy({"owner": owners})
    cache = MutationCache(store, clock=FakeClock(), indexers={"owner": owners})
    cache.mutated(pod(6, owners=["u1"]))

    def show() -> None:
        store.add(pod(6, owners=["u1"]))
        cache.shown(pod(6, owners=["u1"]))

    store.event = show

    assert cache.by_index("owner", "u1") == [pod(6, owners=["u1"])]


@frozen
class Event:
    """What happened to an object; its version is its place in the history, from 1 on."""

    obj: Object
    deleted: bool = False


class CacheModel(RuleBasedStateMachine):
    """Whatever others write and whenever answers and events come: what is seen is the newest known.

    Known is what the watch has shown, and what a write has answered.
    """

    names = st.sampled_from(["a", "b"])

    def __init__(self) -> None:
        super().__init__()
        self.store = Store({"owner": owners})
        self.cache = MutationCache(self.store, clock=FakeClock(), indexers={"owner": owners})
        self.history: list[Event] = []
        # How many of the events the watch has shown.
        self.shown = 0
        # The writes of this process, by version.
        self.unanswered: set[int] = set()
        self.answered: set[int] = set()

    @rule(name=names, owner=st.sampled_from(["u1", "u2"]), own=st.booleans())
    def write(self, name: str, owner: str, *, own: bool) -> None:
        version = len(self.history) + 1
        self.history.append(Event(pod(version, name=name, owners=[owner])))
        if own:
            self.unanswered.add(version)

    @rule(name=names)
    def delete(self, name: str) -> None:
        before = self.newest(name, range(1, len(self.history) + 1))
        if before is not None:
            last = pod(len(self.history) + 1, name=name, owners=owners(before))
            self.history.append(Event(last, deleted=True))

    @precondition(lambda self: self.unanswered)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted(self.unanswered)))
        self.unanswered.remove(version)
        self.answered.add(version)

        self.cache.mutated(self.history[version - 1].obj)

    @precondition(lambda self: self.shown < len(self.history))
    @rule()
    def show(self) -> None:
        """Do what the informer does with an event, in its order."""
        event = self.history[self.shown]
        self.shown += 1
        if event.deleted:
            self.store.delete(event.obj)
        else:
            self.store.update(event.obj)
        self.store.bookmark(str(self.shown))
        (self.cache.deleted if event.deleted else self.cache.shown)(event.obj)

    @precondition(lambda self: self.shown < len(self.history))
    @rule(data=st.data())
    def list_anew(self, data: st.DataObject) -> None:
        unseen = {version for version in self.answered if version > self.shown}
        self.shown = data.draw(st.integers(self.shown + 1, len(self.history)))
        listed = [
            obj
            for name in ("a", "b")
            if (obj := self.newest(name, range(1, self.shown + 1))) is not None
        ]
        written = {key_of(self.history[version - 1].obj) for version in unseen}
        past = {key for key in written if max(self.versions(key, unseen), default=0) <= self.shown}

        self.store.replace(listed, str(self.shown))
        gone = self.cache.settle()

        assert {key_of(obj) for obj in gone} == past - {key_of(obj) for obj in listed}

    def versions(self, key: Key, among: set[int]) -> list[int]:
        return [one for one in among if key_of(self.history[one - 1].obj) == key]

    def newest(self, name: str, versions: "range | set[int]") -> Object | None:
        """Return an object's state as of the last of these events, None if it is deleted."""
        about = [one for one in versions if self.history[one - 1].obj["metadata"]["name"] == name]
        last = self.history[max(about) - 1] if about else None
        return None if last is None or last.deleted else last.obj

    @invariant()
    def the_newest_known_state_is_seen(self) -> None:
        known = {*range(1, self.shown + 1), *self.answered}
        newest = [self.newest(name, known) for name in ("a", "b")]

        assert [self.cache.get("backup", name) for name in ("a", "b")] == newest
        for owner in ("u1", "u2"):
            found = self.cache.by_index("owner", owner)
            expected = [obj for obj in newest if obj is not None and owner in owners(obj)]
            assert sorted(found, key=key_of) == expected


CacheModel.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestCacheModel = CacheModel.TestCase
