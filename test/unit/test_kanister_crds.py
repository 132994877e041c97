"""Our CRDs of Kanister's kinds: its fields and columns, no more and no less, but for one field."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from e2e import kanistercrds

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[2] / "manifests" / "kanister-crds"
KEPT = "x-kubernetes-preserve-unknown-fields"

#: What only ours has: removed by Kanister in August 2026.
ADDED = "spec.actions[].repositoryServer"

KANISTERS = {one["metadata"]["name"]: one for one in kanistercrds.DEFINITIONS}
OURS = {
    one["metadata"]["name"]: one
    for path in sorted(FOLDER.glob("*s.yaml"))
    for one in [yaml.safe_load(path.read_text())]
}


def version(definition: dict[str, Any]) -> dict[str, Any]:
    (found,) = definition["spec"]["versions"]
    return dict(found)


def fields(definition: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the schema of each field by its path, without its description and its own fields."""
    return dict(_walk(version(definition)["schema"]["openAPIV3Schema"], ""))


def _walk(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    nested = {"properties", "items", "additionalProperties", "description"}
    kind = {key: value for key, value in schema.items() if key not in nested}
    if kind["type"] == "string":
        kind.pop(KEPT, None)
    yield path, kind
    for name, child in schema.get("properties", {}).items():
        yield from _walk(child, f"{path}.{name}".lstrip("."))
    for keyword, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if keyword in schema:
            yield from _walk(schema[keyword], path + mark)


def test_there_is_one_for_each_kind() -> None:
    assert OURS.keys() == KANISTERS.keys()


@pytest.mark.parametrize("name", KANISTERS)
def test_has_the_fields_of_kanisters(name: str) -> None:
    """None is required, none has limits: what Kanister's took, ours takes."""
    ours = {path: kind for path, kind in fields(OURS[name]).items() if not path.startswith(ADDED)}

    assert ours == fields(KANISTERS[name])


def test_has_the_server_of_an_action_as_well() -> None:
    added = {
        path.removeprefix(f"{ADDED}.")
        for path in fields(OURS["actionsets.cr.kanister.io"])
        if path.startswith(f"{ADDED}.")
    }

    assert added == kanistercrds.REFERENCE["properties"].keys()


@pytest.mark.parametrize("name", KANISTERS)
def test_has_the_names_and_the_version_of_kanisters(name: str) -> None:
    """A version with a status subresource would drop what Kanister's clients write into status."""
    for definition in (OURS[name], KANISTERS[name]):
        assert version(definition).keys() - {"additionalPrinterColumns"} == {
            "name",
            "served",
            "storage",
            "schema",
        }
    assert {**OURS[name]["spec"], "versions": []} == {**KANISTERS[name]["spec"], "versions": []}
    assert version(OURS[name])["name"] == version(KANISTERS[name])["name"]


@pytest.mark.parametrize("name", KANISTERS)
def test_has_the_columns_of_kanisters(name: str) -> None:
    ours, theirs = (
        [
            (one["name"], one["type"], one["jsonPath"])
            for one in version(definition).get("additionalPrinterColumns", [])
        ]
        for definition in (OURS[name], KANISTERS[name])
    )

    assert ours == theirs


@pytest.mark.parametrize("name", KANISTERS)
def test_a_field_says_in_sentences_what_it_is(name: str) -> None:
    """The API server describes metadata itself and refuses a description of ours."""

    def described(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
        yield path, schema.get("description", "")
        for field, child in schema.get("properties", {}).items():
            yield from described(child, f"{path}.{field}")
        for keyword in ("items", "additionalProperties"):
            if keyword in schema:
                yield from described(schema[keyword], path)

    found = described(version(OURS[name])["schema"]["openAPIV3Schema"], "")
    wrong = [
        path
        for path, text in found
        if path != ".metadata" and not (text[:1].isupper() and text.endswith("."))
    ]

    assert wrong == []
