"""Reading one's own writes: which of two states of an object is seen, and for how long."""

import copy
import sys
from typing import Any

import pytest

from controller.informer import LAST_APPLIED
from controller.mutationcache import MutationCache
from controller.resource import Object
from controller.store import Store
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
        self.cache = MutationCache(
            self.store, clock=self.clock, indexers={"owner": owners}, ttl=60.0
        )

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


def test_a_write_that_the_watch_has_shown_is_forgotten(caches: Caches) -> None:
    caches.cache.mutated(pod(6))
    caches.store.add(pod(6))
    assert caches.seen() == "6"

    caches.store.delete(pod(6))

    assert caches.seen() is None


@pytest.mark.parametrize(
    ("change", "news"),
    [
        pytest.param(pod(6), False, id="one's own write is none"),
        pytest.param(pod(5), True, id="what somebody wrote before it is"),
        pytest.param(pod(7), True, id="and after it"),
        pytest.param(pod(6, name="mails"), True, id="and what was written to another object"),
        pytest.param(None, True, id="a deletion always is"),
    ],
)
def test_news_is_what_others_have_written(
    caches: Caches, change: Object | None, news: bool
) -> None:
    caches.cache.mutated(pod(6))

    assert caches.cache.is_news(pod(4), change) is news


def test_a_write_whose_answer_is_not_here_yet_is_news(caches: Caches) -> None:
    assert caches.cache.is_news(None, pod(6))


def test_a_write_that_the_watch_never_shows_is_forgotten_in_time(caches: Caches) -> None:
    caches.cache.mutated(pod(6))
    caches.clock.step(59.0)
    assert caches.seen() == "6"

    caches.clock.step(1.0)

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

    caches.cache.on_delete(pod(deleted))

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


def test_settling_names_what_is_gone_and_was_never_seen(caches: Caches) -> None:
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

    @pytest.mark.parametrize("shown", ["on_add", "on_update", "on_delete"])
    def test_a_write_is_forgotten_as_soon_as_the_watch_has_shown_it(
        self, caches: Caches, snapshot: Object, shown: str
    ) -> None:
        caches.cache.mutated(snapshot)
        kept = caches.cache.get("backup", "files")
        assert kept is not None
        held = sys.getrefcount(kept)
        caches.store.add(pod(6))

        match shown:
            case "on_add":
                caches.cache.on_add(pod(6), initial=False)
            case "on_update":
                caches.cache.on_update(pod(5), pod(6))
            case "on_delete":
                caches.cache.on_delete(pod(6))

        assert sys.getrefcount(kept) == held - 1


@pytest.mark.parametrize(
    ("stored", "written", "versions"),
    [
        pytest.param(None, {"owners": ["u1"]}, ["6"], id="a new object is found by its index"),
        pytest.param({"owners": ["u1"]}, {"owners": ["u1"]}, ["6"], id="a changed one once"),
        pytest.param(None, {"owners": ["u2"]}, [], id="another value is another entry"),
        pytest.param({"owners": ["u1"]}, {}, [], id="an object that has let go is not found"),
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
