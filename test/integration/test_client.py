"""The client's promises that only a real API server can confirm."""

from collections.abc import Callable

import pytest

from controller import errors
from controller.resource import Object, Resource
from controller.rest.client import Client

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
UNKNOWN = Resource("", "v1", "unheardof", "UnheardOf")


def config_map(**data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}


def stale(obj: Object) -> Object:
    return {"metadata": {"resourceVersion": "1", "uid": obj["metadata"]["uid"]}}


Call = Callable[[Client, str, Object], object]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        pytest.param(
            lambda client, namespace, _: client.get(CONFIG_MAPS, namespace, "none"),
            errors.NotFound,
            id="no such object",
        ),
        pytest.param(
            lambda client, namespace, _: client.list(UNKNOWN, namespace),
            errors.NotFound,
            id="no such resource",
        ),
        pytest.param(
            lambda client, namespace, _: client.create(CONFIG_MAPS, namespace, config_map()),
            errors.AlreadyExists,
            id="the name is taken",
        ),
        pytest.param(
            lambda client, namespace, obj: client.merge_patch(
                CONFIG_MAPS, namespace, "a", stale(obj)
            ),
            errors.Conflict,
            id="it changed in between",
        ),
        pytest.param(
            lambda client, namespace, _: client.delete(CONFIG_MAPS, namespace, "a", uid="old"),
            errors.Conflict,
            id="it is a successor of the same name",
        ),
        pytest.param(
            lambda client, namespace, _: client.merge_patch(
                CONFIG_MAPS, namespace, "a", {"data": {"no/slash": "x"}}
            ),
            errors.Invalid,
            id="it breaks a rule",
        ),
        pytest.param(
            lambda client, namespace, _: client.apply(
                CONFIG_MAPS, namespace, "a", {**config_map(), "colour": "red"}
            ),
            errors.Invalid,
            id="an applied field that there is not",
        ),
        pytest.param(
            lambda client, namespace, _: client.list(
                CONFIG_MAPS, namespace, resource_version="99999999"
            ),
            errors.ServerUnavailable,
            id="a version from the future",
        ),
    ],
)
def test_a_refusal_has_its_class(
    client: Client, namespace: str, call: Call, error: type[errors.ApiError]
) -> None:
    obj = client.create(CONFIG_MAPS, namespace, config_map(key="value"))

    with pytest.raises(error) as caught:
        call(client, namespace, obj)

    assert type(caught.value) is error
    assert caught.value.message
    if error is errors.ServerUnavailable:
        assert errors.is_too_large_resource_version(caught.value)


def test_apply_owns_its_fields_and_gives_them_up(client: Client, namespace: str) -> None:
    client.apply(CONFIG_MAPS, namespace, "a", config_map(kept="1", dropped="1"))

    answer = client.apply(CONFIG_MAPS, namespace, "a", config_map(kept="1"))

    assert answer["data"] == {"kept": "1"}
    assert [entry["manager"] for entry in answer["metadata"]["managedFields"]] == [
        "integration-test"
    ]


def test_the_same_apply_again_changes_nothing(client: Client, namespace: str) -> None:
    first = client.apply(CONFIG_MAPS, namespace, "a", config_map(key="value"))

    second = client.apply(CONFIG_MAPS, namespace, "a", config_map(key="value"))

    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_delete_takes_the_object_it_means(client: Client, namespace: str) -> None:
    obj = client.create(CONFIG_MAPS, namespace, config_map())

    client.delete(CONFIG_MAPS, namespace, "a", uid=obj["metadata"]["uid"], grace_seconds=0)

    with pytest.raises(errors.NotFound):
        client.get(CONFIG_MAPS, namespace, "a")


def test_lists_come_in_pages(client: Client, namespace: str) -> None:
    for name in ("b", "c", "d"):
        client.create(CONFIG_MAPS, namespace, config_map() | {"metadata": {"name": name}})

    names: list[str] = []
    token = ""
    pages = 0
    while pages == 0 or token:
        page = client.list(CONFIG_MAPS, namespace, limit=2, continue_token=token)
        names += [obj["metadata"]["name"] for obj in page["items"]]
        token = page["metadata"].get("continue", "")
        pages += 1

    assert (names, pages) == (["b", "c", "d"], 2)
