"""An engine of ActionSets on an API server in memory; its functions leave their mark there."""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen
from prometheus_client import CollectorRegistry

from controller.clock import Deadline
from controller.conditions import timestamp
from controller.errors import NotFound
from controller.reconcile import Request, Result
from fakes import objects
from fakes.apiclient import FakeClient
from fakes.clock import FakeClock
from fakes.recorder import FakeRecorder
from fakes.renderer import FakeRenderer
from reconcilers import resources
from reconcilers.actionset.api import ACTION_SETS, BLUEPRINTS
from reconcilers.actionset.function import Complete, Failed, Function, PhaseRun, Running, Step
from reconcilers.actionset.informers import trim_action_set
from reconcilers.actionset.parameters.document import POD_RECORDS
from reconcilers.actionset.reconciler import ActionSetReconciler
from reconcilers.actionset.retention import (
    INDEX_DELETED,
    INDEX_PUT_OUT,
    indexed_deleted,
    indexed_put_out,
)
from reconcilers.actionset.services import Services
from reconcilers.actionset.status.metrics import PhaseMetrics
from reconcilers.datafunctions.arguments import text
from reconcilers.datafunctions.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from controller.resource import Object, Resource
    from reconcilers.actionset.api import Action, ObjectReference

NAMESPACE = "kanister"
NAME = "backup-x7k2p"
UID = "5a1e0000-0000-4000-8000-00000000000a"
REQUEST = Request(NAMESPACE, NAME)
RECONCILE_SECONDS = 120.0

INDEXERS = {INDEX_PUT_OUT: indexed_put_out, INDEX_DELETED: indexed_deleted}


def action_set(*actions: Object, name: str = NAME, uid: str = UID, **annotations: str) -> Object:
    """Return an ActionSet as a user creates it.

    Args:
        actions: Of its spec. Default: a backup of a StatefulSet.
        name: Its name.
        uid: Its uid.
        annotations: Ours, by the last part of their names, with `_` for `-`.
    """
    ours = {f"actionset.cr.kanister.io/{k.replace('_', '-')}": v for k, v in annotations.items()}
    metadata = {"name": name, "namespace": NAMESPACE, "uid": uid, "annotations": ours}
    return {
        "apiVersion": ACTION_SETS.api_version,
        "kind": "ActionSet",
        "metadata": metadata,
        "spec": {"actions": list(actions) or [action()]},
    }


def action(name: str = "backup", **fields: Any) -> Object:
    """Return an action of a spec."""
    target = {"kind": "StatefulSet", "namespace": "app", "name": "db"}
    return {"name": name, "blueprint": "db", "object": target, **fields}


def phase(name: str, func: str = "Pod", **args: Any) -> Object:
    """Return a phase of a Blueprint."""
    return {"name": name, "func": func, "args": args}


def blueprint(**actions: Object) -> Object:
    """Return the Blueprint `db`."""
    return {
        "apiVersion": BLUEPRINTS.api_version,
        "kind": "Blueprint",
        "metadata": {"name": "db", "namespace": NAMESPACE},
        "actions": actions or {"backup": {"phases": [phase("dump"), phase("upload")]}},
    }


@frozen
class Arguments:
    """Of all fake functions."""

    say: str = text("say", "what to put out")
    fail: str = text("fail", "why to fail")


class Deadlock(AssertionError):
    """The engine did not come to an end."""


@frozen
class PodFunction:
    """Runs a pod: made once under a name, ended by the test, read as often as one likes."""

    client: FakeClient
    name: str = "Pod"
    version: str = "v0.0.0"
    arguments: type[Arguments] = Arguments
    unrendered: frozenset[str] = frozenset()

    def advance(self, run: PhaseRun, arguments: Callable[[], Arguments]) -> Step:
        name = pod_name(run)
        try:
            pod = self.client.get(resources.PODS, "app", name)
        except NotFound:
            if run.memo:
                return Failed("outcome unknown: its pod is gone")
            given = arguments()
            body = {"metadata": {"name": name, "namespace": "app"}, "says": given.say}
            pod = self.client.create(resources.PODS, "app", body)
        if not run.memo:
            return Running(memo={"pod": name})
        ended = pod.get("ended")
        if ended is None:
            return Running(waits_for="its pod")
        if ended:
            return Failed(ended)
        return Complete({"said": pod["says"]})

    def cancel(self, run: PhaseRun) -> Step:
        with contextlib.suppress(NotFound):
            self.client.delete(resources.PODS, "app", pod_name(run))
        return Failed("cancelled")

    def so_far(self, run: PhaseRun) -> Mapping[str, Any] | None:
        return {"pod": run.memo["pod"]} if run.memo else None


