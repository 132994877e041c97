"""Waits for the end of an ActionSet. It needs no more than the right to get it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from reconcilers.actionset import api
from reconcilers.plugin import actionsets
from reconcilers.plugin.exits import BAD_NEWS, NOT_IN_TIME, PluginError

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconcilers.plugin.cluster import Cluster

#: Seconds between two looks.
INTERVAL: Final = 1.0

FAILED: Final = "ActionSet {namespace}/{name} has failed: {message}"
LATE: Final = "ActionSet {namespace}/{name} has not ended within {seconds:g} s: {state}"
NOT_TAKEN: Final = (
    "no controller has taken it up; look whether one runs that watches namespace {namespace}"
)
RUNS: Final = "{name}: {running}"


def wait(cluster: Cluster, name: str, seconds: float, say: Callable[[str], None]) -> None:
    """Wait until an ActionSet has ended.

    Args:
        cluster: The API server.
        name: Of the ActionSet.
        seconds: How long at most.
        say: Called with a sentence whenever something else runs.

    Raises:
        PluginError: It has failed, or has not ended in time.
    """
    until = cluster.clock.monotonic() + seconds
    never, said = threading.Event(), ""
    named = {"namespace": cluster.namespace, "name": name}
    while True:
        found = actionsets.outcome(cluster.get(api.ACTION_SETS, cluster.namespace, name))
        if found.state is api.State.FAILED:
            raise PluginError(FAILED.format(**named, message=found.message), BAD_NEWS)
        if found.ended:
            return
        if found.running not in ("", said):
            said = found.running
            say(RUNS.format(name=name, running=said))
        left = until - cluster.clock.monotonic()
        if left <= 0:
            not_taken = NOT_TAKEN.format(namespace=cluster.namespace)
            state = not_taken if found.state is None else found.running or found.state.value
            raise PluginError(LATE.format(**named, seconds=seconds, state=state), NOT_IN_TIME)
        cluster.clock.wait_event(never, min(INTERVAL, left))
