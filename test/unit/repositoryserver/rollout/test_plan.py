"""Which pod serves, and what becomes of the others."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from controller.conditions import timestamp
from fakes import objects
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.loaded import WrittenUsers
from reconcilers.repositoryserver.rollout import plan
from reconcilers.repositoryserver.rollout.plan import RolloutState

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from controller.resource import Object

NOW = objects.NOW
DRAIN_SECONDS = 300


def pod(
    digest: str,
    of: Object | None = None,
    *,
    users: str = "v2",
    drains_for: float | None = None,
    node: str = "node",
    age: float = 600,
) -> Object:
    """Build a pod; its uid and name are its digest.

    Args:
        digest: Its digest.
        of: Its status; Ready by default.
        users: Version of the users that it has.
        drains_for: Seconds until its time to drain is over.
        node: Where it runs.
        age: Seconds since its creation.
    """
    found = objects.pod(objects.serving() if of is None else of, name=digest, digest=digest)
    found["metadata"]["uid"] = digest
    found["metadata"]["creationTimestamp"] = timestamp(NOW - timedelta(seconds=age))
    found["spec"]["nodeName"] = node
    found["metadata"]["annotations"] = {names.ANNOTATION_USERS: users}
    if drains_for is not None:
        until = timestamp(NOW + timedelta(seconds=drains_for))
        found["metadata"]["annotations"][names.ANNOTATION_DRAIN_UNTIL] = until
    return found


def named(found: Object, other: str) -> Object:
    """Return a pod of the same revision under another name."""
    result: Object = objects.merged(found, {"metadata": {"name": other, "uid": other}})
    return result


def name(obj: Mapping[str, Any] | None) -> str | None:
    return None if obj is None else str(obj["metadata"]["name"])


V2, NO_USERS = WrittenUsers("v2"), WrittenUsers(names.NO_USERS)
FIRST_START = RolloutState("new", selected=names.NO_HASH, users=V2, kept=frozenset({"new"}))
WITHOUT_USERS = RolloutState("new", selected=names.NO_HASH, users=NO_USERS, kept=frozenset({"new"}))
STEADY = RolloutState("new", selected="new", users=V2, kept=frozenset({"new"}))
CHANGING = RolloutState("new", selected="old", users=V2, kept=frozenset({"old", "new"}))
BACK = CHANGING
UNKNOWN = RolloutState("", selected="old", users=V2, kept=frozenset({"old"}))
NO_SERVICE = RolloutState("new", selected="", users=V2, kept=frozenset({"old", "new"}))
# Those of now have just changed.
CHANGED = WrittenUsers("v2", NOW)


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


AFTER = plan.IN_PLACE_AFTER_SECONDS
ONE_POD = (
    "0/1 nodes are available: 1 node has pod using PersistentVolumeClaim with the same name and "
    "ReadWriteOncePod access mode."
)


def unexplained() -> Object:
    """Return the status of a pod that no node takes, without a cause."""
    return {"conditions": [{"type": "PodScheduled", "status": "False"}]}


@pytest.mark.parametrize(
    ("newest", "blocked"),
    [
        pytest.param(None, False, id="there is no newer pod"),
        pytest.param(
            pod("new", objects.creating(), node="other", age=AFTER),
            True,
            id="it waits for a volume on another node",
        ),
        pytest.param(
            pod("new", objects.creating(), node="other", age=AFTER - 1),
            False,
            id="not long enough yet",
        ),
        pytest.param(
            pod("new", objects.creating(), age=AFTER), False, id="on the same node it is not that"
        ),
        pytest.param(
            pod("new", objects.unscheduled(ONE_POD), age=AFTER),
            True,
            id="no node takes it: the claim is for one pod only",
        ),
        pytest.param(
            pod("new", objects.unscheduled(), age=AFTER),
            False,
            id="no node takes it for another reason: the old pod is not in its way",
        ),
        pytest.param(
            pod("new", unexplained(), age=AFTER),
            False,
            id="no node takes it, and nobody says why",
        ),
        pytest.param(
            pod("old", objects.unscheduled(ONE_POD), age=AFTER),
            False,
            id="it is itself the old one",
        ),
        pytest.param(
            pod("new", objects.image_pull_failed(), node="other", age=AFTER),
            False,
            id="it waits for its image, which the old pod does not hold",
        ),
        pytest.param(
            pod("new", objects.started(), node="other", age=AFTER),
            False,
            id="it has its volume",
        ),
        pytest.param(
            objects.terminating(pod("new", objects.creating(), node="other", age=AFTER)),
            False,
            id="it is being deleted",
        ),
    ],
)
def test_two_pods_are_in_each_others_way(newest: Object | None, blocked: bool) -> None:
    assert plan.in_each_others_way(newest, pod("old"), NOW) is blocked
    assert not plan.in_each_others_way(newest, objects.terminating(pod("old")), NOW)


@pytest.mark.parametrize(
    ("modes", "one"),
    [
        (["ReadWriteOnce"], True),
        (["ReadWriteOncePod"], True),
        (["ReadWriteMany"], False),
        (["ReadOnlyMany"], False),
        (["ReadWriteOnce", "ReadOnlyMany"], False),
        ([], False),
    ],
)
def test_a_claim_for_one_node(modes: Collection[str], one: bool) -> None:
    assert plan.one_node(modes) is one