@frozen
class StepFunction:
    """Writes something that was there before into its memo, then changes it."""

    client: FakeClient
    name: str = "Step"
    version: str = "v0.0.0"
    arguments: type[Arguments] = Arguments
    unrendered: frozenset[str] = frozenset({"raw"})

    def advance(self, run: PhaseRun, arguments: Callable[[], Arguments]) -> Step:
        found = self.client.get(resources.CONFIG_MAPS, "app", "scale")
        if not run.memo:
            return Running(memo={"before": found["data"]})
        fail = arguments().fail
        if fail:
            return Failed(fail)
        wanted = {"by": run.phase}
        if found["data"] != wanted:
            self.client.merge_patch(resources.CONFIG_MAPS, "app", "scale", {"data": wanted})
        return Complete({"before": run.memo["before"]["by"]})

    def cancel(self, run: PhaseRun) -> Step:
        return Failed("cancelled")

    def so_far(self, run: PhaseRun) -> None:
        return None


def pod_name(run: PhaseRun) -> str:
    """Return the name of the pod of a phase."""
    return f"{run.uid[:4]}-{run.action.index}-{run.phase}"


@define
class FakePods:
    """Stands for `phases.PhasePods` where pods are released."""

    client: FakeClient
    #: What was swept up after.
    swept: list[Request] = field(factory=list)
    #: Where pods of earlier processes were looked for.
    looked_after: set[str] = field(factory=set)

    def advance(self, run: PhaseRun, make: Any, result: Any = None, *, part: str = "") -> Step:
        raise NotImplementedError

    def cancel(self, run: PhaseRun, *, part: str = "") -> Step:
        raise NotImplementedError

    def release(self, run: PhaseRun, *, failed: bool) -> bool:
        if "pod" in run.memo and not (failed and run.keep_failed_pod):
            with contextlib.suppress(NotFound):
                self.client.delete(resources.PODS, "app", run.memo["pod"])
        return True

    def look_after(self, namespaces: Iterable[str], deadline: Deadline) -> None:
        self.looked_after |= set(namespaces)

    def sweep(self, request: Request, deadline: Deadline) -> None:
        self.swept.append(request)


@define
class FakeParameters:
    """Stands for `parameters.reader.ParameterReader`."""

    clock: FakeClock
    #: Raised in place of the next answers, in their order; None for an answer.
    failures: list[Exception | None] = field(factory=list)

    def freeze(self, action: Action, namespace: str, deadline: Deadline) -> dict[str, Any]:
        self._fail()
        options = dict(action.options)
        return {"Time": timestamp(self.clock.now()), "Options": options, POD_RECORDS: []}

    def complete(
        self,
        frozen_: Mapping[str, Any],
        action: Action,
        namespace: str,
        deadline: Deadline,
        *,
        phases: Mapping[str, Mapping[str, ObjectReference]],
        deferred: Mapping[str, ObjectReference] | None = None,
    ) -> dict[str, Any]:
        self._fail()
        named = {name: {"Secrets": list(given)} for name, given in phases.items()}
        seen = {name: value for name, value in frozen_.items() if name != POD_RECORDS}
        return {**seen, "Phases": named, "DeferPhase": {}}

    def _fail(self) -> None:
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure


@define
class Trimmed:
    """A cache that shows what the API server has, trimmed as the informer does."""

    client: FakeClient
    resource: Resource

    def get(self, namespace: str, name: str) -> Object | None:
        found = self.client.store(self.resource).get(namespace, name)
        return None if found is None else self._trim(found)

    def by_index(self, index: str, value: str) -> list[Object]:
        every = map(self._trim, self.client.store(self.resource).list())
        return [obj for obj in every if value in INDEXERS[index](obj)]

    def _trim(self, obj: Object) -> Object:
        copied = copy.deepcopy(obj)
        return trim_action_set(copied) if self.resource is ACTION_SETS else copied


