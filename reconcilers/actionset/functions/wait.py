"""Wait and WaitV2: wait until conditions on objects are met (Kanister pkg/function/wait.go)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from controller.errors import NotFound
from reconcilers.actionset.function import Complete, Failed, Running
from reconcilers.actionset.functions import conditions, patience
from reconcilers.actionset.functions.prepared import Prepared
from reconcilers.actionset.templates.errors import TemplateError
from reconcilers.actionset.templates.renderer import ConditionKind
from reconcilers.datafunctions.arguments import Need, duration, tree
from reconcilers.datafunctions.versions import DEFAULT_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.clock import Clock
    from controller.resource import Object
    from controller.rest.client import Client
    from reconcilers.actionset.function import PhaseRun, Step
    from reconcilers.actionset.functions.conditions import Condition, Conditions
    from reconcilers.actionset.functions.references import Reference
    from reconcilers.actionset.templates.renderer import Renderer

WAIT: Final = "Wait"
WAIT_V2: Final = "WaitV2"

#: How the conditions of each are written.
_KINDS: Final = {WAIT: ConditionKind.JSONPATH, WAIT_V2: ConditionKind.GOTEMPLATE}

ABSENT: Final = "{at}: its object does not exist"
PLACE: Final = "{at}.condition of phase {phase}"
TIMED_OUT: Final = (
    "the conditions were not met within {seconds:g} s, the argument timeout; not met: {missing}"
)
CANCELLED: Final = "cancelled while it waited for its conditions"


@frozen
class Arguments:
    """Arguments of Wait and WaitV2."""

    timeout: float = duration("timeout", "how long to wait", need=Need.ALWAYS)
    conditions: Mapping[str, Any] = tree(
        "conditions",
        "anyOf and allOf, lists of an objectReference and a condition each",
        need=Need.ALWAYS,
    )


@frozen
class _Look:
    """What a look at the objects has found.

    Args:
        met: Whether each condition is met, by its place.
        missing: What is not met, in words.
    """

    met: Mapping[str, bool]
    missing: tuple[str, ...]


@frozen
class _Waits:
    """What is waited for.

    Args:
        conditions: The conditions.
        seconds: How long.
    """

    conditions: Conditions
    seconds: float


@frozen(eq=False)
class Wait:
    """The function. It starts nothing, so a process goes on where another one has ended.

    Args:
        name: `WAIT` or `WAIT_V2`.
        client: Reads the objects.
        renderer: Evaluates the conditions.
        clock: The time.
    """

    name: str
    client: Client
    renderer: Renderer
    clock: Clock
    _prepared: Prepared[_Waits] = field(init=False, factory=Prepared)

    version: Final = DEFAULT_VERSION
    arguments: Final = Arguments
    unrendered: Final = conditions.UNRENDERED

    def advance(self, run: PhaseRun, arguments: Callable[[], Arguments]) -> Step:
        """Look whether the conditions are met. See `Function.advance`."""
        waits = self._prepared.of(run, lambda: _prepare(run, arguments()))
        look = self._look(run, waits.conditions)
        now = self.clock.now()
        left = waits.seconds - patience.elapsed(run, now)
        missing = "; ".join(look.missing)
        step: Step
        if conditions.are_met(waits.conditions, look.met):
            step = Complete()
        elif left <= 0:
            step = Failed(TIMED_OUT.format(seconds=waits.seconds, missing=missing))
        else:
            pause = min(patience.pause(run, now), left)
            return Running(waits_for=missing, again_after=pause)
        self._prepared.drop(run)
        return step

    def cancel(self, run: PhaseRun) -> Failed:
        """End the wait. See `Function.cancel`."""
        self._prepared.drop(run)
        return Failed(CANCELLED)

    def so_far(self, run: PhaseRun) -> None:
        """Return None: it puts out nothing before its end."""

    def _look(self, run: PhaseRun, wanted: Conditions) -> _Look:
        objects: dict[Reference, Object | None] = {}
        met: dict[str, bool] = {}
        missing: list[str] = []
        for one in wanted:
            if one.reference not in objects:
                objects[one.reference] = self._read(run, one.reference)
            found = objects[one.reference]
            problem = ABSENT.format(at=one.at)
            met[one.at] = False
            if found is not None:
                met[one.at], problem = self._evaluate(run, one, found)
            if not met[one.at]:
                missing.append(problem)
        return _Look(met, tuple(missing))

    def _evaluate(self, run: PhaseRun, condition: Condition, found: Object) -> tuple[bool, str]:
        """Return whether a condition is met, and what to say if it is not.

        Raises:
            TemplateError: It never will be. Kanister waits until the timeout all the same.
        """
        place = PLACE.format(at=condition.at, phase=run.phase)
        try:
            met = self.renderer.evaluate_wait(
                _KINDS[self.name], condition.template, found, place=place
            )
        except TemplateError as error:
            # Perhaps it needs a field that the object does not have yet.
            if error.permanent:
                raise
            return False, error.message
        return met, condition.at

    def _read(self, run: PhaseRun, reference: Reference) -> Object | None:
        try:
            return self.client.get(
                reference.api, reference.namespace, reference.name, deadline=run.deadline
            )
        except NotFound:
            return None


def _prepare(run: PhaseRun, arguments: Arguments) -> _Waits:
    return _Waits(conditions.parse(run, arguments.conditions), arguments.timeout)
