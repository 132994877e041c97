"""What `status` says of a server, out of what was read. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from reconcilers.plugin import advice
from reconcilers.plugin.screen import plain, time_of
from reconcilers.repositoryserver import connection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.resource import Object
    from reconcilers.plugin.advice import Advice, State

#: How many events are shown, the last ones.
EVENTS: Final = 8

#: The parts of a report that are read by themselves, and may be missing for want of a right.
USERS: Final = "users"
PODS: Final = "pods"
EVENTS_PART: Final = "events"


@frozen
class Facts:
    """What was read of a server.

    Args:
        server: The RepositoryServer.
        pods: Its pods.
        events: The events about it.
        users: Names of users as `user@host`, each with the Secret that has it.
        missing: Why a part could not be read, by its name.
    """

    server: Object
    pods: Sequence[Object] = ()
    events: Sequence[Object] = ()
    users: Sequence[tuple[str, str]] = ()
    missing: Mapping[str, str] = field(factory=dict)


@frozen
class Pod:
    """A pod of a server.

    Args:
        name: Its name.
        ready: How many of its containers are ready, as `1/1`.
        status: What it does, in the word that kubectl shows.
        restarts: How often its containers were started again.
        created: When it was made.
        serves: Whether the Service routes to it.
        message: Why it does not run; empty if it does.
    """

    name: str
    ready: str
    status: str
    restarts: int
    created: str
    serves: bool
    message: str


@frozen
class Event:
    """An event about a server.

    Args:
        when: When it was last seen.
        warning: Whether it is a warning.
        reason: In one word.
        message: In words.
    """

    when: str
    warning: bool
    reason: str
    message: str


@frozen
class Warned:
    """A warning.

    Args:
        type_: Of its condition.
        advice: What is wrong, and what to do.
    """

    type_: str
    advice: Advice


@frozen
class Report:
    """What `status` says of a server.

    Args:
        namespace: Of the server.
        name: Of the server.
        state: In a word.
        reason: Of the condition Ready.
        since: When that condition changed; empty if that is not known.
        message: Of the condition Ready.
        available: Whether clients can connect.
        advice: What is wrong, and what to do.
        warnings: What there is to be warned of.
        url: Where clients connect to; empty if there is no server yet.
        fingerprint: Of the certificate that the server shows; empty if none is known.
        expires: When that certificate expires; empty if that is not known.
        kopia: Version of the Kopia that serves; empty if that is not known.
        users: Who may connect, each with the Secret that has it.
        schedule: Of the maintenance, as a CronJob has it; empty for none.
        maintenance: `status.maintenance`; empty before a run.
        pods: The server's pods, the newest first.
        events: The last events, the newest first.
        missing: Why a part is not shown, by its name.
    """

    namespace: str
    name: str
    state: State
    reason: str
    since: str
    message: str
    available: bool
    advice: Advice
    warnings: tuple[Warned, ...]
    url: str
    fingerprint: str
    expires: str
    kopia: str
    users: tuple[tuple[str, str], ...]
    schedule: str
    maintenance: Mapping[str, str]
    pods: tuple[Pod, ...]
    events: tuple[Event, ...]
    missing: Mapping[str, str]


def of(facts: Facts) -> Report:
    """Return what is to be said of a server.

    Args:
        facts: What was read.
    """
    obj = facts.server
    health, reached = connection.health(obj), connection.of(obj)
    status = obj.get("status") or {}
    info = status.get("serverInfo") or {}
    maintenance = obj["spec"]["repository"].get("maintenance") or {}
    pods = sorted(facts.pods, key=_created, reverse=True)
    return Report(
        namespace=obj["metadata"]["namespace"],
        name=obj["metadata"]["name"],
        state=advice.state(obj, health),
        reason=plain(health.ready.reason),
        since=health.ready.since,
        message=plain(health.ready.message),
        available=health.available,
        advice=advice.of(obj, health),
        warnings=tuple(
            Warned(one.type_, advice.Advice(*advice.split(one.message))) for one in health.warnings
        ),
        url=reached.url,
        fingerprint=plain(reached.fingerprint),
        expires=info.get("tlsNotAfter") or "",
        kopia=plain(info.get("kopiaVersion") or ""),
        users=tuple(facts.users),
        schedule=plain(maintenance.get("schedule") or ""),
        maintenance=status.get("maintenance") or {},
        pods=tuple(pod(one, serves=one["metadata"]["name"] == info.get("podName")) for one in pods),
        events=tuple(_events(facts.events)),
        missing=dict(facts.missing),
    )


def pod(obj: Mapping[str, Any], *, serves: bool) -> Pod:
    """Return what is to be said of a pod.

    Args:
        obj: The pod.
        serves: Whether the Service routes to it.
    """
    status = obj.get("status") or {}
    containers = status.get("containerStatuses") or []
    total = len((obj.get("spec") or {}).get("containers") or containers)
    ready = sum(1 for one in containers if one.get("ready"))
    word, message = _state(obj, containers)
    return Pod(
        name=obj["metadata"]["name"],
        ready=f"{ready}/{total}",
        status=plain(word),
        restarts=sum(one.get("restartCount", 0) for one in containers),
        created=_created(obj),
        serves=serves,
        message=plain(message),
    )


def _state(obj: Mapping[str, Any], containers: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Return what a pod does, in one word, and why if that is not as it should be.

    The word is the one that kubectl prints (pkg/printers/internalversion/printers.go, printPod).
    """
    status = obj.get("status") or {}
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating", ""
    for one in containers:
        state = one.get("state") or {}
        for found in (state.get("waiting"), state.get("terminated")):
            if found and found.get("reason"):
                return found["reason"], found.get("message") or ""
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return status.get("phase") or "Pending", condition.get("message") or ""
    return status.get("reason") or status.get("phase") or "Unknown", status.get("message") or ""


def _created(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"].get("creationTimestamp") or "")


def _events(found: Sequence[Object]) -> list[Event]:
    events = [
        Event(
            when=_last_seen(one),
            warning=one.get("type") == "Warning",
            reason=plain(one.get("reason") or ""),
            message=plain(one.get("message") or ""),
        )
        for one in found
    ]
    return sorted(events, key=_order, reverse=True)[:EVENTS]


def _order(event: Event) -> tuple[bool, float]:
    when = time_of(event.when)
    return (when is not None, when.timestamp() if when else 0.0)


def _last_seen(event: Mapping[str, Any]) -> str:
    """Return when an event was last seen, by whichever API it was written."""
    series = (event.get("series") or {}).get("lastObservedTime")
    times = (series, event.get("lastTimestamp"), event.get("eventTime"))
    metadata = event.get("metadata") or {}
    return str(next((one for one in times if one), metadata.get("creationTimestamp") or ""))
