"""A fault that can pass by itself is a wait first."""

from __future__ import annotations

import pytest

from reconcilers.repositoryserver.status import patience, reasons
from reconcilers.repositoryserver.status.reasons import Kind
from reconcilers.repositoryserver.verdict import SERVER_SETUP, Problem, Waiting

UNSCHEDULABLE = Problem(SERVER_SETUP, "PodUnschedulable", "no node takes the pod")
PENDING = Waiting(SERVER_SETUP, "PodPending", "no node takes the pod")
MISSING = Problem(SERVER_SETUP, "SecretMissing", "a Secret is missing")
GONE = Waiting(SERVER_SETUP, "WaitingForSecret", "a Secret is missing", keeps_ready=True)
WRONG = Problem(SERVER_SETUP, "SecretTypeWrong", "a Secret has another type")


@pytest.mark.parametrize(
    ("verdict", "first_seen", "now", "reported", "told", "seconds"),
    [
        pytest.param(UNSCHEDULABLE, None, 10.0, "", PENDING, 5.0, id="it is seen first"),
        pytest.param(UNSCHEDULABLE, 10.0, 14.0, "", PENDING, 1.0, id="it has not lasted yet"),
        pytest.param(UNSCHEDULABLE, 10.0, 15.0, "", UNSCHEDULABLE, None, id="it has lasted"),
        pytest.param(
            UNSCHEDULABLE,
            None,
            10.0,
            "PodUnschedulable",
            UNSCHEDULABLE,
            None,
            id="the process is new, and the status reports it already",
        ),
        pytest.param(MISSING, None, 10.0, "ServerReady", GONE, 5.0, id="a Secret leaves Ready"),
        pytest.param(WRONG, None, 10.0, "", WRONG, None, id="one that cannot pass is a fault"),
        pytest.param(PENDING, None, 10.0, "", PENDING, None, id="a wait stays one"),
    ],
)
def test_a_fault_has_five_seconds(  # noqa: PLR0917 - a table
    verdict: Problem | Waiting,
    first_seen: float | None,
    now: float,
    reported: str,
    told: Problem | Waiting,
    seconds: float | None,
) -> None:
    since = {} if first_seen is None else {(verdict.step, verdict.reason): first_seen}

    judged = patience.judge((verdict,), since, reported=reported, now=now)

    assert judged.verdicts == (told,)
    assert judged.seconds == seconds


def test_one_that_comes_back_has_its_time_again() -> None:
    first = patience.judge((MISSING,), {}, reported="", now=0.0)
    over = patience.judge((), first.since, reported="", now=4.0)

    again = patience.judge((MISSING,), over.since, reported="", now=8.0)

    assert again.verdicts == (GONE,)


def test_each_has_its_own_time() -> None:
    first = patience.judge((MISSING,), {}, reported="", now=0.0)

    both = patience.judge((MISSING, UNSCHEDULABLE), first.since, reported="", now=5.0)

    assert both.verdicts == (MISSING, PENDING)


def test_what_is_waited_for_is_a_wait_in_the_table() -> None:
    for fault, wait in patience.BRIEF.items():
        assert reasons.is_fault(fault)
        assert reasons.REASONS[wait] is Kind.WAIT
