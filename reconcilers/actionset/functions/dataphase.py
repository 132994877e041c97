"""A data function as a phase: a pod that is placed for it, and connects to the action's server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, frozen

from controller.conditions import parse_time, timestamp
from reconcilers.actionset import places
from reconcilers.actionset.function import Complete, Failed, PhaseRun, Running, Step
from reconcilers.actionset.functions import parts
from reconcilers.actionset.functions.dataplaces import Asked, Beside, Blocked, Inside
from reconcilers.actionset.functions.serverconnection import (
    NotAvailable,
    ServerAccess,
    ServerFinder,
    look_of,
)
from reconcilers.actionset.phases.model import OWN_SECRET, PhasePod
from reconcilers.actionset.placement import command, podspec, seen
from reconcilers.datafunctions import old
from reconcilers.datafunctions.errors import Refused
from reconcilers.datafunctions.function import DEFAULT_PARALLEL
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconcilers.actionset.functions.dataplaces import Place, Plan
    from reconcilers.actionset.functions.insidepod import InsidePod
    from reconcilers.actionset.services import Services
    from reconcilers.datafunctions.function import AnyFunction

#: Seconds for which a phase waits for what is in its way: a server that is not available, a claim
#: whose pod is being deleted.
WAIT_SECONDS: Final = 600.0
#: Seconds between two looks.
LOOK_SECONDS: Final = 10.0

#: In the memo, while there is neither a pod nor a command: since when something is in the way of a
#: part, or of a phase that runs again. Both begin later than the phase.
WAITS_SINCE: Final = "waitsSince"
#: As `PhasePods` has it: there is a pod.
_POD: Final = "pod"

WAITED: Final = "{by}; it has been so for {minutes:.0f} min"
REASON_BLOCKED: Final = "PhaseBlocked"
REASON_ARGUMENTS: Final = "InvalidArguments"

#: Arguments that are the name of an object.
_NAMES: Final = frozenset({"container", "pod", "volume"})

REASON_NO_IMAGE: Final = "ImageMissing"
NO_IMAGE: Final = (
    "there is no image for the pods of data functions; give the controller one with "
    "repository-server-functions, such as its own, by --functions-image"
)

#: What old `image` arguments name is restic's image, without the program.
IMAGE: Final = "image"
IMAGE_HAS_NO_EFFECT: Final = (
    "argument image has no effect: the pod has the image of this controller, which has the "
    "program; podOverride can name a copy of it"
)


@frozen
class DataPhase:
    """A data function as a function of the engine. It keeps no state of a phase.

    Args:
        function: The function.
        services: What it works with.
        place: Decides where its pod goes.
        inside: Runs it in the workload's own container, where no pod can see the data.
    """

    function: AnyFunction
    services: Services
    place: Place
    inside: InsidePod

    @property
    def name(self) -> str:
        """Its name."""
        return self.function.name

    @property
    def version(self) -> str:
        """Its version."""
        return self.function.version

    @property
    def arguments(self) -> type[Any]:
        """The class of its arguments."""
        return self.function.arguments

    @property
    def unrendered(self) -> frozenset[str]:
        """None: all of its arguments are templates."""
        return frozenset()

    def advance(self, run: PhaseRun, arguments: Callable[[], Any]) -> Step:
        """Make the pod, or look how far it is."""
        return self.advance_pod(run, arguments)

    def cancel(self, run: PhaseRun) -> Step:
        """Delete the pod, or end what runs in the workload's container."""
        return self.cancel_pod(run)

    def so_far(self, run: PhaseRun) -> None:
        """Return None: it puts out nothing before its end."""

    def advance_pod(self, run: PhaseRun, arguments: Callable[[], Any], pod: str = "") -> Step:
        """Make a pod of the phase, or look how far it is.

        Args:
            run: The phase, with the memo of this pod.
            arguments: Renders and decodes the arguments.
            pod: Of a function for several pods, the one that it is about.
        """
        if self.inside.is_begun(run):
            return self.inside.advance(run, pod)
        if _POD in run.memo:
            return self.services.pods.advance(
                run, lambda: self._made(run, arguments(), pod), part=pod
            )
        asked = self._asked(run, arguments(), pod)
        plan = self._place(asked)
        if isinstance(plan, Blocked):
            return self._wait(run, plan.by, pod)
        access = self._access(run, asked, plan)
        if isinstance(access, NotAvailable):
            return self._wait(run, access.message, pod)
        if isinstance(plan, Inside):
            return self.inside.begin(run, plan, access, pod)
        beside = plan
        return self.services.pods.advance(run, lambda: self._pod(asked, beside, access), part=pod)

    def cancel_pod(self, run: PhaseRun, pod: str = "") -> Step:
        """End a pod of the phase early.

        Args:
            run: The phase, with the memo of this pod.
            pod: As for `advance_pod`.
        """
        if self.inside.is_begun(run):
            return self.inside.cancel(run, pod)
        return self.services.pods.cancel(run, part=pod)

    def _place(self, asked: Asked) -> Plan:
        try:
            return self.place(asked)
        except Refused as error:
            raise InvalidInput(REASON_ARGUMENTS, str(error)) from None

    def _asked(self, run: PhaseRun, arguments: Any, pod: str) -> Asked:  # noqa: ANN401 - of the function's class
        values = command.given(arguments).values
        for name in _NAMES.intersection(values):
            places.check_name(values[name], argument=f"argument {name}")
        look = look_of(run, self.services.client)
        return Asked(run, look, self.function, arguments, values, pod)

    def _access(
        self, run: PhaseRun, asked: Asked, plan: Beside | Inside
    ) -> ServerAccess | NotAvailable:
        hostname = getattr(asked.arguments, "user_hostname", "")
        finder = ServerFinder(self.services.client, self.services.clock)
        return finder.find(run, hostname=hostname, namespace=plan.namespace)

    def _made(self, run: PhaseRun, arguments: Any, pod: str) -> PhasePod:  # noqa: ANN401 - as _asked
        """Return the pod once more, for a phase whose memo was changed by hand."""
        asked = self._asked(run, arguments, pod)
        plan = self._place(asked)
        if isinstance(plan, Blocked):
            raise InvalidInput(REASON_BLOCKED, plan.by)
        access = self._access(run, asked, plan)
        if isinstance(access, NotAvailable):
            raise InvalidInput(REASON_BLOCKED, access.message)
        if isinstance(plan, Inside):
            raise InvalidInput(REASON_BLOCKED, plan.why)
        return self._pod(asked, plan, access)

    def _pod(self, asked: Asked, plan: Beside, access: ServerAccess) -> PhasePod:
        if not self.services.image:
            raise InvalidInput(REASON_NO_IMAGE, NO_IMAGE)
        self._warn(asked, plan, access)
        arguments = asked.arguments
        return PhasePod(
            namespace=plan.namespace,
            spec=podspec.spec(plan.placed, image=self.services.image, secret=OWN_SECRET),
            main=podspec.CONTAINER,
            labels=getattr(arguments, "pod_labels", {}),
            annotations=getattr(arguments, "pod_annotations", {}),
            override=getattr(arguments, "pod_override", {}),
            secret=access.secret(),
        )

    def _warn(self, asked: Asked, plan: Beside, access: ServerAccess) -> None:
        given = command.given(asked.arguments).names
        warnings = [*old.warnings(given, phase=True), *plan.warnings]
        if IMAGE in given:
            warnings.append(IMAGE_HAS_NO_EFFECT)
        if access.warning:
            warnings.append(access.warning)
        for warning in warnings:
            self.services.warn(asked.run, warning)

    def _wait(self, run: PhaseRun, by: str, pod: str) -> Step:
        now, since, memo = self.services.clock.now(), run.started_at, None
        if pod or run.memo:
            stored = run.memo.get(WAITS_SINCE)
            since = parse_time(stored) if stored else now
            memo = {**run.memo, WAITS_SINCE: timestamp(since)}
        waited = (now - since).total_seconds()
        if waited > WAIT_SECONDS:
            return Failed(WAITED.format(by=by, minutes=waited / 60))
        return Running(waits_for=by, memo=memo, again_after=LOOK_SECONDS)