class ActionSetWorld:
    """One ActionSet `NAME` with its Blueprint, of which the engine has not heard yet.

    Attributes:
        api: Holds the objects, and tells of each request that was sent.
        clock: Moves when a test says so.
        recorder: Holds the events.
        parameters: Gathers what templates can name.
        renderer: Renders templates.
        pods: Releases pods.
        warnings: What functions have warned of.
        registry: The metrics of all processes so far.
    """

    def __init__(
        self,
        obj: Object | None = None,
        plan: Object | None = None,
        *,
        client: FakeClient | None = None,
    ) -> None:
        self.api = client or FakeClient()
        self.clock = FakeClock(objects.NOW)
        self.recorder = FakeRecorder()
        self.parameters = FakeParameters(self.clock)
        self.renderer = FakeRenderer()
        self.pods = FakePods(self.api)
        self.warnings: list[str] = []
        self.api.put(ACTION_SETS, obj or action_set())
        self.api.put(BLUEPRINTS, plan or blueprint())
        scale = {"metadata": {"name": "scale", "namespace": "app"}, "data": {"by": "nobody"}}
        self.api.put(resources.CONFIG_MAPS, scale)
        self.restart()

    def restart(self) -> None:
        """Start the engine anew: what it remembered is gone."""
        self.registry = CollectorRegistry()
        services = self.services()
        self.reconciler = ActionSetReconciler(
            services=services,
            functions=self.functions(services),
            action_sets=Trimmed(self.api, ACTION_SETS),
            parameters=self.parameters,
            recorder=self.recorder,
            metrics=PhaseMetrics(self.registry),
        )

    def services(self) -> Services:
        """Return what functions work with."""
        return Services(
            client=self.api,  # type: ignore[arg-type]  # the fake has what is called
            pods=self.pods,
            renderer=self.renderer,
            commands=None,  # type: ignore[arg-type]  # no fake function runs one
            clock=self.clock,
            warn=lambda _run, note: self.warnings.append(note),
            image="image",
        )

    def functions(self, _services: Services) -> Registry[Function[Any]]:
        """Return all functions."""
        return Registry[Function[Any]]((PodFunction(self.api), StepFunction(self.api)))

    def reconcile(self, name: str = NAME) -> Result:
        """Reconcile once."""
        deadline = Deadline.after(self.clock, RECONCILE_SECONDS)
        return self.reconciler.reconcile(Request(NAMESPACE, name), deadline)

    def run(self, *, restart: bool = False) -> None:
        """Reconcile, and end the pods that run, until the ActionSet has ended.

        Args:
            restart: Start the engine anew before each reconcile. Default: never.

        Raises:
            Deadlock: It does not end.
        """
        for _ in range(30):
            if restart:
                self.restart()
            self.reconcile()
            if self.is_over():
                return
            self.end_pods()
        raise Deadlock(self.stored())

    def end_pods(self, message: str = "") -> None:
        """End all pods, badly if a message says why."""
        for pod in self.api.store(resources.PODS).list():
            if "ended" not in pod:
                self.api.put(resources.PODS, {**pod, "ended": message})

    def is_over(self) -> bool:
        """Return whether the ActionSet has ended, and nothing of ours is on it."""
        found = self.stored()
        return not found["metadata"].get("finalizers") and self.state() in ("complete", "failed")

    def delete(self) -> None:
        """Delete the ActionSet as a user does: its finalizers keep it."""
        obj = self.stored()
        metadata = {**obj["metadata"], "deletionTimestamp": timestamp(self.clock.now())}
        self.api.put(ACTION_SETS, {**obj, "metadata": metadata})

    def edit(self, change: Object) -> None:
        """Apply a merge patch to the ActionSet as somebody else does."""
        self.api.put(ACTION_SETS, objects.merged(self.stored(), change))

    def stored(self, name: str = NAME) -> Object:
        """Return an ActionSet as it is stored."""
        obj = self.api.store(ACTION_SETS).get(NAMESPACE, name)
        assert obj is not None, f"no ActionSet {name}"
        return obj

    def status(self) -> Object:
        """Return the status of the ActionSet."""
        status: Object = self.stored()["status"]
        return status

    def state(self) -> str:
        """Return the state of the ActionSet; empty for none."""
        state: str = self.stored().get("status", {}).get("state", "")
        return state

    def phases(self, index: int = 0) -> list[str]:
        """Return the phases of an action, each as `name state`, the deferPhase last."""
        found = self.status()["actions"][index]
        every = [*found["phases"], *([found["deferPhase"]] if "deferPhase" in found else ())]
        return [f"{one['name']} {one['state']}" for one in every]

    def error(self) -> str:
        """Return the error of the ActionSet; empty for none."""
        message: str = self.status().get("error", {}).get("message", "")
        return message

    def pod_names(self) -> list[str]:
        """Return the names of all pods."""
        return sorted(pod["metadata"]["name"] for pod in self.api.store(resources.PODS).list())

    def taken(self) -> list[str]:
        """Return the requests since the last call, each as `verb resource name`."""
        return [f"{one.verb} {one.resource} {one.name}" for one in self.api.taken()]
