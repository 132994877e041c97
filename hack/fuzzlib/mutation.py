"""Changing an input that is JSON, so that it stays JSON: its values, its names, its shape."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from controller.jsonvalue import decoded

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

# What people and programs write where something else was meant.
_STRANGE: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    2**63,
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    0.1,
    "",
    " ",
    "\n",
    "\x00",
    "\ud800",
    "\ufeffvalue",
    "é" * 3,
    "a" * 300,
    "9" * 5000,
    "true",
    "-1",
    "1e999999999",
    "..",
    "../../etc",
    "{}",
    "[]",
    "{{ .Phases }}",
    "%s %(a)s {0} {a} {",
    "https://user:password@host:99999/?sig=x",
    "2026-01-01T00:00:00Z",
    "9999-99-99T99:99:99Z",
    [],
    {},
    [None],
    [[]],
    [{}],
    {"": ""},
    {"name": None},
    {"key": {"key": {}}},
)

_DEEP: Final = 300
_LONGEST: Final = 10_000

# How often a change is made further down, to a name or the number of items, or within a text.
_DESCENDS: Final = 0.9
_RESHAPES: Final = 0.15
_REWORDS: Final = 0.7
_NESTS: Final = 0.02
_EITHER: Final = 0.5


def changed(data: bytes, change_text: Callable[[bytes], bytes], random: Random) -> bytes:
    """Return another input.

    Args:
        data: An input.
        change_text: Changes a text in it, as libFuzzer changes bytes.
        random: Decides.

    Raises:
        ValueError: The input is no JSON.
    """
    change = _Change(change_text, random)
    value = decoded(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        value = change.of(value)
    return json.dumps(value).encode()


@frozen
class _Change:
    """Makes one change, somewhere in a value.

    Args:
        change_text: Changes a text.
        random: Decides.
    """

    change_text: Callable[[bytes], bytes]
    random: Random

    def of(self, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Return a value with one change."""
        descends = self.random.random() < _DESCENDS
        if isinstance(value, dict) and value and descends:
            return self._of_object(value)
        if isinstance(value, list) and value and descends:
            return self._of_list(value)
        if isinstance(value, str) and self._is(_REWORDS):
            return self._text(value)[:_LONGEST]
        return self._nested(value) if self._is(_NESTS) else self.random.choice(_STRANGE)

    def _of_object(self, value: dict[str, Any]) -> dict[str, Any]:
        name = self.random.choice(sorted(value))
        if not self._is(_RESHAPES):
            return {**value, name: self.of(value[name])}
        if self._is(_EITHER):
            return {key: one for key, one in value.items() if key != name}
        return {**value, self._text(name): value[name]}

    def _of_list(self, value: list[Any]) -> list[Any]:
        place = self.random.randrange(len(value))
        if not self._is(_RESHAPES):
            return [*value[:place], self.of(value[place]), *value[place + 1 :]]
        return value * 2 if self._is(_EITHER) else value[:place] + value[place + 1 :]

    def _text(self, text: str) -> str:
        changed = self.change_text(text.encode("utf-8", "surrogatepass"))
        return changed.decode(errors="surrogateescape")

    def _nested(self, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        for _ in range(self.random.choice((20, _DEEP))):
            value = [value] if self._is(_EITHER) else {"a": value}
        return value

    def _is(self, share: float) -> bool:
        return self.random.random() < share
