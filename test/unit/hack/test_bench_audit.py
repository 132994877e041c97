"""The log of requests that kube-apiserver keeps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchlib import audit

if TYPE_CHECKING:
    from pathlib import Path


def event(verb: str, resource: str, name: str = "", **others: Any) -> dict[str, Any]:
    kind, _, subresource = resource.partition("/")
    about = {"resource": kind, "name": name} | ({"subresource": subresource} if subresource else {})
    defaults = {
        "stage": "ResponseComplete",
        "requestURI": "/",
        "requestReceivedTimestamp": "2026-01-01T00:00:00.500000Z",
        "responseStatus": {"code": 200},
    }
    return {"verb": verb, "objectRef": about, **defaults, **others}


def read(folder: Path, *events: dict[str, Any]) -> list[audit.Request]:
    log = folder / "audit.log"
    log.write_text("".join(f"{json.dumps(one)}\n" for one in events))
    return audit.read(log)


def test_requests_are_counted_by_verb_and_resource(tmp_path: Path) -> None:
    requests = read(
        tmp_path,
        event("patch", "pods", "a"),
        event("patch", "pods", "b"),
        event("patch", "repositoryservers/status", "a"),
        {**event("get", ""), "objectRef": {}, "requestURI": "/apis"},
    )

    assert audit.counts(requests) == {
        ("patch", "pods"): 2,
        ("patch", "repositoryservers/status"): 1,
        ("get", audit.NO_RESOURCE): 1,
    }
    assert [one.is_write for one in requests] == [True, True, True, False]


def test_a_watch_counts_once_and_when_it_starts(tmp_path: Path) -> None:
    requests = read(
        tmp_path,
        event("watch", "pods", stage="ResponseStarted"),
        event("watch", "pods", stage="ResponseComplete"),
        event("list", "pods", stage="ResponseStarted"),
        event("list", "pods"),
    )

    assert audit.counts(requests) == {("watch", "pods"): 1, ("list", "pods"): 1}


def test_the_log_is_read_from_where_it_ended_before(tmp_path: Path) -> None:
    first = json.dumps(event("get", "pods")) + "\n"
    log = tmp_path / "audit.log"
    log.write_text(first + json.dumps(event("patch", "pods")) + "\n")

    assert [request.verb for request in audit.read(log, len(first))] == ["patch"]


def test_the_first_write_is_the_earliest_that_succeeded_and_changed_something(
    tmp_path: Path,
) -> None:
    def at(second: int) -> str:
        return f"2026-01-01T00:00:0{second}.000000Z"

    refused = {"responseStatus": {"code": 409}}
    requests = read(
        tmp_path,
        event("patch", "pods", "new-1-digest", requestReceivedTimestamp=at(5)),
        event("patch", "services", "server-new-1", requestReceivedTimestamp=at(4)),
        event("patch", "pods", "new-2", requestReceivedTimestamp=at(0)),
        event("get", "pods", "new-1", requestReceivedTimestamp=at(0)),
        event("create", "events", "new-1.1", requestReceivedTimestamp=at(1)),
        event("patch", "secrets", "new-1", requestReceivedTimestamp=at(2), **refused),
    )
    first = audit.first_write(requests, "new-1")

    assert first is not None
    assert first.second == 4
    assert audit.first_write(requests, "new-3") is None
