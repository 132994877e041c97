"""An operator reads the caches of the kinds that its controllers follow, and of no others."""

import kubernetes.client
import pytest

from controller.cache.shared import Selection
from controller.operator import Operator
from controller.resource import Object, Resource

GREETINGS = Resource("example.com", "v1", "greetings", "Greeting")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")


@pytest.fixture
def operator() -> Operator:
    """An operator that does not run: nobody listens where its API server should be."""
    configuration = kubernetes.client.Configuration(host="http://127.0.0.1:9")
    return Operator(kubernetes.client.ApiClient(configuration), "greeter", namespaces=["ns"])


def config_map(version: int) -> Object:
    return {"metadata": {"namespace": "ns", "name": "hello", "resourceVersion": str(version)}}


def test_what_a_write_returned_is_cached_at_once(operator: Operator) -> None:
    operator.informer(CONFIG_MAPS)

    operator.informers.written(CONFIG_MAPS, config_map(1))

    assert operator.cached(CONFIG_MAPS, "ns", "hello") == config_map(1)
    assert operator.cached(CONFIG_MAPS, "ns", "other") is None
    assert operator.cached(CONFIG_MAPS, "elsewhere", "hello") is None


@pytest.mark.parametrize(
    "selection",
    [
        pytest.param(Selection(labels="a=b"), id="some of the objects: the others look as if gone"),
        pytest.param(Selection(metadata_only=True), id="metadata only: the rest looks empty"),
    ],
)
def test_a_kind_that_is_not_followed_as_a_whole_is_refused(
    operator: Operator, selection: Selection
) -> None:
    operator.informer(CONFIG_MAPS, selection)

    with pytest.raises(ValueError, match="no informer follows all configmaps"):
        operator.cached(CONFIG_MAPS, "ns", "hello")


def test_a_kind_that_nobody_follows_is_refused(operator: Operator) -> None:
    with pytest.raises(ValueError, match=r"no informer follows all greetings\.example\.com"):
        operator.cached(GREETINGS, "ns", "hello")
