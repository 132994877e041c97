"""Backups at the same moment that meet at a policy of the repository are tried again."""

from __future__ import annotations

import pytest

from fakes.clock import InstantClock
from fakes.kopiascript import CONFLICT
from reconcilers.kopia.client import failures
from reconcilers.kopia.client.errors import ClientFailed, Kind
from reconcilers.kopia.client.model import Ended, Limits, Progress, ServerConnection
from reconcilers.kopia.client.runner import Runner

CONNECTION = ServerConnection("https://localhost:1", "alice", "h1", "x", "ab" * 32)


class Reached(Runner):
    """A runner whose server is always there."""

    def reach(self) -> None:
        return


def runner(clock: InstantClock, retries: int = 3) -> Runner:
    return Reached(
        CONNECTION,
        Limits(retries=retries),
        stop=None,
        reconnect=None,
        on_retry=None,
        clock=clock,
        executable="kopia",
        directory=None,
    )


def test_a_policy_that_another_backup_has_just_replaced_is_a_conflict() -> None:
    setting = failures.Setting("https://x:1", "alice@h1", failures.BACK_UP, "/data")

    error = failures.explain(Ended(1, b"", (CONFLICT,), Progress(), 0), setting)

    assert error.kind is Kind.CONFLICT
    assert error.message == (
        "/data cannot be backed up: another client changed policies of the repository at the same "
        "moment; try again"
    )


@pytest.mark.parametrize("times", [1, 3])
def test_a_conflict_passes_by_itself(times: int) -> None:
    conflicts = [ClientFailed(Kind.CONFLICT, "conflict") for _ in range(times)]
    clock = InstantClock()

    def operation() -> str:
        if conflicts:
            raise conflicts.pop()
        return "done"

    assert runner(clock).retried(operation) == "done"
    assert clock.pauses == [1.0, 2.0, 4.0][:times]


@pytest.mark.parametrize(
    ("retries", "not_again", "message"),
    [
        pytest.param(3, "", "conflict; it was tried 4 times", id="each time"),
        pytest.param(0, "", "conflict", id="once, as it was asked for"),
        pytest.param(
            3,
            "the stream is gone",
            "conflict; it was not tried again by itself: the stream is gone",
            id="once, since it cannot be repeated",
        ),
    ],
)
def test_one_that_does_not_pass_is_told_with_how_often_it_was_tried(
    retries: int, not_again: str, message: str
) -> None:
    def operation() -> None:
        raise ClientFailed(Kind.CONFLICT, "conflict")

    with pytest.raises(ClientFailed) as caught:
        runner(InstantClock(), retries).retried(operation, unless=lambda: not_again)

    assert caught.value.message == message
    assert caught.value.kind is Kind.CONFLICT
