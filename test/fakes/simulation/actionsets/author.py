"""Who writes Blueprints and ActionSets, and remembers what each of them asks for."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from fakes import application, objects
from fakes.simulation.actionsets import works
from fakes.simulation.actionsets.works import APP, WORKS
from reconcilers import resources
from reconcilers.actionset.api import (
    ACTION_SETS,
    ANNOTATION_KEEP_FAILED_POD,
    ANNOTATION_REPEATABLE,
    ANNOTATION_TIMEOUT,
    BLUEPRINTS,
)

if TYPE_CHECKING:
    from random import Random

    from controller.resource import Object
    from fakes.simulation.apiserver import ApiServer

PLANS = ("dump", "copy", "move")
DEFER = "tidy"
#: What a program has of a Secret, in its command.
SECRET, KEY = "creds", "password"

_TARGET = {
    "apiVersion": "v1",
    "resource": "configmaps",
    "kind": "ConfigMap",
    "name": "db",
    "namespace": APP,
}
_IN_APP = {"namespace": APP}


@frozen
class Plan:
    """What the only action of a Blueprint is to do.

    Attributes:
        phases: Names of its phases, each with what it does: a key of `WORKS`.
        deferred: What the deferPhase does; "" without one.
        repeatable: Which phases may run twice.
        artifact: Whether there is an output artifact: what the last phase has put out.
    """

    phases: dict[str, str]
    deferred: str
    repeatable: tuple[str, ...]
    artifact: bool

    @property
    def all(self) -> dict[str, str]:
        """All phases, the deferPhase last."""
        return {**self.phases, **({DEFER: self.deferred} if self.deferred else {})}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all phases, the deferPhase last."""
        return tuple(self.all)

    def work(self, phase: str) -> works.Work:
        """What a phase does."""
        return WORKS[self.all[phase]]


@frozen
class Wanted:
    """One ActionSet, as it was created.

    Attributes:
        uid: Its uid.
        tokens: What each of its actions is known by.
        plans: What each is to do.
        timeout: Whether its phases have a time limit.
        keeps_failed: Whether the pods of failed phases are to stay.
    """

    uid: str
    tokens: tuple[str, ...]
    plans: tuple[Plan, ...]
    timeout: bool
    keeps_failed: bool


