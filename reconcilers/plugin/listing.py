"""What `list` shows: a line for each server. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconcilers.plugin import advice
from reconcilers.plugin.screen import Cell, Tone, age, plain, table
from reconcilers.repositoryserver import connection

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from controller.resource import Object
    from reconcilers.plugin.screen import Paint

NONE: Final = "no RepositoryServers in {where}"
HEADS: Final = ("NAME", "STATE", "CLIENTS", "SINCE", "AGE", "WHY")
NAMESPACE: Final = "NAMESPACE"

CONNECT: Final = "connect"
CANNOT: Final = "cannot"


def screen(
    servers: Iterable[Object], now: datetime, paint: Paint, *, namespaces: bool
) -> list[str]:
    """Return a line for each server: its state, whether clients can connect, and why not.

    Args:
        servers: The RepositoryServers.
        now: The time.
        paint: Colours.
        namespaces: Whether each line begins with the namespace.
    """
    rows = []
    for obj in servers:
        metadata, health = obj["metadata"], connection.health(obj)
        state = advice.state(obj, health)
        tone = Tone.GOOD if health.available else Tone.BAD
        why = "" if state is advice.State.READY else plain(health.ready.reason)
        row = [
            Cell(metadata["name"]),
            Cell(state.value, state.tone),
            Cell(CONNECT if health.available else CANNOT, tone),
            Cell(age(health.ready.since, now)),
            Cell(age(metadata.get("creationTimestamp", ""), now)),
            Cell(why),
        ]
        rows.append([Cell(metadata["namespace"]), *row] if namespaces else row)
    heads = (NAMESPACE, *HEADS) if namespaces else HEADS
    return table(heads, rows, paint)


def document(servers: Iterable[Object]) -> list[dict[str, Any]]:
    """Return what `screen` shows, for programs."""
    return [_entry(obj, connection.health(obj)) for obj in servers]


def _entry(obj: Object, health: connection.Health) -> dict[str, Any]:
    return {
        "namespace": obj["metadata"]["namespace"],
        "name": obj["metadata"]["name"],
        "state": advice.state(obj, health).value,
        "clientsCanConnect": health.available,
        "reason": health.ready.reason,
        "message": health.ready.message,
        "since": health.ready.since or None,
    }
