"""Public Blueprints as test data, each action with a target that fits and all that it names.

The folder is named by a variable that hack/test sets where the folder is there. Nothing is known of
a Blueprint beforehand: what its templates look into is read from them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import yaml
from attrs import frozen

from controller.resource import Resource
from fakes import application
from reconcilers import resources
from reconcilers.actionset.api import Action, ObjectReference

if TYPE_CHECKING:
    from collections.abc import Iterator


Object = dict[str, Any]

#: Names the folder.
VARIABLE = "RSC_TEST_BLUEPRINTS"

HOME = "kanister"
ELASTICSEARCHES = Resource("elasticsearch.k8s.elastic.co", "v1", "elasticsearches", "Elasticsearch")
#: For all other objects that somebody's operator knows.
DATABASES = Resource("operators.example", "v1", "databases", "Database")
WORKLOADS = ("StatefulSet", "Deployment", "DeploymentConfig")
#: Where the data is of which an output of an earlier phase says where it is.
DATA = "/outputs"
#: The status of objects that are made or waited for: it meets all conditions.
MET: Object = {
    "health": "green",
    "state": "ready",
    "finishTime": "2026-01-02T03:04:05Z",
    "finished": ["rack-0"],
    "restoreKey": "key",
    "containerStatuses": [{"name": "db", "ready": True}],
    "conditions": [{"type": "ContainersReady", "status": "True"}],
}

_TEMPLATE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_TOP = re.compile(r"(?<![\w)\]])\.([A-Z]\w*)")
_ARTIFACT = re.compile(r"\.ArtifactsIn\.(\w+)\.(KeyValue\.(\w+)|KopiaSnapshot)")
_OUTPUT = re.compile(r"\.Phases\.(\w+)\.Output\.(\w+)")
_OUTPUT_DEFERRED = re.compile(r"\.DeferPhase\.Output\.(\w+)")
_NAMED = re.compile(r"\.(Secrets|ConfigMaps)\.(\w+)\.")
_DATA = re.compile(r"\.Data(?:\.(\w+)| \"([^\"]+)\")")
_OBJECT_DATA = re.compile(r"\.Object\.data(?:\.(\w+)| \"([^\"]+)\")")
_OBJECT_FIELD = re.compile(r"\.Object\.((?:spec|status)(?:\.\w+)+)")
_OBJECT_LABEL = re.compile(r"\.Object\.metadata\.labels \"([^\"]+)\"")
_MANIFEST = re.compile(r"^apiVersion: *([\w./-]+)\s+kind: *(\w+)", re.MULTILINE)
_PATH = re.compile(r"(?:path|location|prefix|dir)$", re.IGNORECASE)
_NUMBER = re.compile(r"count|replicas", re.IGNORECASE)


class Store(Protocol):
    """Takes objects."""

    def put(self, resource: Resource, *objects: Object) -> None:
        """Store objects."""


@frozen
class Case:
    """One action of one Blueprint.

    Attributes:
        name: The Blueprint's file and the action.
        blueprint: The Blueprint's file, in the folder.
        action_name: The action's name.
        action: The action, as the Blueprint has it.
        templates: All that stands between braces in it, one a line.
    """

    name: str
    action: Object
    templates: str
    blueprint: str = ""
    action_name: str = ""

    @property
    def tops(self) -> set[str]:
        """What its templates begin with, such as `StatefulSet`."""
        return set(_TOP.findall(self.templates))

    @property
    def phases(self) -> list[Object]:
        """Its phases in their order, the deferPhase last, which need not have a name."""
        deferred = self.action.get("deferPhase")
        return [*self.action["phases"], *([{"name": "", **deferred}] if deferred else [])]

    def outputs(self, phase: str) -> dict[str, str]:
        """Return outputs of a phase: those that the templates of others name.

        Args:
            phase: Its name, as it is written; that of a deferPhase may be empty.
        """
        found = [key for name, key in _OUTPUT.findall(self.templates) if name == phase]
        deferred = self.action.get("deferPhase")
        if deferred and deferred.get("name", "") == phase:
            found += _OUTPUT_DEFERRED.findall(self.templates)
        return {key: _output(key) for key in found}

    @property
    def kinds(self) -> list[Resource]:
        """The kinds of the objects that its phases create."""
        specs = [phase["args"].get("spec") for phase in self.phases]
        found = [one for spec in specs if isinstance(spec, str) for one in _MANIFEST.findall(spec)]
        return [
            Resource(group, version, f"{kind.lower()}s", kind)
            for (group, _, version), kind in ((name.rpartition("/"), kind) for name, kind in found)
        ]


def cases() -> list[Case]:
    """Return all actions of all Blueprints; none without the folder."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return []
    found = []
    for path in sorted(Path(folder).rglob("*.y*ml")):
        for blueprint in yaml.safe_load_all(path.read_text()):
            found += cases_of(blueprint, str(path.relative_to(folder)))
    return found


def cases_of(blueprint: Object, file: str) -> list[Case]:
    """Return all actions of a Blueprint.

    Args:
        blueprint: The Blueprint.
        file: What it is called.
    """
    found = []
    for name, action in blueprint["actions"].items():
        templates = "\n".join(match for text in _texts(action) for match in _TEMPLATE.findall(text))
        found.append(Case(f"{file}: {name}", action, templates, file, name))
    return found


