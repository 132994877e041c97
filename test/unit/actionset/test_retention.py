"""When a finished ActionSet may go: never before the artifacts that only it knows."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from controller.conditions import timestamp
from fakes import objects
from fakes.actionsets import NAME, NAMESPACE, ActionSetWorld, action, action_set
from reconcilers.actionset.api import ACTION_SETS
from reconcilers.actionset.retention import digest

if TYPE_CHECKING:
    from controller.resource import Object

ARTIFACTS = {"dump": {"keyValue": {"path": "p"}}}
OTHERS = {"dump": {"keyValue": {"path": "q"}}}
#: When everything has ended; a day before the time of the test.
ENDED = timestamp(objects.NOW - timedelta(days=1))


def finished(
    name: str,
    *,
    action_name: str = "backup",
    state: str = "complete",
    out: Any = None,
    given: Any = None,
    namespace: str = NAMESPACE,
    **annotations: str,
) -> Object:
    """Return an ActionSet that has ended."""
    spec = action(action_name, **({} if given is None else {"artifacts": given}))
    obj = action_set(spec, name=name, uid=f"uid-of-{name}", **annotations)
    obj["metadata"]["namespace"] = namespace
    status = {**action(action_name), "phases": []}
    if out is not None:
        status["artifacts"] = out
    obj["status"] = {"state": state, "actions": [status], "progress": {"lastTransitionTime": ENDED}}
    return obj


def world_with(*others: Object, subject: Object) -> ActionSetWorld:
    world = ActionSetWorld(subject)
    for one in others:
        world.api.put(ACTION_SETS, one)
    return world


def deleting(**changes: Any) -> Object:
    """Return the ActionSet that kanctl makes to delete the backup."""
    return finished("delete", **{"action_name": "delete", "given": ARTIFACTS, **changes})


HOUR = {"ttl": "1h"}


@pytest.mark.parametrize(
    ("subject", "others", "goes"),
    [
        pytest.param(finished(NAME), (), False, id="without a limit it stays"),
        pytest.param(finished(NAME, **HOUR), (), True, id="a task that has put out nothing"),
        pytest.param(finished(NAME, ttl="2d"), (), False, id="its time is not over"),
        pytest.param(finished(NAME, state="failed", **HOUR), (), True, id="one that has failed"),
        pytest.param(
            finished(NAME, out=ARTIFACTS, **HOUR),
            (),
            False,
            id="a backup that nobody has deleted: its artifacts are known nowhere else",
        ),
        pytest.param(
            finished(NAME, out=ARTIFACTS, **HOUR),
            (deleting(),),
            True,
            id="a backup that was deleted",
        ),
        pytest.param(
            finished(NAME, out=ARTIFACTS, **HOUR),
            (deleting(action_name="DELETE"),),
            True,
            id="by an action in capitals",
        ),
        pytest.param(
            finished(NAME, out=ARTIFACTS, **HOUR),
            (deleting(state="failed"),),
            False,
            id="a delete that has failed",
        ),
        pytest.param(
            finished(NAME, out=ARTIFACTS, **HOUR),
            (deleting(given=OTHERS),),
            False,
            id="a delete of another backup",
        ),
        pytest.param(
            finished(NAME, out=ARTIFACTS, **HOUR),
            (deleting(action_name="restore"),),
            False,
            id="a restore from it",
        ),
        pytest.param(
            finished(NAME, out=ARTIFACTS, **HOUR),
            (deleting(namespace="other"),),
            False,
            id="a delete in another namespace: not of this one",
        ),
        pytest.param(
            finished(NAME, out={"dump": {"keyValue": {"path": "p"}, "kopiaSnapshot": ""}}, **HOUR),
            (deleting(),),
            True,
            id="an empty field makes no difference",
        ),
        pytest.param(
            finished(NAME, action_name="delete", given=ARTIFACTS, **HOUR),
            (),
            True,
            id="a delete whose backup is gone",
        ),
        pytest.param(
            finished(NAME, action_name="delete", given=ARTIFACTS, **HOUR),
            (finished("backup", out=ARTIFACTS, ttl="9d"),),
            False,
            id="a delete whose backup still waits to be seen deleted",
        ),
        pytest.param(
            finished(NAME, action_name="delete", given=ARTIFACTS, **HOUR),
            (finished("backup", out=ARTIFACTS),),
            True,
            id="a delete whose backup stays for ever anyway",
        ),
    ],
)
def test_who_goes(subject: Object, others: tuple[Object, ...], *, goes: bool) -> None:
    world = world_with(*copy.deepcopy(others), subject=subject)

    world.reconcile()

    assert world.taken() == ([f"delete actionsets {NAME}"] if goes else [])


def test_one_that_stays_for_now_is_looked_at_when_its_time_is_over_without_a_request() -> None:
    world = world_with(subject=finished(NAME, ttl="25h"))

    assert world.reconcile().requeue_after == 3600


def test_one_that_is_needed_is_looked_at_again() -> None:
    world = world_with(subject=finished(NAME, out=ARTIFACTS, **HOUR))

    assert world.reconcile().requeue_after == 3600


def test_artifacts_are_the_same_in_any_order() -> None:
    forth = {"a": {"keyValue": {"x": "1", "y": "2"}}, "b": {"kopiaSnapshot": "s"}}
    back = {"b": {"kopiaSnapshot": "s"}, "a": {"keyValue": {"y": "2", "x": "1"}}}

    assert digest(forth) == digest(back)
    assert digest(forth) != digest({**forth, "c": {"kopiaSnapshot": "t"}})
