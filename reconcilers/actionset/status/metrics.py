"""Metrics of ActionSets: what the cache has at each scrape, and phases that this process ran."""

from __future__ import annotations

from collections import Counter as Count
from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from controller.conditions import parse_time
from reconcilers.actionset.api import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

    from controller.resource import Object

#: What an ActionSet without a status counts as.
NEW: Final = "new"
_STATES: Final = (NEW, *(state.value for state in State))
#: A task of seconds and a backup of a day.
_BUCKETS: Final = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)


class ActionSetCollector(Collector):
    """Collects the metrics of ActionSets, for the registry of the other metrics.

    Args:
        action_sets: Returns the ActionSets in the cache.
    """

    def __init__(self, action_sets: Callable[[], list[Object]]) -> None:
        self._action_sets = action_sets

    def describe(self) -> Iterable[Metric]:
        """Return the families without series, by which a second collector of them is noticed."""
        return self._families(())

    def collect(self) -> Iterable[Metric]:
        """Return the families with their series."""
        return self._families(self._action_sets())

    def _families(self, action_sets: Iterable[Object]) -> Iterator[Metric]:
        counts: dict[str, Count[str]] = {}
        last: dict[tuple[str, ...], float] = {}
        for obj in action_sets:
            status = obj.get("status") or {}
            state = status.get("state") or NEW
            counts.setdefault(obj["metadata"]["namespace"], Count())[state] += 1
            if state == State.COMPLETE:
                for series, when in _successes(status):
                    last[series] = max(when, last.get(series, when))
        states = GaugeMetricFamily(
            "actionset_action_sets",
            "The ActionSets by their state.",
            labels=("namespace", "state"),
        )
        for namespace, by_state in counts.items():
            for state in _STATES:
                states.add_metric((namespace, state), by_state[state])
        success = GaugeMetricFamily(
            "actionset_last_success_timestamp_seconds",
            "When an action was last part of an ActionSet that is complete, in seconds since the "
            "epoch, of those that still exist.",
            labels=("blueprint", "action", "namespace", "object"),
        )
        for series, when in last.items():
            success.add_metric(series, when)
        yield from (states, success)


class PhaseMetrics:
    """Counts the phases that have ended.

    Args:
        registry: Where the families are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("function", "result")
        self._total = Counter(
            "actionset_phases",
            "The phases that have ended, by their function and their state.",
            labels,
            registry=registry,
        )
        self._seconds = Histogram(
            "actionset_phase_duration_seconds",
            "How long phases ran until their result was stored.",
            labels,
            buckets=_BUCKETS,
            registry=registry,
        )

    def phase_ended(self, function: str, result: str, seconds: float) -> None:
        """Record the end of a phase.

        Args:
            function: The name of its function.
            result: `complete` or `failed`.
            seconds: How long it ran.
        """
        self._total.labels(function, result).inc()
        self._seconds.labels(function, result).observe(seconds)


def _successes(status: Object) -> Iterator[tuple[tuple[str, ...], float]]:
    ended = (status.get("progress") or {}).get("lastTransitionTime")
    if not ended:
        return
    when = parse_time(ended).timestamp()
    for action in status.get("actions") or ():
        target = action.get("object") or {}
        kind = str(target.get("kind") or target.get("resource") or "").lower()
        named = f"{kind}/{target.get('name', '')}"
        namespace = target.get("namespace") or ""
        yield (action.get("blueprint", ""), action.get("name", ""), namespace, named), when
