"""How long a revision has to come up with a claim that another one has given up for it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from controller.conditions import timestamp
from fakes.objects import NOW
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.rollout import handover
from reconcilers.repositoryserver.rollout.revisions import Revision

if TYPE_CHECKING:
    from controller.resource import Object

OLD, NEW = "0" * names.HASH_LENGTH, "1" * names.HASH_LENGTH


def revision(
    digest: str, *, replicas: int = 1, age: float = 600, **ago: float | str | None
) -> Revision:
    """Build a revision.

    Args:
        digest: Its digest.
        replicas: How many pods it is to have.
        age: Seconds since its creation.
        ago: How long ago it yielded, or gave back; a text stands in the annotation as it is.
    """
    of = {"yielded": names.ANNOTATION_YIELDED, "gave_back": names.ANNOTATION_GAVE_BACK}
    annotations: Object = {
        of[name]: value if isinstance(value, str) else before(value)
        for name, value in ago.items()
        if value is not None
    }
    metadata = {
        "name": f"files-{digest}",
        "labels": {names.LABEL_HASH: digest},
        "creationTimestamp": before(age),
        "annotations": annotations,
    }
    return Revision({"metadata": metadata, "spec": {"replicas": replicas}}, ())


def before(seconds: float) -> str:
    return timestamp(NOW - timedelta(seconds=seconds))


def test_the_one_that_has_yielded_is_found() -> None:
    former = revision(OLD, replicas=0, yielded=10)

    assert handover.yielded([revision(NEW), former], NEW) is former
    assert handover.yielded([revision(OLD, yielded=10)], NEW) is None, "it has its pod again"
    assert handover.yielded([former], OLD) is None, "it is the newest by now"


@pytest.mark.parametrize(
    ("yielded", "age", "left"),
    [
        pytest.param(10, 600, 50, id="its time runs since the other has yielded"),
        pytest.param(60, 600, 0, id="and is over"),
        pytest.param(300, 20, 40, id="one that has become the newest since has its own time"),
        pytest.param(-300, 600, 60, id="a clock that was set back makes nobody wait for longer"),
        pytest.param("soon", 600, -540, id="a time that nobody can read is over"),
    ],
)
def test_the_newest_has_so_long(yielded: float | str, age: float, left: float) -> None:
    former = revision(OLD, replicas=0, yielded=yielded)

    found = handover.seconds_left(former, [revision(NEW, age=age)], NOW)

    assert found == pytest.approx(left)


@pytest.mark.parametrize(
    ("gave_back", "left"),
    [
        pytest.param(None, 0, id="one that has not failed"),
        pytest.param(100, 500, id="ten minutes"),
        pytest.param(700, 0, id="which are over"),
        pytest.param(-900, 600, id="a clock that was set back makes nobody wait for longer"),
    ],
)
def test_it_is_tried_again_after(gave_back: float | None, left: float) -> None:
    newest = revision(NEW, replicas=0, gave_back=gave_back)

    assert handover.seconds_until_next_try(newest, NOW) == left
