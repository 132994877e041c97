"""Plays public Blueprints: the real engine and renderer, and containers that record what is asked.

The cluster is that of the simulation without its faults. Each Blueprint has one of its own, with a
workload, its claims and Secrets, and a RepositoryServer for the data functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import define, evolve, field, frozen

from fakes import application, dataphases, objects, publicblueprints
from fakes.simulation.actionsets.engine import Engine
from fakes.simulation.actionsets.kubelet import PhaseNodes
from fakes.simulation.actionsets.tools import Tools
from fakes.simulation.apiserver import ApiServer
from fakes.simulation.cluster import SimulatedCluster
from fakes.simulation.workloads import WorkloadController
from reconcilers import resources
from reconcilers.actionset.api import ACTION_SETS, BLUEPRINTS, LABEL_UID
from reconcilers.actionset.blueprint import DEFER_PHASE
from reconcilers.repositoryserver import connection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.resource import Object, Resource
    from fakes.publicblueprints import Case
    from fakes.simulation.apiserver import Change
    from reconcilers.actionset.api import Action, ObjectReference
    from reconcilers.actionset.templates.renderer import Renderer

HOME: Final = objects.NAMESPACE
CONTAINERS_READY: Final = {"type": "ContainersReady", "status": "True"}
#: What a chart calls the workload that is `db` here.
SAME: Final = {"release-mongodb": application.NAME}
#: Groups of Kubernetes itself: what is of these is there without an operator.
SERVED_GROUPS: Final = ("", "apps", "batch")
#: Seconds after which an action that has not ended never will.
PATIENCE: Final = 3600.0
#: Functions of Kanister's that ran restic: they need the version that is ours.
OF_DATA: Final = ("BackupData", "RestoreData", "DeleteData", "CopyVolumeData")


@frozen
class Played:
    """What came of one action.

    Attributes:
        case: The action.
        state: Of its ActionSet.
        error: Of its ActionSet; empty without one.
        phases: Each as `name state`.
        asked: The commands that containers were asked to run.
        artifacts: What it has put out.
    """

    case: Case
    state: str
    error: str
    phases: tuple[str, ...]
    asked: tuple[tuple[str, ...], ...]
    artifacts: Mapping[str, Any]


class GenerousApi(ApiServer):
    """Has each Secret and workload of the application that is asked for: names are rendered."""

    #: What each of these Secrets holds.
    values: Mapping[str, str]
    #: The name that a Blueprint has for the workload, if it knows one.
    workload: str = application.NAME

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        resource = self.canonical(resource)
        if resource == resources.STATEFUL_SETS and name in SAME:
            self.workload, name = name, SAME[name]
        if namespace == application.NAMESPACE and self.find(resource, namespace, name) is None:
            metadata = {"name": name, "uid": f"uid-{name}"}
            if resource == resources.SECRETS:
                self.put(resource, application.secret(name, self.values))
            elif resource == resources.STATEFUL_SETS:
                labels = {"matchLabels": {"app": name}}
                change = {"metadata": metadata, "spec": {"selector": labels, "replicas": 0}}
                self.put(resource, application.workload(change=change))
        return super().get(resource, namespace, name)


class PlayCluster(SimulatedCluster):
    """The cluster of one Blueprint."""

    api: GenerousApi

    def __init__(self, renderer: Renderer) -> None:
        super().__init__(0)
        self.api = GenerousApi(self.clock)
        self._renderer = renderer
        #: Of the objects for which there is an operator.
        self.kinds: set[Resource] = set()
        self.tools = Tools(lambda _: {})
        self.nodes = PhaseNodes(self.api, self.agenda, self.random, self.clock, self.tools.program)
        WorkloadController(self.api, self.agenda)
        self.api.listen(self._run)

    def make_process(self) -> Engine:
        engine = Engine(
            nodes=self.nodes,
            renderer=self._renderer,
            executor=self.tools,
            image="functions:1",
            **self.common(),
        )
        self.tools.strands = engine.strands
        return engine

    def _run(self, change: Change) -> None:
        """Run a pod that a phase has created by KubeOps; do what another such object asks for."""
        if change.resource == resources.PODS and change.old is None:
            pod = change.obj
            if "status" not in pod and LABEL_UID not in (pod["metadata"].get("labels") or {}):
                status = {"phase": "Running", "conditions": [CONTAINERS_READY]}
                self.agenda.after(1.0, lambda: self.api.write_status(resources.PODS, pod, status))
        elif change.resource in self.kinds and change.old is None:
            made = change.obj
            status = publicblueprints.MET
            self.agenda.after(1.0, lambda: self.api.write_status(change.resource, made, status))


@define
class Play:
    """Plays the actions of one Blueprint, one after the other."""

    renderer: Renderer
    blueprint: Object
    cases: list[Case]
    cluster: PlayCluster = field(init=False)
    _artifacts: dict[str, Any] = field(factory=dict)

    def run(self) -> list[Played]:
        """Play them as a user does: what deletes comes last, and takes what others have put out."""
        self.cluster = PlayCluster(self.renderer)
        api = self.cluster.api
        metadata = {"name": "played", "namespace": HOME}
        api.create(BLUEPRINTS, {"metadata": metadata, "actions": self.blueprint["actions"]})
        api.put(connection.RESOURCE, dataphases.server())
        api.put(resources.SECRETS, *objects.all_secrets())
        self.cluster.kinds = {
            api.canonical(kind)
            for case in self.cases
            for kind in case.kinds
            if kind.group not in SERVED_GROUPS
        }
        self.cluster.start_controller()
        order = {"backup": 0, "delete": 2}
        return [
            self._play(case)
            for case in sorted(self.cases, key=lambda one: order.get(one.action_name, 1))
        ]

    def _play(self, case: Case) -> Played:
        api, tools = self.cluster.api, self.cluster.tools
        action = publicblueprints.action_of(case, Store(api))
        prepare(api, case)
        artifacts = {
            name: self._artifacts.get(name) or given for name, given in action.artifacts.items()
        }
        tools.asked.clear()
        # A command in a container that is there does not say of which phase it is.
        tools.outputs = lambda phase: _outputs(case, phase)
        name = f"play-{case.action_name.lower()}"
        made = api.create(
            ACTION_SETS,
            {
                "apiVersion": ACTION_SETS.api_version,
                "kind": ACTION_SETS.kind,
                "metadata": {"name": name, "namespace": HOME},
                "spec": {"actions": [spec_of(evolve(action, artifacts=artifacts), case)]},
            },
        )
        for _ in range(int(PATIENCE / 60)):
            self.cluster.run(60)
            found = api.get(ACTION_SETS, HOME, made["metadata"]["name"])
            if (found.get("status") or {}).get("state") in ("complete", "failed"):
                break
        status = found.get("status") or {}
        [done] = status.get("actions") or [{}]
        deferred = [done["deferPhase"]] if done.get("deferPhase") else []
        self._artifacts |= done.get("artifacts") or {}
        return Played(
            case=case,
            state=status.get("state", ""),
            error=(status.get("error") or {}).get("message", ""),
            phases=tuple(
                f"{one['name']} {one['state']}" for one in (*done.get("phases", ()), *deferred)
            ),
            asked=tuple(tools.asked),
            artifacts=done.get("artifacts") or {},
        )


@frozen
class Store:
    """Takes objects as `fakes.apireader.FakeReader` does, and keeps those that run on."""

    api: ApiServer

    def put(self, resource: Resource, *found: Object) -> None:
        for obj in found:
            metadata = {"namespace": "", **obj["metadata"]}
            if self.api.find(resource, metadata["namespace"], metadata["name"]) is None:
                self.api.put(resource, obj)
            elif resource in (resources.SECRETS, resources.CONFIG_MAPS):
                self.api.merge_patch(resource, metadata["namespace"], metadata["name"], obj)


def prepare(api: GenerousApi, case: Case) -> None:
    """Store what the phases of an action name beside its target."""
    api.values = publicblueprints.values_of(case)
    named = [claim for phase in case.phases for claim in phase["args"].get("volumes") or ()]
    for name in ("data-db-0", "data-db-1", *(claim for claim in named if "{{" not in claim)):
        metadata = {"name": name, "namespace": application.NAMESPACE, "uid": name}
        spec = {"accessModes": ["ReadWriteOnce"]}
        api.put(resources.PERSISTENT_VOLUME_CLAIMS, {"metadata": metadata, "spec": spec})
    for pod in list(api.list(resources.PODS)):
        if pod["metadata"]["namespace"] == application.NAMESPACE:
            api.put(resources.PODS, with_containers(pod, case))


def with_containers(pod: Object, case: Case) -> Object:
    """Return a pod of the application with the containers that an action names."""
    containers = {one["name"]: one for one in pod["spec"]["containers"]}
    for phase in case.phases:
        name, path = phase["args"].get("container", ""), phase["args"].get("includePath", "")
        if name:
            name = application.NAME if "{{" in name else name
            path = publicblueprints.DATA if "{{" in path else path
            mounts = [{"name": "data", "mountPath": path}] if path else []
            containers[name] = {"name": name, "image": name, "volumeMounts": mounts}
    status = {"containerStatuses": [{"name": name, "ready": True} for name in sorted(containers)]}
    return {
        **pod,
        "spec": {**pod["spec"], "containers": list(containers.values())},
        "status": {**pod.get("status", {}), **status},
    }


def spec_of(action: Action, case: Case) -> Object:
    """Return an action as a user writes it."""
    functions = {phase["func"] for phase in case.phases}
    of_data = any(name.startswith(OF_DATA) for name in functions)
    server = f"{HOME}/{objects.NAME}"
    spec: Object = {
        "name": case.action_name,
        "blueprint": "played",
        "object": _reference(action.object),
        "artifacts": action.artifacts,
        "secrets": {alias: _reference(one) for alias, one in action.secrets.items()},
        "configMaps": {alias: _reference(one) for alias, one in action.config_maps.items()},
        "options": {"repositoryServer": server} if of_data else {},
    }
    if action.profile is not None:
        spec["profile"] = _reference(action.profile)
    if of_data:
        spec["preferredVersion"] = dataphases.ALPHA
    return spec


def _outputs(case: Case, phase: str) -> dict[str, str]:
    """Return what a phase puts out: what the templates of others name of it."""
    found: dict[str, str] = {}
    for one in case.phases:
        if phase in ("", one["name"] or DEFER_PHASE):
            found |= case.outputs(one["name"])
    # What the function itself puts together.
    found.pop("BackupAllInfo", None)
    return found


def _reference(one: ObjectReference) -> Object:
    fields = {
        "name": one.name,
        "namespace": one.namespace,
        "kind": one.kind,
        "apiVersion": one.api_version,
        "group": one.group,
        "resource": one.resource,
    }
    return {key: value for key, value in fields.items() if value}