def action_of(case: Case, api: Store) -> Action:
    """Return an action for a Blueprint's, and store what it names.

    Args:
        case: The Blueprint's action.
        api: Gets the target, and Secrets with all keys that any template looks for.
    """
    values = values_of(case)
    for alias in ("named", "store-keys"):
        api.put(resources.SECRETS, application.secret(alias, {"id": "1", "key": "2", **values}))
    api.put(resources.CONFIG_MAPS, application.config_map("named", values))
    api.put(resources.PROFILES, application.profile())
    named = _NAMED.findall(re.sub(r"\.Phases\.\w+\.(Secrets|ConfigMaps)", "", case.templates))
    artifacts: dict[str, Object] = {}
    for name, _, key in _ARTIFACT.findall(case.templates):
        artifact = artifacts.setdefault(name, {"keyValue": {}, "kopiaSnapshot": "{}"})
        if key:
            # Some take from there what there is: an action reads no other namespace.
            there = {"pvc": application.CLAIM}
            if key.lower().endswith("namespace"):
                there[key] = application.NAMESPACE
            elif _NUMBER.search(key):
                there[key] = "1"
            artifact["keyValue"][key] = there.get(key, f"a-{key.lower()}")
    here = ObjectReference("named", application.NAMESPACE)
    return Action(
        0,
        "any",
        "any",
        _target(case, api),
        artifacts=artifacts,
        secrets={alias: here for kind, alias in named if kind == "Secrets"},
        config_maps={alias: here for kind, alias in named if kind == "ConfigMaps"},
        profile=ObjectReference("store", application.NAMESPACE) if "Profile" in case.tops else None,
    )


def stored(references: Object, case: Case, api: Store) -> dict[str, ObjectReference]:
    """Return the objects of a phase, stored, with all keys that any template looks for.

    Args:
        references: Its `objects`, rendered.
        case: The Blueprint's action.
        api: Gets them.
    """
    found = {}
    for alias, one in references.items():
        found[alias] = ObjectReference(one["name"], one.get("namespace", ""), one["kind"])
        values = values_of(case)
        api.put(resources.SECRETS, application.secret(one["name"], values, one["namespace"]))
    return found


def values_of(case: Case) -> dict[str, str]:
    """Return a value for each key of a Secret or ConfigMap that a template looks for."""
    keys = {one or other for one, other in _DATA.findall(case.templates)}
    return {key: f"value-of-{key}" for key in sorted(keys)}


def _target(case: Case, api: Store) -> ObjectReference:
    """Store a target that has what the templates look into, and return the reference to it."""
    namespace = application.NAMESPACE
    asked = sorted(set(_OBJECT_LABEL.findall(case.templates)))
    labels = {key: f"label-{number}" for number, key in enumerate(asked)} | application.LABELS
    for kind in WORKLOADS:
        if kind in case.tops:
            application.application(api, kind, {"metadata": {"labels": labels}})
            return ObjectReference("db", namespace, kind)
    application.application(api)
    if "PVC" in case.tops:
        return ObjectReference(application.CLAIM, namespace, "pvc")
    if "Namespace" in case.tops or any(map(_is_namespace, case.phases)):
        return ObjectReference(namespace, namespace, "namespace")
    resource, obj = _object(case, labels)
    api.put(resource, obj)
    return ObjectReference(
        "db", namespace, resource.kind, resource.version, resource.group, resource.plural
    )


def _object(case: Case, labels: dict[str, str]) -> tuple[Resource, Object]:
    """Return an object that has what the templates look into, and what it is one of."""
    metadata = {"name": "db", "namespace": application.NAMESPACE, "uid": "uid-db", "labels": labels}
    if ".Object.spec.nodeSets" in case.templates:
        cluster = {
            "metadata": metadata,
            "spec": {"nodeSets": [{"name": "default", "count": 3}]},
            "status": {"health": "green"},
        }
        return ELASTICSEARCHES, cluster
    fields = [field.split(".") for field in _OBJECT_FIELD.findall(case.templates)]
    if fields:
        database: Object = {"metadata": metadata}
        for field in fields:
            _fill(database, field)
        return DATABASES, database
    keys = [one or other for one, other in _OBJECT_DATA.findall(case.templates)]
    values = {key: f"value-of-{key}" for key in keys}
    if "b64dec" in case.templates:
        return resources.SECRETS, application.secret("db", values)
    return resources.CONFIG_MAPS, {**application.config_map("db", values), "metadata": metadata}


def _is_namespace(phase: Object) -> bool:
    """Return whether a phase acts in the namespace that the object is."""
    return bool(phase["args"].get("namespace") == "{{ .Object.metadata.name }}")


def _fill(obj: Object, path: list[str]) -> None:
    """Give an object a field; what templates look into is a map, or a list with a claim."""
    *parts, last = path
    for part in parts:
        inner = obj.setdefault(part, {})
        if not isinstance(inner, dict):
            inner = obj[part] = {}
        obj = inner
    claim = [{"persistentVolumeClaim": {"claimName": application.CLAIM}}]
    obj.setdefault(last, claim if last == "volumes" else f"value-of-{last.lower()}")


def _output(key: str) -> str:
    """Return an output that fits what it is used for, by its key."""
    if key.lower().endswith("namespace"):
        return application.NAMESPACE
    if _NUMBER.search(key):
        return "1"
    return f"{DATA}/{key}" if _PATH.search(key) else f"output-{key}"


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, list):
        for one in node:
            yield from _texts(one)
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from _texts(key)
            yield from _texts(value)
