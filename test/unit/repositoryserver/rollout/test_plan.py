"""Which pod is active, and what the Service selects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attrs import evolve

from fakes import objects
from fakes.rollouts import (
    BACK,
    CHANGED,
    CHANGING,
    FIRST_START,
    NOW,
    STEADY,
    UNKNOWN,
    V2,
    WITHOUT_USERS,
    name,
    pod,
)
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.loaded import WrittenUsers
from reconcilers.repositoryserver.rollout.plan import RolloutState

if TYPE_CHECKING:
    from controller.resource import Object


@pytest.mark.parametrize(
    ("state", "pods", "serves"),
    [
        pytest.param(FIRST_START, [], None, id="there is no pod"),
        pytest.param(FIRST_START, [pod("new")], "new", id="a pod that has the users"),
        pytest.param(
            FIRST_START,
            [pod("new", objects.running())],
            "new",
            id="even before it is Ready: the endpoint follows the kubelet without our help",
        ),
        pytest.param(
            FIRST_START, [pod("new", users="none")], None, id="a pod that has no users yet"
        ),
        pytest.param(
            FIRST_START,
            [pod("new", users="v2 awaited since 2026-01-01T00:00:00Z")],
            None,
            id="nor has one that is being told of them",
        ),
        pytest.param(
            RolloutState("new", selected=names.NO_HASH, users=CHANGED),
            [pod("new", users="", age=60)],
            None,
            id="nor has one that was made before they changed, as far as anybody knows",
        ),
        pytest.param(
            FIRST_START, [pod("new", users="")], "new", id="one that nobody had to tell has them"
        ),
        pytest.param(
            FIRST_START, [pod("old", objects.started())], None, id="one that is not wanted any more"
        ),
        pytest.param(
            RolloutState("new", selected=names.NO_HASH, users=WrittenUsers("")),
            [pod("new", users="")],
            None,
            id="nobody knows who may connect",
        ),
        pytest.param(
            WITHOUT_USERS,
            [pod("new", users="none")],
            None,
            id="nobody may connect: the access Secret is not right",
        ),
        pytest.param(STEADY, [pod("new")], "new", id="a server in its steady state"),
        pytest.param(
            STEADY, [pod("new", objects.killed())], "new", id="its process is killed: it comes back"
        ),
        pytest.param(
            STEADY,
            [pod("new", users="v1")],
            "new",
            id="its users change: those that it has go on",
        ),
        pytest.param(
            CHANGING,
            [pod("old"), pod("new", objects.started())],
            "old",
            id="the newer is not Ready",
        ),
        pytest.param(CHANGING, [pod("old"), pod("new")], "new", id="the newer is Ready"),
        pytest.param(
            CHANGING,
            [pod("old", users="v1"), pod("new", users="v1")],
            "old",
            id="the newer lacks the users of now",
        ),
        pytest.param(
            CHANGING,
            [pod("old", objects.killed()), pod("new", objects.running(), users="v1")],
            "old",
            id="neither works, the newer lacks the users: the one that has some may come back",
        ),
        pytest.param(
            CHANGING,
            [pod("old"), pod("between", age=300), pod("new", objects.started(), age=0)],
            "old",
            id="one between them is Ready: nobody is moved to what is not wanted any more",
        ),
        pytest.param(
            CHANGING,
            [pod("old", objects.killed()), pod("between", age=300), pod("new", objects.started())],
            "between",
            id="unless nothing else works",
        ),
        pytest.param(
            BACK,
            [pod("old"), pod("new", users="v1", drains_for=100)],
            "old",
            id="a change is taken back: the previous pod serves again when it has the users of now",
        ),
        pytest.param(
            BACK,
            [pod("old"), pod("new", drains_for=100)],
            "new",
            id="then it does",
        ),
        pytest.param(
            CHANGING,
            [pod("old", objects.killed()), pod("new", objects.started())],
            "old",
            id="neither works: the one that had sessions may come back",
        ),
        pytest.param(
            STEADY,
            [pod("new", objects.killed()), pod("old", drains_for=200)],
            "old",
            id="the newest is broken while an older one drains: it is let in again",
        ),
        pytest.param(
            STEADY,
            [pod("new", objects.killed()), pod("old", users="v1", drains_for=200)],
            "old",
            id="with the users of before, if need be",
        ),
        pytest.param(
            STEADY,
            [pod("new", objects.killed()), pod("old", objects.killed(), drains_for=200)],
            "new",
            id="but not if it does not work either",
        ),
        pytest.param(
            STEADY,
            [pod("older", drains_for=100, age=900), pod("old", drains_for=200)],
            "old",
            id="of several that drain the youngest",
        ),
        pytest.param(
            STEADY,
            [pod("older", drains_for=100, age=900), pod("old", users="v1", drains_for=200)],
            "older",
            id="that has the users of now",
        ),
        pytest.param(UNKNOWN, [pod("old")], "old", id="the inputs are spoilt: what served serves"),
        pytest.param(
            STEADY,
            [objects.terminating(pod("new"))],
            None,
            id="a pod that is being deleted is over",
        ),
        pytest.param(STEADY, [pod("new", objects.evicted())], None, id="so is an evicted one"),
    ],
)
def test_the_service_routes_to(state: RolloutState, pods: list[Object], serves: str | None) -> None:
    assert name(state.active(pods)) == serves
    # Whatever order the cache has them in.
    assert name(state.active(pods[::-1])) == serves


@pytest.mark.parametrize(
    ("state", "serving", "digest"),
    [
        pytest.param(CHANGING, pod("new"), "new", id="the pod that serves"),
        pytest.param(
            FIRST_START, None, "new", id="before there is a pod the one that starts with the users"
        ),
        pytest.param(
            evolve(FIRST_START, users=CHANGED),
            None,
            names.NO_HASH,
            id="unless it may start with users of before",
        ),
        pytest.param(WITHOUT_USERS, None, names.NO_HASH, id="or with none"),
        pytest.param(
            evolve(FIRST_START, kept=frozenset()),
            None,
            names.NO_HASH,
            id="nothing before the first revision",
        ),
        pytest.param(
            STEADY, None, "new", id="who deletes a pod gets another one with the same digest"
        ),
        pytest.param(CHANGING, None, "old", id="that of a previous revision comes back as well"),
        pytest.param(UNKNOWN, None, "old", id="also while nobody knows what should be"),
        pytest.param(
            evolve(CHANGING, kept=frozenset({"new"})),
            None,
            "new",
            id="but not one whose ReplicaSet is gone",
        ),
        pytest.param(
            RolloutState("", selected="", users=V2),
            None,
            names.NO_HASH,
            id="nothing where nobody ever knew what should be",
        ),
    ],
)
def test_the_service_selects(state: RolloutState, serving: Object | None, digest: str) -> None:
    assert state.selects(serving, NOW) == digest
