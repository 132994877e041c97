"""The store holds what was put in, and its indices agree with it at all times."""

import threading
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from controller.cache.store import Store, key_of
from controller.resource import Object


def labelled(name: str, *labels: str, namespace: str = "ns", version: int = 1) -> Object:
    metadata: dict[str, Any] = {"name": name, "resourceVersion": str(version)}
    if namespace:
        metadata["namespace"] = namespace
    return {"metadata": metadata, "labels": list(labels)}


def by_label(obj: Object) -> list[str]:
    labels: list[str] = obj["labels"]
    return labels


def make_store(*objects: Object) -> Store:
    store = Store({"label": by_label})
    for obj in objects:
        store.add(obj)
    return store


@pytest.mark.parametrize(
    ("namespace", "key"),
    [
        pytest.param("ns", ("ns", "a"), id="namespaced"),
        pytest.param("", ("", "a"), id="cluster-wide: no namespace"),
    ],
)
def test_keys(namespace: str, key: tuple[str, str]) -> None:
    assert key_of(labelled("a", namespace=namespace)) == key


def test_get_returns_the_object_itself() -> None:
    obj = labelled("a")

    store = make_store(obj)

    assert store.get("ns", "a") is obj
    assert store.get("other", "a") is None
    assert store.get("ns", "b") is None


def test_the_same_name_in_two_namespaces_is_two_objects() -> None:
    first, second = labelled("a", namespace="one"), labelled("a", namespace="two")

    store = make_store(first, second)

    assert store.list() == [first, second]
    assert len(store) == 2


def test_an_update_moves_the_object_to_its_new_index_values() -> None:
    store = make_store(labelled("a", "red", "round"))
    changed = labelled("a", "blue", "round", version=2)

    store.update(changed)

    assert store.by_index("label", "red") == []
    assert store.by_index("label", "blue") == [changed]
    assert store.by_index("label", "round") == [changed]


def test_the_version_is_that_of_the_last_list_or_bookmark() -> None:
    store = make_store(labelled("a"))
    versions = [store.resource_version]

    store.replace([labelled("a", version=2)], "9")
    versions.append(store.resource_version)
    store.bookmark("12")
    versions.append(store.resource_version)

    assert versions == ["", "9", "12"]


def test_delete_goes_by_key() -> None:
    store = make_store(labelled("a", "red"), labelled("b", "red"))

    store.delete(labelled("a", "of", "another", "state"))
    store.delete(labelled("never-there"))

    assert store.list() == [labelled("b", "red")]
    assert store.by_index("label", "red") == [labelled("b", "red")]


def test_replace_returns_what_vanished_in_its_last_known_state() -> None:
    store = make_store(labelled("stays"), labelled("goes", "red", version=7))

    vanished = store.replace([labelled("stays", version=2), labelled("new")], "9")

    assert vanished == [labelled("goes", "red", version=7)]
    assert store.get("ns", "stays") == labelled("stays", version=2)
    assert store.get("ns", "new") == labelled("new")
    assert store.by_index("label", "red") == []


def test_an_unknown_index_is_a_bug() -> None:
    with pytest.raises(KeyError, match="colour"):
        make_store().by_index("colour", "red")


def test_a_list_is_the_callers_own() -> None:
    store = make_store(labelled("a"))

    store.list().clear()
    store.by_index("label", "red").append(labelled("b"))

    assert len(store) == 1


class StoreMachine(RuleBasedStateMachine):
    """Any order of calls leaves the store equal to a plain dict."""

    objects = st.builds(
        lambda name, labels: labelled(name, *labels),
        st.sampled_from("abc"),
        st.lists(st.sampled_from(["red", "blue", "round"]), max_size=3),
    )

    def __init__(self) -> None:
        super().__init__()
        self.store = make_store()
        self.model: dict[tuple[str, str], Object] = {}

    @rule(obj=objects)
    def put(self, obj: Object) -> None:
        self.store.add(obj)
        self.model[key_of(obj)] = obj

    @rule(obj=objects)
    def delete(self, obj: Object) -> None:
        self.store.delete(obj)
        self.model.pop(key_of(obj), None)

    @rule(objs=st.lists(objects, max_size=3))
    def replace(self, objs: list[Object]) -> None:
        fresh = {key_of(obj): obj for obj in objs}
        vanished = self.store.replace(objs, "1")

        assert {key_of(obj) for obj in vanished} == self.model.keys() - fresh.keys()
        self.model = fresh

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        assert {key_of(obj): obj for obj in self.store.list()} == self.model
        for label in ("red", "blue", "round"):
            expected = {key for key, obj in self.model.items() if label in obj["labels"]}
            listed = [key_of(obj) for obj in self.store.by_index("label", label)]
            assert sorted(listed) == sorted(expected)


TestStoreMachine = StoreMachine.TestCase


def test_readers_see_the_indices_and_the_objects_agree() -> None:
    store = make_store(labelled("a", "red"))
    done = threading.Event()

    def write() -> None:
        for version in range(2000):
            store.update(labelled("a", "red", version=version))
            store.replace([labelled("a", "red", version=version)], str(version))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert len(store.by_index("label", "red")) == 1
    writer.join()
