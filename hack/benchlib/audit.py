"""Reads the log of requests that kube-apiserver keeps for one user."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

WATCH = "watch"
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
EVENTS = "events"
# What is at /api, /apis and below: which kinds of objects there are.
NO_RESOURCE = "discovery"
_FIRST_REFUSAL = 400


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        verb: Kubernetes' word: get, list, watch, create, patch, ...
        resource: what it was about, with the subresource: "repositoryservers/status".
        name: of the object; empty for a collection.
        at: when the server got it.
        refused: whether it did not succeed.
    """

    verb: str
    resource: str
    name: str
    at: datetime
    refused: bool

    @property
    def is_write(self) -> bool:
        """Whether it was to change something."""
        return self.verb in WRITES


def read(path: Path, start: int = 0) -> list[Request]:
    """Return the requests of a log, in the order of their ends.

    Args:
        path: the log.
        start: byte from which on to read; a size that the file had before.
    """
    with path.open("rb") as log:
        log.seek(start)
        return list(_requests(log))


def _requests(lines: Iterable[bytes]) -> Iterable[Request]:
    for line in lines:
        event = json.loads(line)
        # Of a watch both its start and its end are logged.
        if event["stage"] == ("ResponseStarted" if event["verb"] == WATCH else "ResponseComplete"):
            yield _request(event)


def _request(event: Mapping[str, Any]) -> Request:
    about = event.get("objectRef", {})
    parts = (about.get("resource", NO_RESOURCE), about.get("subresource"))
    return Request(
        verb=event["verb"],
        resource="/".join(part for part in parts if part),
        name=about.get("name", ""),
        at=datetime.fromisoformat(event["requestReceivedTimestamp"]),
        refused=event.get("responseStatus", {}).get("code", 0) >= _FIRST_REFUSAL,
    )


def counts(requests: Iterable[Request]) -> Counter[tuple[str, str]]:
    """Return how many requests there were by verb and resource."""
    return Counter((request.verb, request.resource) for request in requests)


def first_write(requests: Iterable[Request], name: str) -> datetime | None:
    """Return when the first write about an object or what is named after it came in.

    Events do not count: they change nothing.
    """
    times = [
        request.at
        for request in requests
        if request.is_write
        and not request.refused
        and request.resource != EVENTS
        and name in request.name
    ]
    return min(times, default=None)