@frozen
class DataPhaseOfPods:
    """A data function for several pods as a function of the engine: a pod for each, some at a time.

    Args:
        one: What is done for each of them.
        outputs: Returns the outputs of all by those of each.
        problem: Returns why one that has ended well counts as failed, by the name of its pod and
            its outputs; empty if it does not.
    """

    one: DataPhase
    outputs: Callable[[Mapping[str, Mapping[str, Any]]], Mapping[str, Any] | None]
    problem: Callable[[str, Mapping[str, Any]], str]

    @property
    def name(self) -> str:
        """Its name."""
        return self.one.name

    @property
    def version(self) -> str:
        """Its version."""
        return self.one.version

    @property
    def arguments(self) -> type[Any]:
        """The class of its arguments."""
        return self.one.arguments

    @property
    def unrendered(self) -> frozenset[str]:
        """None: all of its arguments are templates."""
        return frozenset()

    def advance(self, run: PhaseRun, arguments: Callable[[], Any]) -> Step:
        """Make pods, or look how far they are."""
        if not parts.names_of(run):
            pods = arguments().pods or seen.names(run.parameters)
            for name in pods:
                places.check_name(name, argument="the name of a pod in argument pods")
            return parts.begin(pods)
        step = parts.advance(
            run,
            lambda part, name: self._advance_one(part, arguments, name),
            limit=DEFAULT_PARALLEL,
        )
        if isinstance(step, Running):
            return step
        outputs = self.outputs(step.done)
        return Failed(step.message, outputs) if step.failures else Complete(outputs)

    def _advance_one(self, part: PhaseRun, arguments: Callable[[], Any], name: str) -> Step:
        step = self.one.advance_pod(part, arguments, name)
        if isinstance(step, Complete) and (problem := self.problem(name, step.outputs or {})):
            return Failed(problem)
        return step

    def cancel(self, run: PhaseRun) -> Step:
        """Delete the pods. The outputs of those that have ended are kept."""
        step = parts.cancel(run, self.one.cancel_pod) or Failed(CANCELLED)
        return evolve(step, outputs=self.so_far(run)) if isinstance(step, Failed) else step

    def so_far(self, run: PhaseRun) -> Mapping[str, Any] | None:
        """Return the outputs of the pods that have ended, None before the first has."""
        done = parts.done(run)
        return self.outputs(done) if done else None


#: Of a phase that was ended before it had begun anything.
CANCELLED: Final = "cancelled"
