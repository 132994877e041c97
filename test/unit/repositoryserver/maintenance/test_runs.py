"""What came of the runs of a CronJob."""

from __future__ import annotations

from typing import Any

import pytest

from reconcilers.kopia import failures
from reconcilers.repositoryserver.maintenance import runs
from reconcilers.repositoryserver.maintenance.runs import Run

Object = dict[str, Any]

EARLIER, LATER = "2026-01-01T03:00:00Z", "2026-01-02T03:00:00Z"
SETTING = failures.Setting(
    storage="backups/files", location="ns/location", credential="", password="ns/password", user=1
)
FAILED = Run(LATER, "Failed", "job", "uid-of-job", "Job has reached the specified backoff limit")


def job(name: str, type_: str, time: str, **status: Any) -> Object:
    condition = {"type": type_, "status": "True", "lastTransitionTime": time, "message": "why"}
    return {
        "metadata": {"name": name, "uid": f"uid-of-{name}"},
        "status": {"conditions": [condition], **status},
    }


def succeeded(name: str, time: str) -> Object:
    return job(name, "Complete", time, completionTime=time)


def ended(message: str, code: int = 1, **more: Any) -> Object:
    terminated = {"exitCode": code, "message": message, "finishedAt": LATER, **more}
    return {"status": {"containerStatuses": [{"state": {"terminated": terminated}}]}}


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        pytest.param([], None, id="none has begun"),
        pytest.param(
            [{"metadata": {"name": "a", "uid": "a"}, "status": {"active": 1}}], None, id="one runs"
        ),
        pytest.param(
            [job("a", "FailureTarget", LATER)], None, id="a Job that is about to fail has pods yet"
        ),
        pytest.param(
            [succeeded("a", EARLIER), job("b", "Failed", LATER)],
            Run(LATER, "Failed", "b", "uid-of-b", "why"),
            id="the one that ended last counts: a failure",
        ),
        pytest.param(
            [job("b", "Failed", EARLIER), succeeded("a", LATER)],
            Run(LATER, "Succeeded", "a", "uid-of-a"),
            id="or a success",
        ),
    ],
)
def test_the_last_run(jobs: list[Object], expected: Run | None) -> None:
    assert runs.last(jobs) == expected


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        pytest.param([], "Job has reached the specified backoff limit", id="no pod is left"),
        pytest.param([{"status": {}}], FAILED.cause, id="its pod never started"),
        pytest.param(
            [ended("maintenance must be run by designated user: backup-admin@store.example\n")],
            "the maintenance of the repository is owned by backup-admin@store.example; set "
            "spec.repository.maintenance.owner to it, or change the owner with `kopia "
            "maintenance set --owner`",
            id="another identity owns the maintenance",
        ),
        pytest.param(
            [ended("error opening repository: invalid repository password")],
            failures.NOT_UNLOCKED.format(storage="backups/files", password="ns/password"),
            id="what Kopia says is explained as for a server",
        ),
    ],
)
def test_why_it_failed(pods: list[Object], expected: str) -> None:
    assert runs.message(FAILED, pods, SETTING) == expected


def test_the_last_end_of_several_tries_counts() -> None:
    first = ended("first", finishedAt=EARLIER)
    second = ended("maintenance must be run by designated user: a@b")

    assert "owned by a@b" in runs.message(FAILED, [second, first], SETTING)


def test_memory_that_ran_out_is_told() -> None:
    found = runs.message(FAILED, [ended("", 137, reason="OOMKilled")], SETTING)

    assert found == failures.OUT_OF_MEMORY.format(code=137)


class TestStatus:
    SUCCESS = Run(EARLIER, "Succeeded", "a", "a")

    def test_before_the_first_run_there_is_none(self) -> None:
        assert runs.status_of({}, None, "") == {}
        assert runs.warning({}) == ""

    def test_a_success(self) -> None:
        status = runs.status_of({}, self.SUCCESS, "")

        assert status == {
            "lastRunTime": EARLIER,
            "lastSuccessTime": EARLIER,
            "result": "Succeeded",
            "message": "",
        }
        assert runs.warning(status) == ""

    def test_a_failure_keeps_the_time_of_the_last_success_and_is_a_warning(self) -> None:
        status = runs.status_of(runs.status_of({}, self.SUCCESS, ""), FAILED, "no disk")

        assert status == {
            "lastRunTime": LATER,
            "lastSuccessTime": EARLIER,
            "result": "Failed",
            "message": "no disk",
        }
        assert runs.warning(status) == (
            f"the maintenance of the repository failed at {LATER}: no disk"
        )

    @pytest.mark.parametrize(
        "run",
        [
            pytest.param(None, id="its Job was deleted"),
            pytest.param(SUCCESS, id="only an earlier one is left"),
            pytest.param(FAILED, id="its pod, which said why, was deleted"),
        ],
    )
    def test_what_is_told_stays(self, run: Run | None) -> None:
        status = runs.status_of({}, FAILED, "no disk")

        assert runs.status_of(status, run, "") == status