@define
class Author:
    """Writes Blueprints and ActionSets."""

    api: ApiServer
    random: Random
    #: What each Blueprint is to do, by its name.
    plans: dict[str, Plan] = field(factory=dict)
    #: All ActionSets there ever were, by uid.
    wanted: dict[str, Wanted] = field(factory=dict)
    #: Values that must be nowhere but in Secrets and commands.
    confidential: set[str] = field(factory=set)
    _versions: int = 0
    _count: int = 0

    def begin(self) -> None:
        """Write all Blueprints, their target, the pod of commands and the Secret."""
        metadata = {"name": "db", "namespace": APP}
        self.api.create(resources.CONFIG_MAPS, {"metadata": metadata, "data": {"size": "3"}})
        self.api.put(resources.PODS, application.pod(works.POD, change={"metadata": _IN_APP}))
        self.write_secret()
        for name in PLANS:
            self.plans[name] = self._plan()
            self.write_blueprint(name)

    def write_secret(self) -> None:
        """Write another password."""
        password = f"phase-pass-{self.random.randrange(10**9)}"
        encoded = base64.b64encode(password.encode()).decode()
        self.confidential |= {password, encoded}
        secret = {
            "metadata": {"name": SECRET, "namespace": objects.NAMESPACE},
            "data": {KEY: encoded},
        }
        self._write(resources.SECRETS, secret)

    def write_blueprint(self, name: str) -> None:
        """Write a Blueprint: the same plan, in another version."""
        self._versions += 1
        plan = self.plans[name]
        phases = [self._phase(plan, phase, f"v{self._versions}") for phase in plan.phases]
        action: Object = {"phases": phases}
        if plan.deferred:
            action["deferPhase"] = self._phase(plan, DEFER, f"v{self._versions}")
        if plan.artifact:
            path = _output(plan, list(plan.phases)[-1])
            action["outputArtifacts"] = {"data": {"keyValue": {"path": path}}}
        repeatable = {ANNOTATION_REPEATABLE: ",".join(plan.repeatable)} if plan.repeatable else {}
        metadata = {"name": name, "namespace": objects.NAMESPACE, "annotations": repeatable}
        self._write(BLUEPRINTS, {"metadata": metadata, "actions": {"run": action}})

    def create(self, name: str = "") -> str:
        """Create an ActionSet, and return its name."""
        self._count += 1
        name = name or f"set-{self._count}"
        chosen = [self.random.choice(PLANS) for _ in range(self.random.choice((1, 1, 2)))]
        tokens = tuple(f"t{self._count}x{index}" for index in range(len(chosen)))
        for one, token in zip(chosen, tokens, strict=True):
            self._prepare(self.plans[one], token)
        annotations: dict[str, str] = {}
        if self.random.random() < 0.15:
            annotations[ANNOTATION_TIMEOUT] = self.random.choice(("30s", "10m"))
        if self.random.random() < 0.2:
            annotations[ANNOTATION_KEEP_FAILED_POD] = "true"
        actions = [
            {
                "name": "run",
                "blueprint": blueprint,
                "object": dict(_TARGET),
                "options": {"token": token},
                "secrets": {SECRET: {"name": SECRET, "namespace": objects.NAMESPACE}},
            }
            for blueprint, token in zip(chosen, tokens, strict=True)
        ]
        made = self.api.create(
            ACTION_SETS,
            {
                "apiVersion": ACTION_SETS.api_version,
                "kind": ACTION_SETS.kind,
                "metadata": {
                    "name": name,
                    "namespace": objects.NAMESPACE,
                    "annotations": annotations,
                },
                "spec": {"actions": actions},
            },
        )
        uid = made["metadata"]["uid"]
        self.wanted[uid] = Wanted(
            uid=uid,
            tokens=tokens,
            plans=tuple(self.plans[one] for one in chosen),
            timeout=ANNOTATION_TIMEOUT in annotations,
            keeps_failed=ANNOTATION_KEEP_FAILED_POD in annotations,
        )
        return name

    def of_token(self, token: str) -> tuple[Wanted, int]:
        """Return the ActionSet that a token is of, and which of its actions."""
        for one in self.wanted.values():
            if token in one.tokens:
                return one, one.tokens.index(token)
        raise KeyError(token)

    def _plan(self) -> Plan:
        kinds = [kind for kind, share in works.SHARES.items() for _ in range(share)]
        phases = {f"p{n}": self.random.choice(kinds) for n in range(self.random.randint(1, 3))}
        deferred = self.random.choice(kinds) if self.random.random() < 0.6 else ""
        names = [*phases, *((DEFER,) if deferred else ())]
        repeatable = tuple(name for name in names if self.random.random() < 0.2)
        return Plan(phases, deferred, repeatable, artifact=self.random.random() < 0.7)

    def _phase(self, plan: Plan, name: str, version: str) -> Object:
        token, secret = "{{ .Options.token }}", f"{{{{ .Secrets.{SECRET}.data.{KEY} }}}}"
        before = [one for one in plan.phases if one < name]
        given = [_output(plan, before[-1])] if before and name != DEFER else []
        words = works.command(token, name, version, secret, *given)
        work = plan.work(name)
        args = {"namespace": self.random.choice((APP, objects.NAMESPACE))}
        return {
            "name": name,
            "func": work.function,
            "args": args | work.arguments(name, version, words),
        }

    def _prepare(self, plan: Plan, token: str) -> None:
        """Make what the phases of an action are about."""
        for phase, kind in plan.all.items():
            before = WORKS[kind].before
            if not before:
                continue
            name = works.object_name(before, token, phase)
            metadata = {"name": name, "namespace": APP}
            if kind != works.SCALE:
                self.api.create(resources.CONFIG_MAPS, {"metadata": metadata})
                continue
            selector = {"matchLabels": {"app": name}}
            spec = {"replicas": works.ORIGINAL, "selector": selector}
            body = {"kind": "StatefulSet", "metadata": metadata, "spec": spec}
            made = self.api.create(resources.STATEFUL_SETS, body)
            change = {"metadata": {**_IN_APP, "labels": {"app": name}}}
            owner = made["metadata"]["uid"]
            self.api.put(
                resources.PODS, application.pod(f"{name}-0", owned_by=owner, change=change)
            )

    def _write(self, resource: Any, obj: Object) -> None:
        metadata = obj["metadata"]
        if self.api.find(resource, metadata["namespace"], metadata["name"]) is None:
            self.api.create(resource, obj)
        else:
            self.api.merge_patch(resource, metadata["namespace"], metadata["name"], obj)


def _output(plan: Plan, phase: str) -> str:
    return f"{{{{ .Phases.{phase}.Output.{plan.work(phase).output} }}}}"
