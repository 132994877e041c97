"""What running phases have to know after a restart: the annotation `ANNOTATION_MEMO`.

Kanister's CRD prunes what it does not know of a status, so this is an annotation, written in one
request with the status that it belongs to. An entry lives from the first call of a phase until
nothing is left of the phase: its pod released.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, field, frozen

from controller.conditions import parse_time, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

#: In place of the number of a phase: the deferPhase.
DEFER: Final = -1
#: As `DEFER`: the rendering of the output artifacts, after all phases.
ARTIFACTS: Final = -2

_WORDS: Final = {DEFER: "defer", ARTIFACTS: "artifacts"}
_NUMBERS: Final = {word: number for number, word in _WORDS.items()}


@frozen(order=True)
class Position:
    """Which phase of which action.

    Args:
        action: The index of the action.
        phase: The index of the phase, or `DEFER`, or `ARTIFACTS`.
    """

    action: int
    phase: int

    @property
    def deferred(self) -> bool:
        """Whether it is the deferPhase."""
        return self.phase == DEFER

    @property
    def key(self) -> str:
        """The key of its entry: `0/1`, `0/defer` or `0/artifacts`."""
        return f"{self.action}/{_WORDS.get(self.phase, self.phase)}"

    @classmethod
    def of_key(cls, key: str) -> Position:
        """Return the position of a key.

        Raises:
            ValueError: It is none.
        """
        action, _, phase = key.partition("/")
        return cls(int(action), _NUMBERS[phase] if phase in _NUMBERS else int(phase))


@frozen
class Entry:
    """What is kept of a phase.

    Args:
        started_at: When it began.
        memo: The last memo of its function. Default: none.
        refused_since: Since when every request for it has been refused; None if none is. Default:
            None.
        away_since: Since when the API server has answered none of them; None if it does. Default:
            None.
        cancelled: Whether the engine has asked its function to end it by a limit. Default: False.
        over: `complete` or `failed` once its result is stored and something of it may be left;
            empty while it runs. Default: empty.
    """

    started_at: datetime
    memo: Mapping[str, Any] = field(factory=dict)
    refused_since: datetime | None = None
    away_since: datetime | None = None
    cancelled: bool = False
    over: str = ""


@frozen
class Memos:
    """The entries of an ActionSet by position.

    Args:
        entries: Those that there are. Default: none.
    """

    entries: Mapping[Position, Entry] = field(factory=dict)

    def get(self, position: Position) -> Entry | None:
        """Return the entry of a phase, None if there is none."""
        return self.entries.get(position)

    def with_entry(self, position: Position, entry: Entry) -> Memos:
        """Return the entries with one of them set."""
        return Memos({**self.entries, position: entry})

    def without(self, position: Position) -> Memos:
        """Return the entries without one of them."""
        return Memos({at: entry for at, entry in self.entries.items() if at != position})

    def ended(self, position: Position, state: str) -> Memos:
        """Return the entries with a phase marked as over; nothing changes if it has no entry.

        Args:
            position: Of the phase.
            state: `complete` or `failed`.
        """
        entry = self.get(position)
        if entry is None:
            return self
        return self.with_entry(
            position, evolve(entry, over=state, refused_since=None, away_since=None)
        )

    def all_ended(self, state: str) -> Memos:
        """Return the entries with all of them marked as over.

        Args:
            state: Of those that are not yet: `complete` or `failed`.
        """
        memos = self
        for position, entry in self.entries.items():
            memos = memos if entry.over else memos.ended(position, state)
        return memos

    def over(self) -> list[tuple[Position, Entry]]:
        """Return the entries of phases that are over, in the order of their positions."""
        return sorted(
            ((at, entry) for at, entry in self.entries.items() if entry.over),
            key=lambda item: item[0],
        )


def parse(text: str) -> Memos:
    """Return the entries of an annotation.

    Somebody may have changed it by hand: what cannot be read counts as not there, so that the
    functions find out by what there is.

    Args:
        text: The annotation; empty for none.
    """
    try:
        content = json.loads(text) if text else {}
        return Memos({Position.of_key(key): _entry(one) for key, one in content.items()})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Memos()


def render(memos: Memos) -> str | None:
    """Return the annotation for entries; None if there are none, which removes it."""
    if not memos.entries:
        return None
    content = {at.key: _json(entry) for at, entry in sorted(memos.entries.items())}
    return json.dumps(content, separators=(",", ":"), sort_keys=True)


def _entry(content: Mapping[str, Any]) -> Entry:
    refused, away = content.get("refusedSince"), content.get("awaySince")
    return Entry(
        started_at=parse_time(content["startedAt"]),
        memo=dict(content.get("memo") or {}),
        refused_since=parse_time(refused) if refused else None,
        away_since=parse_time(away) if away else None,
        cancelled=bool(content.get("cancelled")),
        over=str(content.get("over") or ""),
    )


def _json(entry: Entry) -> dict[str, Any]:
    content: dict[str, Any] = {"startedAt": timestamp(entry.started_at)}
    if entry.memo:
        content["memo"] = entry.memo
    if entry.refused_since is not None:
        content["refusedSince"] = timestamp(entry.refused_since)
    if entry.away_since is not None:
        content["awaySince"] = timestamp(entry.away_since)
    if entry.cancelled:
        content["cancelled"] = True
    if entry.over:
        content["over"] = entry.over
    return content
