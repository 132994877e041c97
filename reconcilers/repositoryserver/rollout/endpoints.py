"""Whether the Service routes to a pod, as the EndpointSlices have it: pure functions.

The endpoints follow a pod that has become Ready a moment later, and until then a client is refused.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from controller.conditions import conditions_of, get_condition, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

LABEL_SERVICE: Final = "kubernetes.io/service-name"

# How long a pod that has become Ready may lack its endpoint. Then it counts without: clusters may
# route by other means, and nobody should wait for ever for what is not needed.
LAG_SECONDS: Final = 5.0


def service_of(endpoint_slice: Mapping[str, Any]) -> list[str]:
    """Return the name of the Service that a slice is of, for an index."""
    name = (endpoint_slice["metadata"].get("labels") or {}).get(LABEL_SERVICE)
    return [name] if name else []


def is_ready(slices: Iterable[Mapping[str, Any]], pod: Mapping[str, Any]) -> bool:
    """Return whether one of a Service's slices has a ready endpoint for a pod."""
    uid = pod["metadata"]["uid"]
    return any(
        (endpoint.get("targetRef") or {}).get("uid") == uid and may_be_ready(endpoint)
        for one in slices
        for endpoint in one.get("endpoints") or ()
    )


def may_be_ready(endpoint: Mapping[str, Any]) -> bool:
    """Return whether an endpoint is ready, as far as its slice says.

    A slice that does not say so means that nobody knows, which is to be taken for yes.
    """
    return (endpoint.get("conditions") or {}).get("ready") is not False


def lag(pod: Mapping[str, Any], now: datetime) -> float:
    """Return the seconds for which a Ready pod may still lack its endpoint; 0 if it should not."""
    ready = get_condition(conditions_of(pod), "Ready")
    if ready is None or not ready.get("lastTransitionTime"):
        return 0.0
    since = now - parse_time(ready["lastTransitionTime"])
    # A clock that was set back makes nobody wait for longer.
    return min(max((timedelta(seconds=LAG_SECONDS) - since).total_seconds(), 0.0), LAG_SECONDS)
