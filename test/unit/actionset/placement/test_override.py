"""As whom a pod is asked to run by the overrides of its author."""

from __future__ import annotations

from typing import Any

import pytest

from reconcilers.actionset.placement import override
from reconcilers.actionset.placement.workload import User


def of_container(**context: int) -> dict[str, Any]:
    return {"containers": [{"name": "container", "securityContext": context}]}


@pytest.mark.parametrize(
    ("blueprint", "action", "expected"),
    [
        pytest.param({}, {}, None, id="nobody says it"),
        pytest.param(
            {"securityContext": {"runAsUser": 7, "runAsGroup": 8}}, {}, User(7, 8), id="the pod's"
        ),
        pytest.param(of_container(runAsUser=7), {}, User(7), id="the container's"),
        pytest.param(
            {"securityContext": {"runAsUser": 7}},
            {"securityContext": {"runAsUser": 9}},
            User(9),
            id="the ActionSet counts more than the Blueprint",
        ),
        pytest.param(
            of_container(runAsUser=7),
            {"securityContext": {"runAsUser": 9}},
            User(7),
            id="the container counts more than the pod, whoever says it",
        ),
        pytest.param({"securityContext": {"runAsUser": 0}}, {}, User(0), id="root is said, too"),
        pytest.param(
            {"containers": [{"name": "sidecar", "securityContext": {"runAsUser": 7}}]},
            {},
            None,
            id="another container does not matter",
        ),
    ],
)
def test_as_whom(blueprint: dict[str, Any], action: dict[str, Any], expected: User | None) -> None:
    assert override.user_of(blueprint, action) == expected
