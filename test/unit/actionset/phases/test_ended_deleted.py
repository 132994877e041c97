"""Pods that somebody has deleted, and whether something of them may run."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from fakes.phases import NOW, Object, exited, made, state
from reconcilers.actionset.phases import ended
from reconcilers.actionset.phases.ended import Ended, Waiting
from reconcilers.actionset.phases.podview import PodView

POD = f"shop/{made()['metadata']['name']}"
SILENT = [
    {"type": "Ready", "status": "False"},
    {"type": "ContainersReady", "status": "True"},
]


def running() -> Object:
    return state(running={"startedAt": "2026-01-01T00:00:01Z"})


class TestDeleted:
    """Somebody has deleted the pod; our finalizer keeps it."""

    DELETED = "2026-01-01T00:00:30Z"
    LOST = NOW + timedelta(seconds=330)

    def examined(self, *statuses: Object, now: datetime = NOW, **status: Any) -> Waiting | Ended:
        pod = made(containerStatuses=list(statuses), **status)
        pod["metadata"]["deletionTimestamp"] = self.DELETED
        return ended.examine(PodView.of(pod), now)

    def test_its_container_is_ending(self) -> None:
        assert self.examined(running(), phase="Running") == Waiting(
            f"pod {POD} is being deleted; its container is ending", "container", self.LOST
        )

    def test_its_container_has_failed_by_that(self) -> None:
        found = self.examined(exited(code=143), phase="Failed")

        assert found == Ended(
            f"container container of pod {POD} was ended by signal 15, after somebody has deleted "
            "the pod",
            "container",
            143,
            disrupted=True,
        )

    def test_its_container_had_done_its_work(self) -> None:
        assert self.examined(exited(), phase="Succeeded") == Ended(
            container="container", exit_code=0
        )

    def test_it_had_no_node_and_never_runs(self) -> None:
        pod = made(phase="Pending")
        pod["metadata"]["deletionTimestamp"] = self.DELETED
        pod["spec"]["nodeName"] = None

        assert ended.examine(PodView.of(pod), NOW) == Ended(
            f"pod {POD} is starting, after somebody has deleted the pod", disrupted=True
        )

    def test_its_node_does_not_answer(self) -> None:
        found = self.examined(running(), phase="Running", conditions=SILENT)

        assert found == Waiting(f"node node-a of pod {POD} does not answer", "container", self.LOST)

    def test_nobody_confirms_its_end(self) -> None:
        found = self.examined(running(), phase="Running", now=self.LOST)

        assert found == Ended(
            f"outcome unknown: pod {POD} was deleted and should have ended by {self.DELETED}, and "
            "its node node-a does not confirm it; it may still run there",
            disrupted=True,
        )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"containerStatuses": [running()], "phase": "Running"}, True, id="it runs"),
        pytest.param({"phase": "Pending"}, True, id="it is about to be started"),
        pytest.param({"containerStatuses": [exited()], "phase": "Running"}, False, id="over"),
        pytest.param({"phase": "Failed"}, False, id="the pod has failed"),
    ],
)
def test_whether_something_of_it_may_run(changes: Object, *, expected: bool) -> None:
    assert PodView.of(made(**changes)).runs is expected


def test_nothing_of_it_runs_without_a_node() -> None:
    pod = made(phase="Pending")
    pod["spec"]["nodeName"] = None

    assert not PodView.of(pod).runs
