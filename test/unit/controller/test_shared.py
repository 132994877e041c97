"""Shared informers: when one is shared, which namespaces it follows, which writes it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field
from prometheus_client import CollectorRegistry

from controller.cache.informer import Informer
from controller.cache.shared import ALL_NAMESPACES, Informers, Selection
from controller.errors import NotFound
from controller.metrics import Metrics
from controller.resource import Object, Resource
from controller.stop import Stop
from fakes.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterable

PODS = Resource("", "v1", "pods", "Pod")
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)


def by_app(obj: Object) -> Iterable[str]:
    return [(obj["metadata"].get("labels") or {}).get("app", "")]


def obj(namespace: str, name: str, version: int = 1, **metadata: Any) -> Object:
    found: Object = {"name": name, "uid": name, "resourceVersion": str(version), **metadata}
    if namespace:
        found["namespace"] = namespace
    return {"metadata": found}


class ListedInformer(Informer):
    """The real informer, to which a test brings what the watch would."""

    def show(self, *objects: Object) -> None:
        self._processor.replace(list(objects), "10")

    def not_served(self) -> None:
        self._refusal = NotFound(404, "NotFound", "the server could not find the resource")


@define
class Listener:
    """Writes down what it is called with."""

    calls: list[str] = field(factory=list)

    def on_add(self, obj: Object, *, initial: bool) -> None:
        self.calls.append(f"add {obj['metadata']['name']}{' initial' if initial else ''}")

    def on_update(self, old: Object, new: Object) -> None:
        self.calls.append(f"update {old['metadata']['name']} {new['metadata']['name']}")

    def on_delete(self, obj: Object) -> None:
        self.calls.append(f"delete {obj['metadata']['name']}")


def informers(*namespaces: str, registry: CollectorRegistry | None = None) -> Informers:
    return Informers(
        None,  # type: ignore[arg-type]  # nothing is asked
        namespaces or ALL_NAMESPACES,
        clock=FakeClock(),
        metrics=Metrics(registry or CollectorRegistry()),
        make=ListedInformer,
    )


def part(shared: Any, namespace: str) -> ListedInformer:
    (found,) = [one for one in shared.informers if one.namespace == namespace]
    assert isinstance(found, ListedInformer)
    return found


def stopped() -> Stop:
    stop = Stop()
    stop.set()
    return stop


class TestSharing:
    def test_the_same_resource_and_selection_is_one_informer(self) -> None:
        made = informers("a")

        first = made.informer(PODS, Selection(labels="app=x"), indexers={"app": by_app})
        again = made.informer(PODS, Selection(labels="app=x"))

        assert again is first
        assert made.all() == [first]

    @pytest.mark.parametrize(
        "selection",
        [
            pytest.param(Selection(labels="app=x"), id="other labels"),
            pytest.param(Selection(fields="metadata.name=x"), id="other fields"),
            pytest.param(Selection(metadata_only=True), id="less of each object"),
        ],
    )
    def test_another_selection_is_another_informer_with_a_name_of_its_own(
        self, selection: Selection
    ) -> None:
        made = informers("a")
        first = made.informer(PODS)

        with pytest.raises(ValueError, match="an informer named 'pods' already"):
            made.informer(PODS, selection)
        assert made.informer(PODS, selection, name="pods of x") is not first

    def test_one_that_is_wanted_with_other_index_functions_is_refused(self) -> None:
        made = informers("a")
        made.informer(PODS)

        with pytest.raises(ValueError, match=r"informer of pods .* made with another indexers"):
            made.informer(PODS, indexers={"app": by_app})


class TestNamespaces:
    def test_a_list_of_namespaces_is_read_as_one_cache(self) -> None:
        shared = informers("a", "b").informer(PODS, indexers={"app": by_app})
        part(shared, "a").show(obj("a", "one", labels={"app": "x"}))
        part(shared, "b").show(obj("b", "two", labels={"app": "x"}), obj("b", "three"))

        assert shared.get("a", "one") == obj("a", "one", labels={"app": "x"})
        assert shared.get("a", "two") is None
        assert sorted(shared.keys()) == [("a", "one"), ("b", "three"), ("b", "two")]
        assert [found["metadata"]["name"] for found in shared.by_index("app", "x")] == [
            "one",
            "two",
        ]
        assert len(shared.objects()) == 3

    def test_all_namespaces_are_one_informer(self) -> None:
        shared = informers().informer(PODS)
        part(shared, "").show(obj("a", "one"), obj("b", "two"))

        assert shared.get("b", "two") == obj("b", "two")

    @pytest.mark.parametrize("named", [("", "a"), ("a", ""), ("",)])
    def test_one_that_is_named_beside_all_has_no_informer_of_its_own(
        self, named: tuple[str, ...]
    ) -> None:
        """Each of its objects would come twice."""
        made = informers(*named)
        made.add_namespace("a")

        assert [one.namespace for one in made.informer(PODS).informers] == [""]
        assert made.namespaces == ALL_NAMESPACES

    def test_a_cluster_scoped_resource_is_one_informer_whatever_the_namespaces(self) -> None:
        shared = informers("a", "b").informer(NODES)
        part(shared, "").show(obj("", "node-1"))

        assert shared.get("", "node-1") == obj("", "node-1")

    def test_each_informer_has_series_of_its_own(self) -> None:
        registry = CollectorRegistry()
        shared = informers("a", "b", registry=registry).informer(PODS)
        part(shared, "a").show(obj("a", "one"))

        sizes = {
            name: registry.get_sample_value("informer_store_objects", {"resource": name})
            for name in ("pods/a", "pods/b")
        }
        assert sizes == {"pods/a": 1, "pods/b": 0}

    def test_a_namespace_that_comes_later_has_the_handlers_called(self) -> None:
        made = informers("a")
        shared = made.informer(PODS)
        shared.add_handler(listener := Listener())
        part(shared, "a").show(obj("a", "one"))

        (added,) = made.add_namespace("b")
        assert isinstance(added, ListedInformer)
        assert not shared.has_synced("b")
        added.show(obj("b", "two"))

        assert listener.calls == ["add one initial", "add two initial"]
        assert shared.get("b", "two") is not None
        assert made.add_namespace("b") == [], "it is followed already"
        assert made.namespaces == ("a", "b")

    def test_a_namespace_that_goes_is_gone_at_once_and_its_objects_are_seen_deleted(self) -> None:
        made = informers("a", "b")
        shared = made.informer(PODS)
        shared.add_handler(listener := Listener())
        for namespace in ("a", "b"):
            part(shared, namespace).show(obj(namespace, namespace))
        listener.calls.clear()

        (removed,) = made.remove_namespace("b")

        assert shared.get("b", "b") is None
        assert shared.get("a", "a") is not None
        removed.run(stopped())
        assert listener.calls == ["delete b"]

    def test_an_informer_with_namespaces_of_its_own_follows_none_of_the_others(self) -> None:
        registry = CollectorRegistry()
        made = informers("a", registry=registry)
        shared = made.informer(PODS, own_namespaces=True)
        shared.add_handler(listener := Listener())

        assert made.add_namespace("b") == [], "it is not for this informer"
        assert not shared.follows("a")
        added = shared.add_namespace("app")
        assert isinstance(added, ListedInformer)
        assert not shared.has_synced("app")
        added.show(obj("app", "one"))
        assert made.remove_namespace("app") == [], "it is not for this informer"

        assert shared.follows("app")
        assert listener.calls == ["add one initial"]
        assert shared.get("app", "one") is not None
        series = {"resource": "pods/app"}
        assert registry.get_sample_value("informer_store_objects", series) == 1

    @pytest.mark.parametrize(
        ("synced", "of_a", "of_all", "enough"),
        [
            pytest.param((), False, False, False, id="none has synced"),
            pytest.param(("a",), True, False, True, id="one is enough to begin with"),
            pytest.param(("a", "b"), True, True, True, id="all have synced"),
        ],
    )
    def test_one_namespace_that_cannot_be_listed_does_not_hold_up_another(
        self, synced: tuple[str, ...], *, of_a: bool, of_all: bool, enough: bool
    ) -> None:
        made = informers("a", "b")
        shared = made.informer(PODS)
        for namespace in synced:
            part(shared, namespace).show()

        assert shared.has_synced("a") is of_a
        assert shared.has_synced() is of_all
        assert made.has_synced() is enough

    def test_a_namespace_that_is_not_followed_has_nothing_to_wait_for(self) -> None:
        """What was enqueued for a namespace that is followed no longer must not wait for others."""
        shared = informers("a", "b").informer(PODS)
        part(shared, "a").show()

        assert shared.has_synced("elsewhere")

    def test_an_operator_without_a_namespace_waits_for_cluster_scoped_objects_only(self) -> None:
        """Its namespaces come later, or it reconciles cluster-scoped objects."""
        made = informers("a")
        made.informer(PODS)
        nodes = made.informer(NODES)
        made.remove_namespace("a")
        assert not made.has_synced()

        part(nodes, "").show()

        assert made.has_synced()

    def test_a_namespace_that_goes_can_come_again_at_once(self) -> None:
        """The informer that ends does not hold the name that labels its series."""
        registry = CollectorRegistry()
        made = informers("a", "b", registry=registry)
        made.informer(PODS)
        (removed,) = made.remove_namespace("b")

        (again,) = made.add_namespace("b")
        removed.run(stopped())
        assert isinstance(again, ListedInformer)
        again.show(obj("b", "two"))

        labels = {"resource": "pods/b"}
        assert registry.get_sample_value("informer_store_objects", labels) == 1

    def test_a_kind_that_is_not_served_holds_up_nobody(self) -> None:
        made = informers("a")
        pods, nodes = made.informer(PODS), made.informer(NODES)
        part(pods, "a").show()
        part(nodes, "").not_served()

        assert made.has_synced()
        assert not nodes.is_served()
        assert isinstance(nodes.refusal(), NotFound)
        assert pods.is_served()
        assert pods.refusal() is None

    def test_a_demand_reaches_the_namespaces_that_are_added_later(self) -> None:
        made = informers("a")
        pods = made.informer(PODS, on_demand=True)

        assert pods.has_synced()
        pods.demand()
        assert not pods.has_synced("a")
        part(pods, "a").show()
        made.add_namespace("b")

        assert pods.has_synced("a")
        assert not pods.has_synced("b")


class TestOwnWrites:
    def test_a_write_is_seen_by_every_informer_that_selects_the_object(self) -> None:
        made = informers("a", "b")
        everything = made.informer(PODS)
        of_x = made.informer(PODS, Selection(labels="app=x"), name="pods of x")
        of_y = made.informer(PODS, Selection(labels="app=y"), name="pods of y")
        written = obj("a", "one", 11, labels={"app": "x", "tier": "1"})

        made.written(PODS, written)

        assert everything.get("a", "one") == written
        assert of_x.get("a", "one") == written
        assert of_y.get("a", "one") is None
        assert everything.is_own_write(written)
        assert not everything.is_own_write(obj("a", "one", 12))

    def test_a_write_elsewhere_is_seen_by_none(self) -> None:
        made = informers("a")
        pods = made.informer(PODS)

        made.written(PODS, obj("other", "one", 11))
        made.written(NODES, obj("a", "two", 12))

        assert [pods.get("other", "one"), pods.get("a", "two")] == [None, None]

    @pytest.mark.parametrize(
        ("selection", "selected"),
        [
            pytest.param(Selection(), True, id="everything"),
            pytest.param(Selection(labels="app=x"), True, id="a label that it has"),
            pytest.param(Selection(labels="app=x,tier=2"), False, id="one of two labels differs"),
            pytest.param(Selection(fields="metadata.name=one"), True, id="its name"),
            pytest.param(Selection(fields="metadata.name=two"), False, id="another name"),
            pytest.param(Selection(labels="app in (x)"), False, id="what cannot be judged"),
            pytest.param(Selection(labels="app"), False, id="nor can the presence of a label"),
            pytest.param(Selection(fields="spec.nodeName=n"), False, id="nor another field"),
        ],
    )
    def test_whether_an_object_is_selected(self, selection: Selection, *, selected: bool) -> None:
        assert selection.selects(obj("a", "one", labels={"app": "x", "tier": "1"})) is selected
