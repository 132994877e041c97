"""The children of a server as a reconcile sees them, and as its steps leave them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from fakes import objects
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.loaded import WrittenUsers
from reconcilers.repositoryserver.rollout.observed import Observed
from reconcilers.repositoryserver.rollout.plan import RolloutState
from reconcilers.repositoryserver.rollout.revisions import Revision

if TYPE_CHECKING:
    from controller.resource import Object

OLD, NEW = "0" * names.HASH_LENGTH, "1" * names.HASH_LENGTH


def pod(name: str, hash_: str = OLD, **annotations: str) -> Object:
    found: Object = objects.merged(
        objects.pod(objects.serving(), name=name, digest=hash_),
        {"metadata": {"uid": name, "annotations": annotations or None}},
    )
    return found


def revision(hash_: str, *pods: Object, replicas: int = 1) -> Revision:
    metadata = {"name": f"files-{hash_}", "uid": hash_, "labels": {names.LABEL_HASH: hash_}}
    return Revision({"metadata": metadata, "spec": {"replicas": replicas}}, owned=pods)


FIRST, SECOND, LEGACY = pod("first"), pod("second", NEW), pod("legacy")
OBSERVED = Observed(
    revisions=(revision(OLD, FIRST),), legacy_pods=(LEGACY,), kept=frozenset({OLD}), selected=OLD
)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        pytest.param(revision(NEW, SECOND), {OLD, NEW}, id="one that is new gets a pod"),
        pytest.param(revision(OLD, FIRST, replicas=0), set(), id="one was scaled to none"),
        pytest.param(revision(OLD, FIRST), {OLD}, id="one was written again"),
        pytest.param(None, {OLD}, id="nothing was written"),
    ],
)
def test_a_revision_is_as_it_was_written(written: Revision | None, kept: set[str]) -> None:
    found = OBSERVED.with_revision(written)

    assert found.kept == kept
    assert written is None or found.revision(written.hash) == written
    assert OBSERVED.kept == {OLD}, "what was observed first does not change"


@pytest.mark.parametrize("name", ["first", "legacy"])
def test_a_pod_is_as_it_was_written(name: str) -> None:
    written = pod(name, note="written")

    found = OBSERVED.with_pods([written])

    there = {one["metadata"]["name"]: one for one in (*found.pods, *found.legacy_pods)}
    assert there == {"first": FIRST, "legacy": LEGACY, name: written}
    assert OBSERVED.with_pods([]) is OBSERVED


def test_a_pod_that_has_lost_its_label_is_none_of_the_revisions() -> None:
    lost: Object = objects.merged(FIRST, {"metadata": {"labels": {names.LABEL_HASH: None}}})
    observed = evolve(OBSERVED, revisions=(revision(OLD, lost),))

    assert observed.pods == []
    assert observed.with_pods([FIRST]).pods == [FIRST], "it has the label again"


def test_a_pod_is_taken_back_by_a_replica_set_that_stays() -> None:
    stays = evolve(revision(OLD), released=(FIRST,))
    goes: Object = {**stays.replica_set, "metadata": {**stays.replica_set["metadata"]}}
    goes["metadata"]["deletionTimestamp"] = objects.CREATED

    assert evolve(OBSERVED, revisions=(stays,)).with_released().pods == [FIRST]
    gone = evolve(stays, replica_set=goes)
    assert evolve(OBSERVED, revisions=(gone,)).with_released().pods == []


def test_the_pods_beside_one_are_the_others_whoever_made_them() -> None:
    observed = OBSERVED.with_revision(revision(NEW, SECOND))

    assert observed.beside(SECOND) == [FIRST, LEGACY]


def test_the_state_of_a_rollout() -> None:
    changed: dict[str, Any] = {
        "metadata": {"annotations": {names.ANNOTATION_CHANGED: "2026-01-01T00:00:00Z"}}
    }

    state = evolve(OBSERVED, users=changed).rollout_state(NEW, "v2")

    assert state == RolloutState(NEW, OLD, WrittenUsers.of("v2", changed), frozenset({OLD}))


def test_the_pods_that_matter_are_the_active_one_and_those_of_the_update() -> None:
    other = pod("other", "2" * names.HASH_LENGTH)
    # Clients are not led to it before it has the users of now.
    update = pod("update", NEW, **{names.ANNOTATION_USERS: "v1"})
    state = RolloutState(NEW, selected=OLD, users=WrittenUsers("v2"))

    assert state.split([other, FIRST, update]) == ([FIRST, update], [other])
