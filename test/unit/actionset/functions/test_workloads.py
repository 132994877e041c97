"""What a workload waits for, by its pods."""

from typing import Any

import pytest

from fakes.workloads import pod, replica_set
from reconcilers.actionset.functions import workloads
from reconcilers.actionset.functions.workloads import DEPLOYMENT, STATEFUL_SET

Object = dict[str, Any]


@pytest.mark.parametrize(
    ("kind", "pods", "left"),
    [
        pytest.param(STATEFUL_SET, [], [], id="none"),
        pytest.param(STATEFUL_SET, [pod("b"), pod("a")], ["a", "b"], id="those that run"),
        pytest.param(
            STATEFUL_SET, [pod("a", deleted=True)], ["a"], id="one that ends still has its volume"
        ),
        pytest.param(
            STATEFUL_SET,
            [pod("a", phase="Succeeded", deleted=True)],
            ["a"],
            id="one that has ended and is not gone may have it too",
        ),
        pytest.param(
            STATEFUL_SET,
            [pod("a", phase="Failed")],
            ["a"],
            id="its controller deletes one that has failed",
        ),
        pytest.param(
            DEPLOYMENT,
            [pod("a", phase="Failed")],
            [],
            id="a Deployment's stays when it was evicted, and holds nothing",
        ),
        pytest.param(
            DEPLOYMENT,
            [pod("a", phase="Failed", deleted=True)],
            ["a"],
            id="unless it is just being deleted",
        ),
        pytest.param(DEPLOYMENT, [pod("a", phase="Pending")], ["a"], id="one that starts"),
    ],
)
def test_without_replicas_its_pods_must_be_gone(
    kind: str, pods: list[Object], left: list[str]
) -> None:
    assert workloads.still_there(pods, kind) == left


READY = [pod("a"), pod("b")]


@pytest.mark.parametrize(
    ("pods", "wanted", "missing"),
    [
        pytest.param(READY, 2, "", id="as many as are wanted, all ready"),
        pytest.param([], 2, "0 of 2 pods to be ready", id="none yet"),
        pytest.param(
            [pod("a"), pod("b", ready=False)], 2, "1 of 2 pods to be ready", id="one is not ready"
        ),
        pytest.param(
            [pod("a"), pod("b", deleted=True)],
            2,
            "1 of 2 pods to be ready",
            id="one that is ready and will be gone",
        ),
        pytest.param(
            [*READY, pod("c")], 2, "its 3 pods to become 2", id="one too many, on the way down"
        ),
        pytest.param(
            [*READY, pod("c", deleted=True)], 2, "its 3 pods to become 2", id="one that ends"
        ),
        pytest.param([*READY, pod("c", phase="Failed")], 2, "", id="one that was evicted"),
        pytest.param([], 0, "", id="none are wanted"),
        pytest.param(READY, 0, "pods to be gone: a, b", id="none are wanted, some left"),
        pytest.param(
            [pod(f"db-{n}") for n in range(5)],
            0,
            "pods to be gone: db-0, db-1, db-2 and 2 more",
            id="not all of many are named",
        ),
    ],
)
def test_what_is_missing_is_said(pods: list[Object], wanted: int, missing: str) -> None:
    assert workloads.missing(pods, wanted, DEPLOYMENT) == missing


@pytest.mark.parametrize(
    ("obj", "owned"),
    [
        pytest.param(pod("a", owner="x"), True, id="its controller is among them"),
        pytest.param(pod("a", owner="y"), False, id="it is another one"),
        pytest.param(pod("a", owner="x", controller=False), False, id="an owner, no controller"),
        pytest.param({"metadata": {"name": "a"}}, False, id="nobody's"),
        pytest.param(replica_set("r", owner="x"), True, id="a ReplicaSet"),
    ],
)
def test_whose_a_pod_is_is_said_by_its_controller(obj: Object, *, owned: bool) -> None:
    assert bool(workloads.owned_by([obj], {"x"})) is owned


@pytest.mark.parametrize(
    ("scale", "replicas"),
    [
        pytest.param({"spec": {"replicas": 3}}, 3, id="some"),
        pytest.param({"spec": {}}, 0, id="a 0 is left out"),
        pytest.param({}, 0, id="and the rest with it"),
    ],
)
def test_the_replicas_of_a_scale(scale: Object, replicas: int) -> None:
    assert workloads.replicas_of(scale) == replicas
