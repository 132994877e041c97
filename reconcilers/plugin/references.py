"""Targets, references and pairs as kanctl takes them on the command line. Pure functions.

Kanister pkg/kanctl/actionset.go: several in one option are apart by commas, and an option may be
given several times. A value with a comma is put into double quotes, as kanctl's flags have it
(spf13/pflag string_slice.go).
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Final

from reconcilers.plugin.exits import USAGE, PluginError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: The kinds of targets that have an option of their own, by its name.
KINDS: Final = {
    "deployment": "deployment",
    "statefulset": "statefulset",
    "deploymentconfig": "deploymentconfig",
    "pvc": "pvc",
}
NAMESPACES: Final = "namespacetargets"
OBJECTS: Final = "objects"

BAD_NAMED: Final = "--{option} {text!r} is not of the form NAMESPACE/NAME"
BAD_OBJECT: Final = (
    "--objects {text!r} is not of the form GROUP/VERSION/RESOURCE/NAMESPACE/NAME, or without GROUP "
    "for the core group"
)
BAD_REFERENCE: Final = "--{option} {text!r} is not of the form ALIAS=NAMESPACE/NAME"
#: Without the text: it may be a password whose name was forgotten.
BAD_PAIR: Final = "--{option} takes NAME=VALUE; one of its values has no NAME="
BAD_QUOTES: Final = (
    "--{option} cannot be split at its commas: where a value has a comma or an end of line, put "
    "NAME=VALUE into double quotes, and write double quotes in it twice"
)

_WORD: Final = re.compile(r"[\w.-]+")
_OBJECT_PARTS: Final = (4, 5)


def targets(option: str, texts: Iterable[str]) -> list[dict[str, str]]:
    """Return what an action is about, as `spec.actions[].object` has it; each only once.

    Args:
        option: The name of the option: one of `KINDS`, `NAMESPACES` or `OBJECTS`.
        texts: Its values.

    Raises:
        PluginError: One is not of the option's form.
    """
    found: list[dict[str, str]] = []
    for text in _split(option, texts):
        target = _target(option, text)
        if target not in found:
            found.append(target)
    return found


def named(option: str, text: str, namespace: str) -> dict[str, str]:
    """Return a reference to what is named `NAME` or `NAMESPACE/NAME`.

    Args:
        option: The name of the option, for messages.
        text: Its value.
        namespace: Where it names none.

    Raises:
        PluginError: It is of neither form.
    """
    first, slash, second = text.partition("/")
    where, name = (first, second) if slash else (namespace, first)
    _require(BAD_NAMED, option, text, where, name)
    return {"name": name, "namespace": where}


def references(option: str, texts: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return references by the alias that templates use.

    Args:
        option: The name of the option, for messages.
        texts: Its values, each `ALIAS=NAMESPACE/NAME`.

    Raises:
        PluginError: One is of another form.
    """
    found = {}
    for text in _split(option, texts):
        alias, _, named_ = text.partition("=")
        where, _, name = named_.partition("/")
        _require(BAD_REFERENCE, option, text, alias, where, name)
        found[alias] = {"name": name, "namespace": where}
    return found


def pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    """Return values by their names. A value may have an `=`, where kanctl refuses one.

    Args:
        option: The name of the option, for messages.
        texts: Its values, each `NAME=VALUE`.

    Raises:
        PluginError: One has no name.
    """
    found = {}
    for text in _split(option, texts):
        name, equals, value = text.partition("=")
        if not name.strip() or not equals:
            raise PluginError(BAD_PAIR.format(option=option), USAGE)
        found[name.strip()] = value
    return found


def _target(option: str, text: str) -> dict[str, str]:
    if option == OBJECTS:
        return _object(text)
    if option == NAMESPACES:
        _require(BAD_NAMED, option, text, text)
        return {"kind": "namespace", "name": text, "namespace": text}
    where, _, name = text.partition("/")
    _require(BAD_NAMED, option, text, where, name)
    return {"kind": KINDS[option], "name": name, "namespace": where}


def _object(text: str) -> dict[str, str]:
    parts = text.split("/")
    if len(parts) not in _OBJECT_PARTS:
        raise PluginError(BAD_OBJECT.format(text=text), USAGE)
    _require(BAD_OBJECT, OBJECTS, text, *parts)
    *group, version, resource, namespace, name = parts
    return {
        **({"group": group[0]} if group else {}),
        "apiVersion": version,
        "resource": resource,
        "namespace": namespace,
        "name": name,
    }


def _split(option: str, texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        try:
            rows = list(csv.reader([text], strict=True))
        except csv.Error:
            raise PluginError(BAD_QUOTES.format(option=option), USAGE) from None
        yield from (part.strip() for row in rows for part in row if part.strip())


def _require(template: str, option: str, text: str, *words: str) -> None:
    if not all(_WORD.fullmatch(word) for word in words):
        raise PluginError(template.format(option=option, text=text), USAGE)
