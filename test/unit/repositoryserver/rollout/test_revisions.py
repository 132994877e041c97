"""What the ReplicaSet of a revision says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fakes import objects
from fakes.rollouts import pod
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.rollout.revisions import Revision

if TYPE_CHECKING:
    from controller.resource import Object

HASH = "0" * names.HASH_LENGTH


def failure(status: str = "True") -> Object:
    return {"type": "ReplicaFailure", "status": status, "reason": "FailedCreate", "message": "no"}


def revision(conditions: list[Object], *pods: Object, replicas: int = 1) -> Revision:
    """Build a revision whose ReplicaSet has these conditions."""
    metadata = {"name": f"files-{HASH}", "uid": HASH}
    spec, status = {"replicas": replicas}, {"conditions": conditions}
    return Revision({"metadata": metadata, "spec": spec, "status": status}, owned=pods)


@pytest.mark.parametrize(
    ("found", "refused"),
    [
        pytest.param(revision([failure()]), True, id="it has no pod"),
        pytest.param(
            revision([failure()], pod(HASH)), False, id="it has one: the condition follows it"
        ),
        pytest.param(
            revision([failure()], pod(HASH, objects.evicted())), True, id="the one it had has ended"
        ),
        pytest.param(
            revision([failure()], objects.terminating(pod(HASH))), True, id="it is being deleted"
        ),
        pytest.param(revision([failure("False")]), False, id="the condition is over"),
        pytest.param(revision([]), False, id="there is no condition"),
        pytest.param(revision([failure()], replicas=0), False, id="it is to have no pod"),
    ],
)
def test_its_pod_is_refused(found: Revision, refused: bool) -> None:
    assert (found.refusal() is not None) is refused
