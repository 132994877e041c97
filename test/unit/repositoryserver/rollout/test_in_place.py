"""When a pod is replaced in place, since only one node can mount its claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fakes import objects
from fakes.rollouts import NOW, pod
from reconcilers.repositoryserver.rollout import handover, plan

if TYPE_CHECKING:
    from collections.abc import Collection

    from controller.resource import Object


AFTER = plan.IN_PLACE_AFTER_SECONDS
ONE_POD = (
    "0/1 nodes are available: 1 node has pod using PersistentVolumeClaim with the same name and "
    "ReadWriteOncePod access mode."
)

WAITS = pod("new", objects.unscheduled(ONE_POD))


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
    ("newest", "old", "waits"),
    [
        pytest.param(None, pod("old"), False, id="there is no newer pod"),
        pytest.param(WAITS, pod("old"), True, id="the old pod will give the claim up"),
        pytest.param(WAITS, objects.terminating(pod("old")), True, id="it is giving it up"),
        pytest.param(WAITS, pod("old", objects.evicted()), False, id="it has ended"),
        pytest.param(
            WAITS,
            pod("old", objects.unscheduled(ONE_POD), node=""),
            False,
            id="it waits as well: somebody else has the claim",
        ),
        pytest.param(WAITS, WAITS, False, id="there is no old pod"),
        pytest.param(
            pod("new", objects.unscheduled(), age=0),
            pod("old"),
            False,
            id="it waits for something else",
        ),
        pytest.param(pod("new", objects.creating(), age=0), pod("old"), False, id="it has a node"),
    ],
)
def test_a_claim_for_one_pod_is_waited_for_while_another_one_has_it(
    newest: Object | None, old: Object, waits: bool
) -> None:
    found = handover.waits_for_previous(newest, [old], "files")

    assert (found is not None) is waits


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
