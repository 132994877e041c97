"""Writes the status, once and only if it has changed, and records the events of its transitions."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from controller.conditions import TRUE, get_condition, is_true
from controller.errors import NotFound
from controller.events import NORMAL, WARNING
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.status import conditions as status
from reconcilers.repositoryserver.status import reasons
from reconcilers.repositoryserver.status.stages import Stages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.clock import Clock, Deadline
    from controller.rest.client import Client
    from reconcilers.repositoryserver.caches import Cache
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.repositoryserver.perobject import States

EVENT_NOT_AVAILABLE: Final = "NotAvailable"

_log = structlog.get_logger()


class Recorder(Protocol):
    """Records events, as `controller.events.EventRecorder`."""

    def event(
        self, obj: Mapping[str, Any], type_: str, reason: str, note: str, action: str
    ) -> None:
        """Record one event; never blocks."""
        ...


class StatusWriter:
    """Writes the status of RepositoryServers, and records events of faults and of their end.

    Args:
        client: Writes.
        servers: The latest known status.
        recorder: Takes events.
        states: Holds when the status of each resource was written.
        clock: The time of transitions.
    """

    def __init__(
        self,
        *,
        client: Client,
        servers: Cache,
        recorder: Recorder,
        states: States,
        clock: Clock,
    ) -> None:
        self._client = client
        self._servers = servers
        self._recorder = recorder
        self._stages = Stages(states=states, clock=clock)
        self._clock = clock

    def record_event(self, current: ReconcileContext, reason: str, note: str, action: str) -> None:
        """Record something that was done, in a Normal event and in the log.

        Args:
            current: The reconcile.
            reason: CamelCase word.
            note: What was done.
            action: What the controller was doing, for the event.
        """
        _log.info(note, reason=reason)
        self._recorder.event(current.obj, NORMAL, reason, note, action)

    def report(
        self, current: ReconcileContext, outcome: status.Outcome, deadline: Deadline
    ) -> None:
        """Write the status, unless it is a stage that need not be reported yet.

        Args:
            current: The reconcile, which is followed by one when it has to be reported.
            outcome: What was found.
            deadline: Until when.

        Raises:
            Conflict: As for `write`.
            ClientError: As for `write`.
        """
        left = self._stages.seconds_left(current, outcome)
        if left > 0:
            current.look_again(left)
            return
        self.write(current.obj, outcome, deadline)
        self._stages.reported(current)

    def write(self, obj: Mapping[str, Any], outcome: status.Outcome, deadline: Deadline) -> None:
        """Write the status that reports an outcome, if it differs from the present one.

        Args:
            obj: The resource that was looked at.
            outcome: What was found.
            deadline: Until when.

        Raises:
            Conflict: The resource has changed since the version in the cache.
            ClientError: The API server refused or could not be reached.
        """
        with contextlib.suppress(NotFound):
            # A resource that has been deleted meanwhile needs no status.
            self._write(obj, outcome, deadline)

    def _write(self, obj: Mapping[str, Any], outcome: status.Outcome, deadline: Deadline) -> None:
        metadata = obj["metadata"]
        latest = self._servers.get(metadata["namespace"], metadata["name"])
        if latest is None or latest["metadata"]["uid"] != metadata["uid"]:
            return
        before = latest.get("status") or {}
        after = status.desired_status(
            before, outcome, generation=metadata.get("generation", 0), now=self._clock.now()
        )
        if after != before:
            self._patch(latest, _with_removals(before, after), deadline)
            self._record_transition(obj, before, after)
            self._record_warnings(obj, before, after)

    def _patch(
        self, obj: Mapping[str, Any], change: Mapping[str, Any], deadline: Deadline
    ) -> dict[str, Any]:
        metadata = obj["metadata"]
        return self._client.merge_patch(
            api.REPOSITORY_SERVERS,
            metadata["namespace"],
            metadata["name"],
            # The version turns a decision on an outdated resource into a conflict.
            {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": change},
            subresource="status",
            deadline=deadline,
        )

    def _record_transition(
        self, obj: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> None:
        """Record an event of a fault, of its end, and of a server that clients cannot reach.

        A change that takes its course is none: pods and users have events of their own.
        """
        old = get_condition(before.get("conditions") or [], status.READY)
        new = get_condition(after["conditions"], status.READY)
        was_available = is_true(before.get("conditions") or [], status.AVAILABLE)
        if new is None or (old is not None and _content(old) == _content(new)):
            return
        reason, message = new["reason"], new["message"]
        if new["status"] == TRUE:
            if not was_available or (old is not None and reasons.is_fault(old["reason"])):
                _log.info("ready")
                self._recorder.event(obj, NORMAL, reason, message, "Reconcile")
        elif reasons.is_fault(reason):
            _log.warning("failed", reason=reason, cause=message)
            self._recorder.event(obj, WARNING, reason, message, "Reconcile")
        elif was_available and not is_true(after["conditions"], status.AVAILABLE):
            _log.warning("no longer available", reason=reason, cause=message)
            self._recorder.event(obj, WARNING, EVENT_NOT_AVAILABLE, message, "Reconcile")

    def _record_warnings(
        self, obj: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> None:
        """Record an event for each warning that was not there before, or has another reason."""
        for type_ in status.WARNINGS:
            warning = get_condition(after["conditions"], type_)
            known = get_condition(before.get("conditions") or [], type_)
            if warning is None or warning["status"] != TRUE:
                continue
            if known is not None and _kind(known) == _kind(warning):
                continue
            reason, message = warning["reason"], warning["message"]
            _log.warning("warned", reason=reason, cause=message)
            self._recorder.event(obj, WARNING, reason, message, "Reconcile")


def _with_removals(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a merge patch makes of one object another one by: null removes a field."""
    changed = {
        name: _with_removals(before[name], value)
        if isinstance(value, dict) and isinstance(before.get(name), dict)
        else value
        for name, value in after.items()
    }
    return {**dict.fromkeys(before.keys() - after.keys()), **changed}


def _kind(condition: Mapping[str, Any]) -> tuple[str, str]:
    """Return what tells a warning from another one: words may change."""
    return condition["status"], condition["reason"]


def _content(condition: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return what a change of the condition is a change of."""
    return condition["status"], condition["reason"], condition["message"]
