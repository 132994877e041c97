"""Phases as the engine hands them to a function, and an engine that does no more than that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field

from controller.clock import Deadline
from controller.reconcile import Request
from reconcilers.actionset.api import Action, ObjectReference
from reconcilers.actionset.function import PhaseRun, Running
from reconcilers.datafunctions.arguments import decode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fakes.clock import FakeClock
    from reconcilers.actionset.function import Complete, Failed, Function, Step

#: Where ActionSets are, and where what they are about is.
OWN, APPLICATION = "kanister", "app"
UID = "5d7f0c1e-0000-4000-8000-000000000001"
NAME = "backup-x7k2p"


def phase_run(clock: FakeClock, **changes: Any) -> PhaseRun:
    """Return a phase `step` of the first action, on StatefulSet `db`, that has just begun.

    Args:
        clock: The time.
        changes: Fields that are otherwise.
    """
    run = PhaseRun(
        request=Request(OWN, NAME),
        action_set={"metadata": {"namespace": OWN, "name": NAME, "uid": UID}},
        action=Action(0, "backup", "bp", ObjectReference("db", APPLICATION, "statefulset")),
        phase="step",
        deferred=False,
        parameters={},
        memo={},
        started_at=clock.now(),
        repeatable=False,
        keep_failed_pod=False,
        deadline=Deadline.after(clock, 60.0),
    )
    return evolve(run, **changes)


@define
class Phase:
    """A phase that runs by itself: its memo is stored and its function asked again, as it wishes.

    Args:
        function: The function.
        clock: The time.
        given: The arguments, rendered.
        run: The phase.
    """

    function: Function[Any]
    clock: FakeClock
    given: Mapping[str, object]
    run: PhaseRun
    #: How often the arguments were rendered.
    rendered: int = 0
    #: All that the function has returned.
    steps: list[Step] = field(factory=list)

    def advance(self) -> Step:
        """Ask once, and store the memo."""
        step = self.function.advance(self.run, self._arguments)
        self.steps.append(step)
        if isinstance(step, Running) and step.memo is not None:
            # As it comes back from an annotation.
            self.run = evolve(self.run, memo=dict(step.memo))
        return step

    def settle(self) -> Step:
        """Ask for as long as there is a memo to store, and return the last step."""
        step = self.advance()
        while isinstance(step, Running) and step.memo is not None:
            step = self.advance()
        return step

    def finish(self) -> Complete | Failed:
        """Ask until the phase is over, letting the time pass that the function asks for."""
        for _ in range(10_000):
            step = self.advance()
            if not isinstance(step, Running):
                return step
            if step.memo is None:
                assert step.again_after is not None, "it would wait for ever"
                self.clock.step(step.again_after)
        raise AssertionError("the phase does not end")

    def _arguments(self) -> Any:
        self.rendered += 1
        kind: Any = self.function.arguments
        return decode(kind, self.given, function=self.function.name, phase=True).arguments
