"""Whether the Service routes to a pod."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from controller.conditions import timestamp
from fakes import objects
from reconcilers.repositoryserver.rollout import endpoints

if TYPE_CHECKING:
    from controller.resource import Object

POD = objects.pod(objects.serving())
UID = POD["metadata"]["uid"]


def of(*uids: str, ready: bool | None = True) -> Object:
    """Build a slice with endpoints for pods."""
    conditions = {} if ready is None else {"ready": ready}
    found = [{"targetRef": {"kind": "Pod", "uid": uid}, "conditions": conditions} for uid in uids]
    return {"metadata": {"labels": {"kubernetes.io/service-name": "s"}}, "endpoints": found}


@pytest.mark.parametrize(
    ("slices", "routed"),
    [
        pytest.param([], False, id="there is no slice yet"),
        pytest.param([of()], False, id="it is empty"),
        pytest.param([{**of(), "endpoints": None}], False, id="it has no list"),
        pytest.param([of("another")], False, id="it names another pod"),
        pytest.param([of(UID, ready=False)], False, id="the pod is not ready there"),
        pytest.param([of("another", UID)], True, id="it names the pod"),
        pytest.param([of(UID, ready=None)], True, id="without a word on its readiness"),
        pytest.param(
            [{**of(), "endpoints": [{"targetRef": {"uid": UID}}]}], True, id="without conditions"
        ),
        pytest.param([of("another"), of(UID)], True, id="in another slice of the Service"),
        pytest.param([{**of(), "endpoints": [{"addresses": []}]}], False, id="of no pod at all"),
    ],
)
def test_the_service_routes_to_the_pod(slices: list[Object], routed: bool) -> None:
    assert endpoints.is_ready(slices, POD) is routed


def since(seconds: float | None) -> Object:
    """Return the status of a pod that has been Ready for so many seconds; None if not known."""
    condition = {"type": "Ready", "status": "True"}
    if seconds is not None:
        condition["lastTransitionTime"] = timestamp(objects.NOW - timedelta(seconds=seconds))
    return {"conditions": [condition]}


@pytest.mark.parametrize(
    ("status", "lag"),
    [
        pytest.param(since(0), endpoints.LAG_SECONDS, id="it has just become Ready"),
        pytest.param(since(2), endpoints.LAG_SECONDS - 2, id="the time runs"),
        pytest.param(since(endpoints.LAG_SECONDS), 0, id="it is over"),
        pytest.param(since(3600), 0, id="long ago"),
        pytest.param(
            since(-3600), endpoints.LAG_SECONDS, id="the clock was set back: no longer for it"
        ),
        pytest.param(since(None), 0, id="nobody knows since when"),
        pytest.param({"conditions": []}, 0, id="it is not known to be Ready"),
    ],
)
def test_an_endpoint_may_lag_behind_its_pod(status: Object, lag: float) -> None:
    assert endpoints.lag(objects.pod(status), objects.NOW) == lag


def test_a_slice_is_found_by_its_service() -> None:
    assert endpoints.service_of(of()) == ["s"]
    assert endpoints.service_of({"metadata": {}}) == []
