"""Data functions as phases: a cluster that is only read, and pods that a test ends."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from attrs import define, evolve, field
from prometheus_client import CollectorRegistry

from controller.clock import Deadline
from controller.commands import Commands
from controller.metrics import Metrics
from controller.reconcile import Request
from fakes import objects, placed
from fakes.apireader import FakeReader
from fakes.clock import FakeClock
from fakes.commands import FakeExecutor
from reconcilers import resources
from reconcilers.actionset.api import Action, ObjectReference
from reconcilers.actionset.function import Complete, Failed, PhaseRun, Running, Step
from reconcilers.actionset.functions import datafunctions
from reconcilers.actionset.parameters import podrecord
from reconcilers.actionset.services import Services
from reconcilers.datafunctions.arguments import decode
from reconcilers.repositoryserver import connection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconcilers.actionset.function import Function
    from reconcilers.actionset.phases.model import PhasePod

Object = dict[str, Any]

IMAGE = "functions:1"
ALPHA = "v1.0.0-alpha"
ACTION_SETS = objects.NAMESPACE
SHOP = placed.NAMESPACE
SERVER = "files"
PASSWORD = objects.USER_PASSWORD_VALUE
AVAILABLE = {
    "conditions": [{"type": "Available", "status": "True", "reason": "Serving", "message": ""}],
    "serverInfo": {"serviceName": "repo-server-files", "tlsFingerprint": "f" * 64},
}
PEERS: Object = {
    "server": {"networkPolicy": {"from": [{"podSelector": {}, "namespaceSelector": {}}]}}
}


def server(change: Object | None = None) -> Object:
    """Build a RepositoryServer that is available and admits pods of other namespaces."""
    base = objects.repository_server({"spec": PEERS, "status": AVAILABLE})
    result: Object = objects.merged(base, change or {})
    return result


@define
class FakePods:
    """Pods of phases: each is made once, and ends when a test says so.

    Attributes:
        made: The pods, by part; of a phase with one pod the part is empty.
        ended: What came of those that have ended, by part.
        cancelled: The parts whose pods were deleted, in their order.
    """

    made: dict[str, PhasePod] = field(factory=dict)
    ended: dict[str, Step] = field(factory=dict)
    cancelled: list[str] = field(factory=list)

    def advance(
        self,
        run: PhaseRun,
        make: Callable[[], PhasePod],
        result: object = None,
        *,
        part: str = "",
    ) -> Step:
        if part not in self.made:
            self.made[part] = make()
            return Running(memo={"pod": f"pod-{part}"})
        assert run.memo, "a pod that was made is known by the memo"
        return self.ended.get(part, Running())

    def cancel(self, run: PhaseRun, *, part: str = "") -> Step:
        self.cancelled.append(part)
        return Failed("cancelled")


@define
class Phase:
    """One phase, that a test advances as the engine does."""

    function: Function[Any]
    run: PhaseRun
    arguments: Mapping[str, object]
    rendered: int = 0

    def advance(self) -> Step:
        """Advance it once, and store its memo."""
        step = self.function.advance(self.run, self._render)
        if isinstance(step, Running) and step.memo is not None:
            self.run = evolve(self.run, memo=step.memo)
        return step

    def cancel(self) -> Step:
        """End it early."""
        return self.function.cancel(self.run)

    def _render(self) -> Any:
        self.rendered += 1
        kind = self.function.arguments
        return decode(kind, self.arguments, function=self.function.name, phase=True).arguments


@define
class Setting:
    """A cluster with a server in one namespace, and a workload in another."""

    clock: FakeClock = field(factory=FakeClock)
    reader: FakeReader = field(factory=FakeReader)
    pods: FakePods = field(factory=FakePods)
    warnings: list[str] = field(factory=list)
    executor: FakeExecutor = field(init=False)
    commands: Commands = field(init=False)
    #: What the commands' threads would do.
    threads: list[Callable[[], None]] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.executor = FakeExecutor(self.clock)
        self.commands = self._commands()
        self.reader.put(connection.RESOURCE, server())
        self.reader.put(resources.SECRETS, objects.users_secret())
        self.reader.put(resources.PODS, placed.pod())
        self.reader.put(resources.PERSISTENT_VOLUME_CLAIMS, placed.claim())

    def _commands(self) -> Commands:
        return Commands(
            "commands",
            self.executor,
            clock=self.clock,
            metrics=Metrics(CollectorRegistry()),
            spawn=self.threads.append,
        )

    def restart(self) -> None:
        """Lose what the process knows; the cluster and the pods stay."""
        self.threads.clear()
        self.commands = self._commands()

    def run_commands(self) -> None:
        """Let the commands that were begun end."""
        while self.threads:
            self.threads.pop(0)()

    def phase(
        self,
        name: str,
        arguments: Mapping[str, object],
        *,
        action: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Phase:
        """Return a phase that has just begun.

        Args:
            name: Of the function.
            arguments: As a Blueprint has them, rendered.
            action: More of the action.
            parameters: More of the parameters.
            more: More of the run.
        """
        of_action = {
            "repository_server": ObjectReference(SERVER, ACTION_SETS),
            **(action or {}),
        }
        run = PhaseRun(
            request=Request(ACTION_SETS, "set"),
            action_set={"metadata": {"uid": "uid", "name": "set", "namespace": ACTION_SETS}},
            action=Action(
                0,
                "backup",
                "blueprint",
                ObjectReference("db", SHOP, "StatefulSet"),
                **of_action,
            ),
            phase="backup",
            deferred=False,
            parameters={**self.parameters(), **(parameters or {})},
            memo={},
            started_at=self.clock.now(),
            deadline=Deadline.after(self.clock, 60),
            **{"repeatable": False, "keep_failed_pod": False, **more},
        )
        return Phase(self.functions()[name], run, arguments)

    def again(self, phase: Phase) -> Phase:
        """Return a phase as another process goes on with it."""
        return Phase(self.functions()[phase.function.name], phase.run, phase.arguments)

    def functions(self) -> dict[str, Function[Any]]:
        """Return the data functions by name."""
        services = Services(
            client=cast("Any", self.reader),
            pods=cast("Any", self.pods),
            renderer=cast("Any", None),
            commands=self.commands,
            clock=self.clock,
            warn=lambda _run, text: self.warnings.append(text),
            image=IMAGE,
        )
        return {one.name: one for one in datafunctions.functions(services)}

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of an action on StatefulSet db with all pods that there are."""
        items = self.reader.list(resources.PODS, SHOP, deadline=Deadline.after(self.clock, 1))[
            "items"
        ]
        names = [one["metadata"]["name"] for one in items]
        return {
            "StatefulSet": {"Name": "db", "Namespace": SHOP, "Pods": names},
            "Object": {"metadata": {"name": "db", "namespace": SHOP}, "spec": {"template": {}}},
            "workloadPods": [podrecord.record(one) for one in items],
        }

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.step(seconds)


def later(run: PhaseRun, seconds: float) -> PhaseRun:
    """Return a run that began so many seconds earlier."""
    return evolve(run, started_at=run.started_at - timedelta(seconds=seconds))


__all__ = ["Complete", "FakePods", "Phase", "Setting", "later", "server"]
