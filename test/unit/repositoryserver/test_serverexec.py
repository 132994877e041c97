"""What becomes of a command that does not come to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attrs import define, field

from controller.clock import Deadline, DeadlineExceeded
from controller.errors import ClientError, Forbidden, NotFound, NotLeading, TransportError
from fakes import objects, passes
from fakes.clock import FakeClock
from fakes.kopia import FakeResult
from reconcilers.repositoryserver.serverexec import (
    COMMAND_SECONDS,
    CommandRunner,
    Unanswered,
    Unreachable,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

POD = objects.pod(objects.serving())


@define
class FakeExecutor:
    """Takes a time, and ends with a result or an error."""

    seconds: float = 0.0
    error: Exception | None = None
    calls: list[tuple[object, ...]] = field(factory=list)

    def run(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        deadline: Deadline,
    ) -> FakeResult:
        self.calls.append((namespace, pod, container, command, stdin, deadline.remaining()))
        assert isinstance(deadline.clock, FakeClock)
        deadline.clock.step(min(self.seconds, deadline.remaining()))
        deadline.check()
        if self.error is not None:
            raise self.error
        return FakeResult(3, b"out", b"err")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def run(executor: FakeExecutor, clock: FakeClock, *, left: float = passes.SECONDS) -> object:
    """Run a command in a pass that has so many seconds left."""
    current = passes.begin(clock)
    clock.step(passes.SECONDS - left)
    runner = CommandRunner(executor)  # type: ignore[arg-type]  # the fake has what is called
    return runner.run(current, POD, ("kopia", "x"), b"lines")


def test_it_runs_in_the_servers_container_and_its_end_is_for_the_caller(clock: FakeClock) -> None:
    executor = FakeExecutor()

    assert run(executor, clock) == FakeResult(3, b"out", b"err")
    assert executor.calls == [
        (
            objects.NAMESPACE,
            objects.POD,
            "repo-server-container",
            ("kopia", "x"),
            b"lines",
            COMMAND_SECONDS,
        )
    ]


@pytest.mark.parametrize(
    ("left", "error"),
    [
        pytest.param(60, Unanswered, id="its time is over: the pass goes on without it"),
        pytest.param(20, DeadlineExceeded, id="the time of the pass is over: so is the pass"),
    ],
)
def test_one_that_is_not_answered(clock: FakeClock, left: float, error: type[Exception]) -> None:
    with pytest.raises(error):
        run(FakeExecutor(seconds=COMMAND_SECONDS), clock, left=left)


def test_a_pod_that_has_not_answered_is_not_asked_again_in_the_same_pass(clock: FakeClock) -> None:
    executor, current = FakeExecutor(seconds=COMMAND_SECONDS), passes.begin(clock)
    runner = CommandRunner(executor)  # type: ignore[arg-type]  # the fake has what is called

    for _ in range(2):
        with pytest.raises(Unanswered):
            runner.run(current, POD, ("kopia", "x"))

    assert len(executor.calls) == 1


@pytest.mark.parametrize(
    "cause",
    [
        pytest.param(NotFound(404, "NotFound", "pods files not found"), id="the pod is gone"),
        pytest.param(Forbidden(403, "Forbidden", "no exec"), id="it is not allowed"),
        pytest.param(TransportError("connection reset"), id="the API server is away"),
    ],
)
def test_one_that_could_not_be_run_says_why(clock: FakeClock, cause: ClientError) -> None:
    with pytest.raises(Unreachable) as refusal:
        run(FakeExecutor(error=cause), clock)

    assert str(refusal.value) == str(cause)


def test_who_leads_no_longer_ends_its_pass(clock: FakeClock) -> None:
    with pytest.raises(NotLeading):
        run(FakeExecutor(error=NotLeading("another one leads")), clock)
