"""What is wrong with a server, and what to do about it. Pure functions."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from attrs import frozen

from reconcilers.plugin.screen import Tone, plain
from reconcilers.repositoryserver.connection import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from reconcilers.repositoryserver.connection import Health

#: What separates what is wrong from the fix in the controller's messages.
_FIX: Final = "; "

WAIT: Final = "wait: the controller goes on by itself"
AGAIN: Final = "the controller tries again by itself; if it lasts, see docs/operations.md"
NO_FIX: Final = "mend what the message names; the controller goes on within seconds"
PAUSED: Final = "set spec.paused to false; until then the controller changes nothing"
NOT_SEEN: Final = "no controller has reported on generation {generation} of it yet"
LOOK_FOR_CONTROLLER: Final = (
    "if that lasts, look whether a controller runs, and whether its --namespace has {namespace}"
)


class State(Enum):
    """The state of a server in a word, with its tone."""

    READY = "Ready"
    PAUSED = "Paused"
    CHANGING = "Changing"
    STARTING = "Starting"
    DEGRADED = "Degraded"
    FAILED = "Failed"
    UNSEEN = "Unseen"

    @property
    def tone(self) -> Tone:
        """The colour on a terminal."""
        if self is State.READY:
            return Tone.GOOD
        return Tone.BAD if self in (State.FAILED, State.DEGRADED) else Tone.UNDER_WAY


@frozen
class Advice:
    """What is wrong, and what to do.

    Args:
        wrong: What is wrong; empty if nothing is.
        fix: What to do about it.
    """

    wrong: str
    fix: str


def state(obj: Mapping[str, Any], health: Health) -> State:
    """Return the state of a server in a word.

    Args:
        obj: The RepositoryServer.
        health: What its status says.
    """
    if not health.ready.reason or not health.current:
        return State.UNSEEN
    if obj["spec"].get("paused"):
        return State.PAUSED
    if health.kind is Kind.READY:
        return State.READY
    if health.kind is Kind.WAIT:
        return State.CHANGING if health.available else State.STARTING
    return State.DEGRADED if health.available else State.FAILED


def of(obj: Mapping[str, Any], health: Health) -> Advice:
    """Return what is wrong with a server, and what to do.

    The controller's messages have both: first what is wrong, then the fix.

    Args:
        obj: The RepositoryServer.
        health: What its status says.
    """
    found, metadata = state(obj, health), obj["metadata"]
    if found is State.READY:
        return Advice("", "")
    if found is State.UNSEEN:
        return Advice(
            NOT_SEEN.format(generation=metadata.get("generation", 0)),
            LOOK_FOR_CONTROLLER.format(namespace=metadata["namespace"]),
        )
    wrong, fix = split(health.ready.message)
    if found is State.PAUSED:
        return Advice(wrong, fix or PAUSED)
    by_kind = {Kind.WAIT: WAIT, Kind.PASSING: AGAIN}
    return Advice(wrong, fix or by_kind.get(health.kind, NO_FIX))


def split(message: str) -> tuple[str, str]:
    """Return what is wrong and the fix out of a message; without a fix that is empty."""
    wrong, _, fix = plain(message).partition(_FIX)
    return wrong.strip(), fix.strip()
