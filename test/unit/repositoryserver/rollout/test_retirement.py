"""What becomes of the pods that are neither active nor of the update revision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import objects
from fakes.rollouts import (
    CHANGING,
    DRAIN_SECONDS,
    NO_SERVICE,
    NOW,
    STEADY,
    UNKNOWN,
    V2,
    name,
    named,
    pod,
)
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.rollout import plan
from reconcilers.repositoryserver.rollout.plan import RolloutState

if TYPE_CHECKING:
    from controller.resource import Object


@pytest.mark.parametrize(
    ("state", "pods", "serving", "drain", "delete", "wait"),
    [
        pytest.param(STEADY, [pod("new")], "new", [], [], None, id="nothing to retire"),
        pytest.param(
            CHANGING,
            [pod("old"), pod("new")],
            "new",
            ["old"],
            [],
            DRAIN_SECONDS,
            id="the Service leaves a pod: its sessions get their time",
        ),
        pytest.param(
            CHANGING,
            [pod("old", drains_for=-900), pod("new")],
            "new",
            ["old"],
            [],
            DRAIN_SECONDS,
            id="it gets all of it even if it has drained before",
        ),
        pytest.param(
            STEADY,
            [pod("old", drains_for=120), pod("new")],
            "new",
            [],
            [],
            120,
            id="its time runs",
        ),
        pytest.param(
            STEADY,
            [pod("old", drains_for=86400), pod("new")],
            "new",
            ["old"],
            [],
            DRAIN_SECONDS,
            id="it has too long: a clock was set back, or the resource allows less by now",
        ),
        pytest.param(
            NO_SERVICE,
            [pod("old"), pod("older", drains_for=120), pod("broken", objects.killed()), pod("new")],
            "new",
            ["old"],
            [("broken", plan.WHY_SUPERSEDED)],
            120,
            id="somebody has deleted the Service, which may have selected any that works",
        ),
        pytest.param(
            STEADY,
            [pod("old", drains_for=0), pod("new")],
            "new",
            [],
            [("old", plan.WHY_DRAINED)],
            None,
            id="its time is over",
        ),
        pytest.param(
            STEADY,
            [pod("older", drains_for=10), pod("old", drains_for=200), pod("new")],
            "new",
            [],
            [],
            10,
            id="of several the next one counts",
        ),
        pytest.param(
            CHANGING,
            [pod("old"), pod("between", objects.started()), pod("new", objects.running())],
            "old",
            [],
            [("between", plan.WHY_SUPERSEDED)],
            None,
            id="a pod that never served and is no longer wanted goes at once",
        ),
        pytest.param(
            CHANGING,
            [pod("old", objects.killed()), pod("new", objects.running())],
            "old",
            [],
            [],
            None,
            id="a broken pod stays as long as its successor is not up",
        ),
        pytest.param(
            CHANGING,
            [pod("old"), named(pod("old", age=0), "old-2"), pod("new", objects.running())],
            "old",
            [],
            [],
            None,
            id="so does another one of the same revision: its ReplicaSet has one too many",
        ),
        pytest.param(
            STEADY,
            [pod("new"), named(pod("new", objects.evicted()), "new-2")],
            "new",
            [],
            [("new-2", plan.WHY_ENDED)],
            None,
            id="one that has ended, once another one is there",
        ),
        pytest.param(
            CHANGING,
            [pod("old", objects.evicted()), pod("new")],
            "new",
            [],
            [("old", plan.WHY_ENDED)],
            None,
            id="a pod that has ended has no sessions",
        ),
        pytest.param(
            CHANGING,
            [objects.terminating(pod("old")), pod("new")],
            "new",
            [],
            [],
            None,
            id="a pod that is being deleted needs no second request",
        ),
        pytest.param(
            UNKNOWN,
            [pod("old"), pod("other")],
            "old",
            [],
            [],
            None,
            id="while nobody knows what should be nothing is called superfluous",
        ),
    ],
)
def test_what_becomes_of_the_others(  # noqa: PLR0917 - the columns of the table
    state: RolloutState,
    pods: list[Object],
    serving: str,
    drain: list[str],
    delete: list[tuple[str, str]],
    wait: float | None,
) -> None:
    (chosen,) = [one for one in pods if name(one) == serving]

    found = plan.retire(pods, (), state, chosen, drain_seconds=DRAIN_SECONDS, now=NOW)

    assert [name(one) for one in found.drain] == drain
    assert [(name(one), why) for one, why in found.delete] == delete
    assert found.wait == wait


@pytest.mark.parametrize(
    ("state", "drains_for"),
    [
        pytest.param(CHANGING, None, id="when the Service leaves it"),
        pytest.param(STEADY, 100.0, id="when its time is taken out of the resource"),
    ],
)
def test_without_a_time_to_drain_a_previous_pod_goes_at_once(
    state: RolloutState, drains_for: float | None
) -> None:
    pods = [pod("old", drains_for=drains_for), pod("new")]

    found = plan.retire(pods, (), state, pods[1], drain_seconds=0, now=NOW)

    assert found.drain == ()
    assert [(name(one), why) for one, why in found.delete] == [("old", plan.WHY_SUPERSEDED)]


@pytest.mark.parametrize("text", ["soon", "2026-01-01T00:00:00", ""])
def test_a_time_to_drain_that_nobody_can_read_is_over(text: str) -> None:
    old = pod("old")
    old["metadata"]["annotations"] = {names.ANNOTATION_DRAIN_UNTIL: text}

    found = plan.retire([old], (), STEADY, None, drain_seconds=DRAIN_SECONDS, now=NOW)

    assert [(name(one), why) for one, why in found.delete] == [("old", plan.WHY_DRAINED)]


def legacy(drains_for: float | None = None) -> Object:
    found = pod("repo-server-pod-x7k2p", drains_for=drains_for)
    del found["metadata"]["labels"]
    return found


DIGESTS = ("a", "b", "c")
STATES = [
    objects.creating(),
    objects.started(),
    objects.serving(),
    objects.killed(),
    objects.evicted(),
]


@st.composite
def places(draw: st.DrawFn) -> tuple[RolloutState, list[Object]]:
    """Draw where a server stands, with pods in any state."""
    pods = [
        pod(
            digest,
            draw(st.sampled_from(STATES)),
            users=draw(st.sampled_from(["v1", "v2"])),
            drains_for=draw(st.sampled_from([None, -1, 100])),
            age=draw(st.integers(0, 3)),
        )
        for digest in DIGESTS
    ]
    update = draw(st.sampled_from(["", *DIGESTS]))
    selected = draw(st.sampled_from(["", names.NO_HASH, *DIGESTS]))
    return RolloutState(update, selected, V2), [
        draw(st.sampled_from([one, objects.terminating(one)])) for one in pods
    ]


@given(places())
def test_no_pod_of_use_is_retired(found: tuple[RolloutState, list[Object]]) -> None:
    """Neither what serves or is to serve, nor what served as long as nothing is in its state."""
    state, pods = found
    serving = state.active(pods)

    retired = plan.retire(pods, (), state, serving, drain_seconds=DRAIN_SECONDS, now=NOW)

    gone = [one for one, why in retired.delete if why != plan.WHY_ENDED]
    for one in [*retired.drain, *gone]:
        assert one is not serving
        assert names.hash_of(one) != state.update
        assert serving is not None or name(one) != state.selected


@pytest.mark.parametrize(
    ("state", "of", "drain", "delete"),
    [
        pytest.param(STEADY, legacy(), 1, 0, id="its sessions get their time too"),
        pytest.param(STEADY, legacy(drains_for=100), 0, 0, id="that runs"),
        pytest.param(STEADY, legacy(drains_for=-1), 0, 1, id="and is over"),
        pytest.param(NO_SERVICE, legacy(drains_for=100), 0, 0, id="whoever deletes the Service"),
    ],
)
def test_a_pod_of_the_removed_controller(
    state: RolloutState, of: Object, drain: int, delete: int
) -> None:
    new = pod("new")

    found = plan.retire([new], [of], state, new, drain_seconds=DRAIN_SECONDS, now=NOW)

    assert (len(found.drain), len(found.delete)) == (drain, delete)
