"""What claims allow, and which pods use them."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.placed import CLAIM, NODE, claim, pod
from reconcilers.actionset.api import LABEL_UID
from reconcilers.actionset.placement import claims
from reconcilers.actionset.placement.claims import Holder
from reconcilers.errors import InvalidInput

UID = "uid-of-the-action-set"


@pytest.mark.parametrize(
    ("made", "writes", "message"),
    [
        pytest.param(
            claim(volumeMode="Block"),
            False,
            r"claim shop/data-db-0 is a raw block device \(volumeMode Block\)",
            id="a raw block device has no files, not even to read",
        ),
        pytest.param(
            claim(modes=["ReadOnlyMany"]),
            True,
            r"shop/data-db-0 can be mounted for reading only \(ReadOnlyMany\)",
            id="nothing is restored to what nobody can write to",
        ),
    ],
)
def test_a_claim_that_cannot_be_used(made: dict[str, Any], writes: bool, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        claims.check([claims.read(made)], writes=writes)


@pytest.mark.parametrize(
    ("modes", "writes"),
    [
        pytest.param(["ReadOnlyMany"], False, id="one for reading is read"),
        pytest.param(
            ["ReadWriteOnce", "ReadOnlyMany"], True, id="one that can be written to as well"
        ),
        pytest.param(["ReadWriteOncePod"], True, id="one for a single pod that nobody uses"),
    ],
)
def test_a_claim_that_can_be_used(modes: list[str], writes: bool) -> None:
    claims.check([claims.read(claim(modes=modes))], writes=writes)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        pytest.param(
            pod(), [Holder("data-db-0", "db-0", ending=False, node=NODE)], id="a pod that runs"
        ),
        pytest.param(
            pod(status={"phase": "Pending"}),
            [Holder("data-db-0", "db-0", ending=False, node=NODE)],
            id="one that will run",
        ),
        pytest.param(pod(status={"phase": "Succeeded"}), [], id="one that is over uses nothing"),
        pytest.param(pod(status={"phase": "Failed"}), [], id="one that has failed neither"),
        pytest.param(pod(volumes={"data": {"emptyDir": {}}}), [], id="one without the claim"),
        pytest.param(pod(labels={LABEL_UID: UID}), [], id="a pod of the ActionSet's own"),
        pytest.param(
            pod(labels={LABEL_UID: "another"}),
            [Holder("data-db-0", "db-0", ending=False, node=NODE)],
            id="another ActionSet's pod counts",
        ),
        pytest.param(
            pod(volumes={"data": {"ephemeral": {}}, "more": CLAIM}),
            [Holder("data-db-0", "db-0", ending=False, node=NODE)],
            id="a claim among others",
        ),
    ],
)
def test_who_uses_a_claim(user: dict[str, Any], expected: list[Holder]) -> None:
    assert claims.holders([user], {"data-db-0"}, own=UID) == expected


def test_a_pod_that_goes_on_is_named_with_what_to_do() -> None:
    found = [Holder("data-db-0", "db-0", ending=False)]

    with pytest.raises(InvalidInput) as refused:
        claims.check_free("shop", found)

    assert refused.value.message == (
        "claim shop/data-db-0 is in use by pod db-0; scale its workload to 0 first, as a phase "
        "ScaleWorkload before this one does"
    )


def test_pods_that_are_being_deleted_are_waited_for() -> None:
    ending = [Holder("a", "db-1", ending=True), Holder("b", "db-0", ending=True)]

    claims.check_free("shop", ending)

    assert claims.ending([*ending, Holder("a", "db-2", ending=False)]) == ("db-0", "db-1")
    assert claims.ending([]) == ()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param([], None, id="nobody uses it"),
        pytest.param([Holder("c", "db-0", ending=True)], None, id="who does is being deleted"),
        pytest.param(
            [Holder("c", "db-0", ending=False), Holder("c", "db-1", ending=False, node="node-1")],
            "db-1",
            id="of several one that is on a node",
        ),
        pytest.param(
            [Holder("c", "db-0", ending=False)], "db-0", id="one that is on none, if no other is"
        ),
    ],
)
def test_beside_which_pod_a_claim_is_read(found: list[Holder], expected: str | None) -> None:
    holder = claims.beside(claims.read(claim()), found)

    assert (holder.pod if holder is not None else None) == expected


@pytest.mark.parametrize(
    ("modes", "one_node"),
    [
        pytest.param(["ReadWriteOnce"], True, id="once is by node"),
        pytest.param(["ReadWriteOncePod"], True, id="so is one pod"),
        pytest.param(["ReadWriteOnce", "ReadWriteMany"], False, id="one for many nodes as well"),
        pytest.param(["ReadOnlyMany"], False, id="one that many read"),
    ],
)
def test_whether_one_node_can_mount_a_claim(modes: list[str], one_node: bool) -> None:
    assert claims.read(claim(modes=modes)).one_node is one_node
