"""What kanctl takes on the command line."""

from __future__ import annotations

import pytest

from reconcilers.plugin import references
from reconcilers.plugin.exits import USAGE, PluginError

DB = {"kind": "statefulset", "name": "db", "namespace": "shop"}


@pytest.mark.parametrize(
    ("option", "texts", "expected"),
    [
        pytest.param("statefulset", ["shop/db"], [DB], id="one"),
        pytest.param(
            "statefulset", ["shop/db, a/b", "shop/db"], [DB, {**DB, "name": "b", "namespace": "a"}],
            id="several by commas or by repeating, and each only once",
        ),
        pytest.param(
            "pvc", ["shop/data"], [{"kind": "pvc", "name": "data", "namespace": "shop"}],
            id="a claim",
        ),
        pytest.param(
            "namespacetargets",
            ["shop"],
            [{"kind": "namespace", "name": "shop", "namespace": "shop"}],
            id="a namespace, which kanctl names twice",
        ),
        pytest.param(
            "objects",
            ["apps/v1/deployments/shop/web"],
            [
                {
                    "group": "apps",
                    "apiVersion": "v1",
                    "resource": "deployments",
                    "namespace": "shop",
                    "name": "web",
                }
            ],
            id="any object with its group",
        ),
        pytest.param(
            "objects",
            ["v1/configmaps/shop/settings"],
            [
                {
                    "apiVersion": "v1",
                    "resource": "configmaps",
                    "namespace": "shop",
                    "name": "settings",
                }
            ],
            id="any object of the core group",
        ),
        pytest.param("statefulset", [], [], id="none"),
    ],
)  # fmt: skip
def test_targets(option: str, texts: list[str], expected: list[dict[str, str]]) -> None:
    assert references.targets(option, texts) == expected


@pytest.mark.parametrize(
    ("option", "text"),
    [
        pytest.param("statefulset", "db", id="without a namespace"),
        pytest.param("statefulset", "a/b/c", id="with too many parts"),
        pytest.param("statefulset", "/db", id="with an empty namespace"),
        pytest.param("namespacetargets", "a/b", id="a namespace in a namespace"),
        pytest.param("objects", "deployments/shop/web", id="an object without a version"),
        pytest.param("objects", "a/b/c/d/e/f", id="an object with too many parts"),
    ],
)
def test_a_target_of_another_form_is_refused(option: str, text: str) -> None:
    with pytest.raises(PluginError, match=f"^--{option} ") as raised:
        references.targets(option, [text])

    assert raised.value.code == USAGE


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        pytest.param(["a=1,b=2"], {"a": "1", "b": "2"}, id="several in one"),
        pytest.param(["a=b=c"], {"a": "b=c"}, id="a value may have an equals sign"),
        pytest.param(["a="], {"a": ""}, id="an empty value"),
        pytest.param(['"a=1,2"', "b=3"], {"a": "1,2", "b": "3"}, id="a value with a comma"),
        pytest.param(['"a=1\n2"'], {"a": "1\n2"}, id="a value of several lines"),
        pytest.param(["a=1", "a=2"], {"a": "2"}, id="the last one counts"),
    ],
)
def test_pairs(texts: list[str], expected: dict[str, str]) -> None:
    assert references.pairs("options", texts) == expected


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param(["a=made-up\npassword"], id="an end of line"),
        pytest.param(['"a=made-up', "b=2"], id="quotes that are not closed"),
        pytest.param(['"a=made"up'], id="quotes that are closed too early"),
    ],
)
def test_what_cannot_be_split_is_refused_and_not_repeated(texts: list[str]) -> None:
    with pytest.raises(PluginError, match=r"^--options ") as raised:
        references.pairs("options", texts)

    assert raised.value.code == USAGE
    assert "made" not in str(raised.value)


def test_a_value_whose_name_was_forgotten_is_not_repeated() -> None:
    with pytest.raises(PluginError) as raised:
        references.pairs("options", ["a=1,made-up-password"])

    assert "made-up-password" not in str(raised.value)
    assert "--options" in str(raised.value)


def test_references_by_alias() -> None:
    found = references.references("secrets", ["db=shop/login,s3=backup/keys"])

    assert found == {
        "db": {"name": "login", "namespace": "shop"},
        "s3": {"name": "keys", "namespace": "backup"},
    }
    with pytest.raises(PluginError, match="--secrets 'db=login' is not of the form"):
        references.references("secrets", ["db=login"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("files", {"name": "files", "namespace": "here"}, id="in the same namespace"),
        pytest.param("there/files", {"name": "files", "namespace": "there"}, id="in another one"),
    ],
)
def test_what_is_named_with_or_without_a_namespace(text: str, expected: dict[str, str]) -> None:
    assert references.named("server", text, "here") == expected


@pytest.mark.parametrize("text", ["a/b/c", "/files", "there/", "a b"])
def test_a_name_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(PluginError, match="--server"):
        references.named("server", text, "here")
