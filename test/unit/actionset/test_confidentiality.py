"""No value of an argument gets into status, annotations, events or log, whatever is wrong with it.

Every argument of every function is tried as a text, a list and a map, on an API server that repeats
what it is sent in each of its refusals.
"""

from __future__ import annotations

import contextlib
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import pytest
from attrs import define, evolve, field
from prometheus_client import CollectorRegistry

from controller.commands import Commands
from controller.errors import ClientError, Forbidden, Invalid
from controller.metrics import Metrics
from fakes.actionsets import ActionSetWorld, action, action_set, blueprint
from fakes.executions import Pods
from fakes.phaseclient import PhaseClient
from fakes.phaseworld import Informer
from fakes.podlogs import FakeLogs
from fakes.workloads import STATEFUL_SETS, workload
from reconcilers.actionset.functions.catalogue import catalogue
from reconcilers.actionset.phases.builder import Policy
from reconcilers.actionset.phases.follower import Follower
from reconcilers.actionset.phases.pods import PhasePods
from reconcilers.datafunctions.arguments import arguments_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.resource import Resource
    from reconcilers.actionset.function import Function
    from reconcilers.actionset.services import Services
    from reconcilers.datafunctions.registry import Registry

#: With a slash it is no name of an object or a namespace: those may be said.
SECRET: Final = "S3cret/Value+1234"
TEMPLATE: Final = "{{ .Options.secret }}"
SHAPES: Final = (TEMPLATE, [TEMPLATE], {TEMPLATE: TEMPLATE})

#: What the other arguments are, so that there is nothing wrong with them.
PLAUSIBLE: Final[Mapping[str, Any]] = {
    "namespace": "app",
    "pod": "db-0",
    "pods": "db-0",
    "container": "main",
    "containers": "main",
    "image": "tools:1",
    "command": ["dump"],
    "replicas": "0",
    "operation": "create",
    "spec": "{apiVersion: v1, kind: ConfigMap, metadata: {name: made}}",
    "timeout": "1m",
    "conditions": {
        "anyOf": [
            {
                "objectReference": {
                    "apiVersion": "v1",
                    "resource": "configmaps",
                    "name": "scale",
                    "namespace": "app",
                },
                "condition": "{{ $.x }}",
            }
        ]
    },
    "backgroundImage": "tools:1",
    "backgroundCommand": ["dump"],
    "outputImage": "tools:1",
    "outputCommand": ["push"],
    "includePath": "/data",
    "volume": "data",
    "restorePath": "/data",
    "backupArtifactPrefix": "prefix",
    "dataArtifactPrefix": "prefix",
    "backupID": "0" * 32,
    "backupIdentifier": "0" * 32,
    "backupInfo": "{}",
}


@define
class Repeating(PhaseClient):
    """Refuses what is written, but for ActionSets and their frozen Secrets, and repeats it."""

    refusal: type[Any] = field(default=Invalid)

    def _act(
        self,
        verb: str,
        resource: Resource,
        name: str,
        body: Mapping[str, Any] | None = None,
        subresource: str = "",
    ) -> None:
        super()._act(verb, resource, name, body, subresource)
        if verb in ("get", "list") or resource.plural == "actionsets" or "actionset-" in name:
            return
        said = f"spec.x: Invalid value: {json.dumps(body)}"
        raise self.refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", said)


class World(ActionSetWorld):
    """An engine with all of its functions."""

    def services(self) -> Services:
        client: Any = self.api
        config_maps = {"name": "configmaps", "kind": "ConfigMap", "namespaced": True}
        client.served = {("", "v1"): [config_maps]}
        pods = PhasePods(
            client=client,
            pods=Informer(client, synced=False, blind=True),
            follow=lambda _namespace: None,
            follower=Follower("logs", FakeLogs(), clock=self.clock, spawn=lambda _work: None),
            policy=Policy("kanister", "engine"),
            clock=self.clock,
        )
        commands = Commands(
            "commands",
            Pods(),
            clock=self.clock,
            metrics=Metrics(CollectorRegistry()),
            enqueue=lambda _request: None,
            spawn=lambda work: work(),
        )
        return evolve(super().services(), pods=pods, commands=commands)

    def functions(self, services: Services) -> Registry[Function[Any]]:
        return catalogue(services)

    def shown(self) -> str:
        """Return all that people see of the ActionSet, but for what they have written."""
        obj = self.stored()
        return json.dumps(
            [
                obj.get("status"),
                obj["metadata"].get("annotations"),
                self.recorder.lines(),
                self.warnings,
            ]
        )


def tried(function: Function[Any], name: str, shape: Any, refusal: type[Any]) -> World:
    """Return the world after an ActionSet of a function with the secret in one argument."""
    known = {argument.name for argument in arguments_of(function.arguments).values()}
    args = {key: value for key, value in PLAUSIBLE.items() if key in known} | {name: shape}
    plan = blueprint(backup={"phases": [{"name": "p", "func": function.name, "args": args}]})
    obj = action_set(action(options={"secret": SECRET}, preferredVersion=function.version))
    world = World(obj, plan, client=Repeating(refusal=refusal))
    world.api.put(STATEFUL_SETS, workload(STATEFUL_SETS))
    for _ in range(4):
        with contextlib.suppress(ClientError):
            world.reconcile()
        world.clock.step(400)
    return world


def every_function() -> list[Any]:
    """Return all functions, one a case."""
    world = World(client=Repeating())
    functions = world.functions(world.services())
    return [pytest.param(one, id=f"{one.name} {one.version}") for one in functions]


@pytest.mark.parametrize("refusal", [Invalid, Forbidden], ids=lambda one: str(one.__name__))
@pytest.mark.parametrize("function", every_function())
def test_it_is_seen_nowhere(function: Function[Any], refusal: type[Any], logged: list[Any]) -> None:
    for argument in arguments_of(function.arguments).values():
        for shape in SHAPES:
            world = tried(function, argument.name, shape, refusal)

            assert SECRET not in world.shown(), argument.name
            assert SECRET not in str(logged), argument.name


def test_what_is_tried_reaches_the_api_server_and_is_repeated_by_it() -> None:
    (found,) = (one.values[0] for one in every_function() if one.id == "KubeTask v0.0.0")

    world = tried(found, "command", [TEMPLATE], Invalid)

    assert SECRET in json.dumps(world.api.bodies)
    assert "the API server does not take the pod: spec.x: Invalid value" in world.error()
