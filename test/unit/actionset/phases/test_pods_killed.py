"""A process that is killed at any request: the next one goes on, and nothing runs twice."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.phases import phase_run, wanted
from fakes.phaseworld import OUTPUT, Killed, PhaseWorld
from reconcilers import resources
from reconcilers.actionset.function import Complete, Failed
from reconcilers.actionset.phases import names

POD = f"shop/{names.pod_name(phase_run())}"


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize(
    ("pod", "code", "expected"),
    [
        pytest.param({}, 0, Complete({"size": "5"}), id="succeeds"),
        pytest.param({"secret": {"p": b"x"}}, 0, Complete({"size": "5"}), id="with a Secret"),
        pytest.param(
            {},
            1,
            Failed(f"container container of pod {POD} has ended with exit code 1"),
            id="fails",
        ),
    ],
)
def test_killed_at_any_request_it_runs_once(
    pod: Any, code: int, expected: Complete | Failed, *, answered: bool
) -> None:
    """Each request, the storing of a memo included, is the last one of a process."""
    kills = 0
    for number in range(1, 100):
        world = PhaseWorld(pod=wanted(**pod))
        world.client.kill_at, world.client.answered = number, answered
        outcome = life(world, code)
        kills += world.client.count > 0 and outcome is not None

        assert outcome == expected, f"killed at request {number}"
        assert len(world.ran) == 1
        assert world.client.store(resources.PODS).list() == []
        if number > world.client.count:
            break
    assert kills > 5


def life(world: PhaseWorld, code: int) -> Complete | Failed:
    """Run a phase, over again where it is killed, until nothing of it is left."""
    outcome: Complete | Failed | None = None
    for _ in range(10):
        try:
            if outcome is None:
                step = world.finish(OUTPUT, code=code)
                assert isinstance(step, Complete | Failed)
                world.client.request(lambda: None)
                outcome = step
            world.pods.release(world.run, failed=False)
        except Killed:
            world.start_process()
        else:
            return outcome
    raise AssertionError("it does not end")
