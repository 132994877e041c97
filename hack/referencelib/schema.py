"""The fields of the CRD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Where a schema has that of its items.
_ITEMS = ("items", "additionalProperties")

# Objects of these fields are told of as one value.
_REFERENCE = {"name", "namespace"}
_SELECTOR = {"matchLabels", "matchExpressions"}


@dataclass(frozen=True)
class Field:
    """A field of the resource.

    Attributes:
        path: as `spec.server.tolerations[].key`.
        schema: its part of the CRD.
        required: whether the object that it belongs to must have it.
    """

    path: str
    schema: dict[str, Any]
    required: bool

    @property
    def description(self) -> str:
        """Its description, on one line."""
        return " ".join(self.schema["description"].split())

    @property
    def refusals(self) -> list[str]:
        """What the API server says of values that a rule refuses, in it or in one of its items."""
        parts = (self.schema, *(self.schema.get(items, {}) for items in _ITEMS))
        rules = [rule for part in parts for rule in part.get("x-kubernetes-validations", [])]
        return [" ".join(rule["message"].split()) for rule in rules]

    @property
    def is_leaf(self) -> bool:
        """Whether it has no fields of its own here."""
        return not self._own or self._names in (_REFERENCE, _SELECTOR)

    @property
    def type(self) -> str:
        """Its type and limits, in words."""
        return ", ".join([_type(self.schema, self._names), *_limits(self.schema)])

    def below(self) -> Iterator[Field]:
        """Yield the fields in it, each before its own."""
        if self.is_leaf:
            return
        inside, mark = (self.schema["items"], "[]") if self._is_list else (self.schema, "")
        for name, schema in inside["properties"].items():
            required = name in inside.get("required", ())
            field = Field(f"{self.path}{mark}.{name}", schema, required)
            yield field
            yield from field.below()

    @property
    def _is_list(self) -> bool:
        return "items" in self.schema

    @property
    def _own(self) -> dict[str, Any]:
        inside: dict[str, Any] = self.schema["items"] if self._is_list else self.schema
        return inside.get("properties") or {}

    @property
    def _names(self) -> set[str]:
        return set() if self._is_list else set(self._own)


def load(crd: Path) -> dict[str, Field]:
    """Read the fields `spec` and `status` of the CRD, by name."""
    (version,) = yaml.safe_load(crd.read_text())["spec"]["versions"]
    root = version["schema"]["openAPIV3Schema"]
    return {
        name: Field(name, root["properties"][name], name in root["required"])
        for name in ("spec", "status")
    }


def _type(schema: dict[str, Any], names: set[str]) -> str:
    if names == _REFERENCE:
        return "reference to a Secret (`name`, `namespace`)"
    if names == _SELECTOR:
        return "label selector (`matchLabels`, `matchExpressions`)"
    for items, container in zip(_ITEMS, ("list", "map"), strict=True):
        if items in schema:
            return f"{container} of {_type(schema[items], set())}s"
    if schema.get("x-kubernetes-int-or-string"):
        return "amount"
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return "object with any fields"
    return "time (RFC 3339)" if schema.get("format") == "date-time" else str(schema["type"])


def _limits(schema: dict[str, Any]) -> Iterator[str]:
    if "enum" in schema:
        yield "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    if "minimum" in schema:
        yield f"at least {schema['minimum']}"
    if "maximum" in schema:
        yield f"at most {schema['maximum']}"
    if "maxLength" in schema:
        yield f"at most {schema['maxLength']} characters"
    for limit in ("maxItems", "maxProperties"):
        if limit in schema:
            yield f"at most {schema[limit]}"
