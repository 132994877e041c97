"""What the plugin of kubectl is tested with: a cluster in memory, and what the plugin prints."""

from __future__ import annotations

import copy
import io
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, cast

from attrs import define, field, frozen

from controller.errors import NotFound
from fakes import objects
from fakes.clock import FakeClock
from reconcilers import resources
from reconcilers.actionset import api as actionset_api
from reconcilers.plugin.cluster import Cluster
from reconcilers.plugin.commands import Commands
from reconcilers.plugin.exits import PluginError
from reconcilers.plugin.gather import EVENTS
from reconcilers.plugin.options import parse_options
from reconcilers.plugin.screen import Paint
from reconcilers.plugin.streams import Streams
from reconcilers.repositoryserver import connection
from reconcilers.repositoryserver.status.conditions import Outcome, desired_status
from reconcilers.repositoryserver.verdict import SERVER_SETUP, Problem
from reconcilers.secrets import data as secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TextIO

    from controller.resource import Object, Resource
    from controller.rest.client import Client
    from controller.rest.podlogs import PodLogs

FINGERPRINT = "a4e5cc16bc0b32235dbd574024114885d5f13580e98221ed3f936a8be47c7332"
LOG = b"SERVER ADDRESS: https://[::]:51515\n"
#: Of the name that the API server makes of a generateName.
SUFFIX = "m4q8z"


@define
class FakeClient:
    """The part of `controller.rest.client.Client` that the plugin uses.

    Attributes:
        failures: What is raised for a verb and a plural, such as `("list", "pods")`.
        asked: Verb, plural, and name of each request, in order; a selector for a list.
        prunes: Fields of a RepositoryServer's `spec.server` that the CRD does not know.
    """

    failures: dict[tuple[str, str], Exception] = field(factory=dict)
    asked: list[tuple[str, str, str]] = field(factory=list)
    prunes: set[str] = field(factory=set)
    page_size: int = 1
    _objects: dict[tuple[Resource, str, str], Object] = field(factory=dict)

    def put(self, resource: Resource, *found: Object) -> None:
        """Store objects."""
        for obj in found:
            key = (resource, obj["metadata"]["namespace"], obj["metadata"]["name"])
            self._objects[key] = copy.deepcopy(obj)

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        self._ask("get", resource, name)
        found = self._objects.get((resource, namespace, name))
        if found is None:
            raise NotFound(404, "NotFound", f'{resource.plural} "{name}" not found')
        return copy.deepcopy(found)

    def list(
        self,
        resource: Resource,
        namespace: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_token: str = "",
    ) -> Object:
        self._ask("list", resource, label_selector or field_selector)
        found = [
            obj
            for (kind, where, _), obj in sorted(self._objects.items(), key=lambda item: item[0][1:])
            if kind == resource
            and where.startswith(namespace)
            and _has(obj["metadata"].get("labels") or {}, label_selector)
            and _has(_fields(obj), field_selector)
        ]
        start = int(continue_token or 0)
        end = start + self.page_size
        metadata = {"continue": str(end)} if end < len(found) else {}
        return {"items": copy.deepcopy(found[start:end]), "metadata": metadata}

    def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        self._ask("create", resource, body["metadata"].get("name", ""))
        made = copy.deepcopy(body)
        prefix = made["metadata"].get("generateName", "")
        made["metadata"].setdefault("name", f"{prefix}{SUFFIX}")
        made["metadata"]["namespace"] = namespace
        self.put(resource, made)
        return made

    def merge_patch(self, resource: Resource, namespace: str, name: str, body: Object) -> Object:
        self._ask("patch", resource, name)
        before = self._objects[resource, namespace, name]
        after = cast("dict[str, Any]", objects.merged(before, body))
        for pruned in self.prunes:
            after["spec"]["server"].pop(pruned, None)
        self.put(resource, after)
        return after

    def _ask(self, verb: str, resource: Resource, name: str) -> None:
        self.asked.append((verb, resource.plural, name))
        if (verb, resource.plural) in self.failures:
            raise self.failures[verb, resource.plural]


@frozen
class FakeLogs:
    """The part of `controller.rest.podlogs.PodLogs` that the plugin uses."""

    opened: list[tuple[str, str, bool]] = field(factory=list)
    pieces: list[bytes] = field(factory=lambda: [LOG[:7], LOG[7:]])

    def open(
        self, namespace: str, pod: str, container: str, *, deadline: object, follow: bool
    ) -> FakeStream:
        self.opened.append((pod, container, follow))
        return FakeStream(self.pieces)


@frozen
class FakeStream:
    """A log in pieces."""

    pieces: list[bytes]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.pieces)


@define
class World:
    """A cluster, and the plugin in front of it."""

    client: FakeClient = field(factory=FakeClient)
    logs: FakeLogs = field(factory=FakeLogs)
    clock: FakeClock = field(factory=FakeClock)
    namespace: str = objects.NAMESPACE

    def run(self, *arguments: str, colours: bool = False) -> Printed:
        """Run a command line as `reconcilers.plugin.main` does."""
        stdout, stderr = io.BytesIO(), io.StringIO()
        streams = Streams(stdout, cast("TextIO", stderr))
        cluster = Cluster(
            cast("Client", self.client), cast("PodLogs", self.logs), self.namespace, self.clock
        )
        try:
            options = parse_options(arguments)
            code = Commands(cluster, streams, Paint(colours)).run(options)
        except PluginError as error:
            streams.say(str(error))
            code = error.code
        return Printed(code, stdout.getvalue().decode(), stderr.getvalue())


@frozen
class Printed:
    """What a command has come to."""

    code: int
    stdout: str
    stderr: str


def healthy(name: str = "files", change: Mapping[str, Any] | None = None) -> Object:
    """Return a server that serves, with its status."""
    outcome = Outcome(
        (),
        available=True,
        pod_name=f"{name}-0123456789-hh4zl",
        service_name=f"repo-server-{name}",
        url=f"https://repo-server-{name}.{objects.NAMESPACE}.svc:51515",
        fingerprint=FINGERPRINT,
        kopia_version="0.23.1",
        not_after="2026-12-31T00:00:00Z",
        maintenance={
            "result": "Succeeded",
            "lastRunTime": "2025-12-31T22:00:00Z",
            "lastSuccessTime": "2025-12-31T22:00:00Z",
        },
    )
    repository = {"maintenance": {"schedule": "0 3 * * *"}}
    return server(name, outcome, {"spec": {"repository": repository}}, change or {})


def failing(name: str = "archive", *problems: Problem) -> Object:
    """Return a server whose Secret with the location is missing, with its status."""
    missing = secrets.MISSING.format(
        ref=f"{objects.NAMESPACE}/{name}-location", field="spec.storage.secretRef"
    )
    found = problems or (Problem(SERVER_SETUP, secrets.REASON_MISSING, missing),)
    outcome = Outcome(found, available=False, service_name=f"repo-server-{name}")
    return server(name, outcome)


def server(name: str, outcome: Outcome, *changes: Mapping[str, Any]) -> Object:
    """Return a server with the status that the controller writes for an outcome."""
    obj = objects.repository_server({"metadata": {"name": name, "uid": f"uid-of-{name}"}})
    for change in changes:
        obj = objects.merged(obj, change)
    generation = obj["metadata"]["generation"]
    now = objects.NOW - timedelta(minutes=5)
    return {**obj, "status": desired_status({}, outcome, generation=generation, now=now)}


def pod(name: str, suffix: str = "0123456789-hh4zl", status: Object | None = None) -> Object:
    """Return a pod of a server."""
    obj = objects.pod(status or objects.serving(), name=f"{name}-{suffix}")
    key, _, value = connection.pod_selector(name).partition("=")
    obj["metadata"]["labels"] = {key: value}
    obj["metadata"]["creationTimestamp"] = "2025-12-31T23:55:00Z"
    return obj


def event(name: str, reason: str, message: str, *, minutes: int, warning: bool = False) -> Object:
    """Return an event about a server, some minutes ago."""
    when = objects.NOW - timedelta(minutes=minutes)
    return {
        "metadata": {"name": f"{name}.{reason.lower()}", "namespace": objects.NAMESPACE},
        "involvedObject": {"uid": f"uid-of-{name}"},
        "type": "Warning" if warning else "Normal",
        "reason": reason,
        "message": message,
        "eventTime": when.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }


def blueprint(name: str = "postgres", *actions: str) -> Object:
    """Return a Blueprint with actions."""
    return {
        "metadata": {"name": name, "namespace": objects.NAMESPACE},
        "actions": {action: {} for action in actions or ("backup", "restore", "delete")},
    }


def action_set(name: str, state: str, change: Mapping[str, Any] | None = None) -> Object:
    """Return an ActionSet of a database, with one artifact."""
    target = {"kind": "statefulset", "name": "db", "namespace": "shop"}
    obj = {
        "metadata": {"name": name, "namespace": objects.NAMESPACE},
        "spec": {
            "actions": [
                {
                    "name": "backup",
                    "blueprint": "postgres",
                    "object": target,
                    "options": {"repositoryServer": f"{objects.NAMESPACE}/files"},
                    "preferredVersion": "v1.0.0-alpha",
                }
            ]
        },
        "status": {
            "state": state,
            "actions": [
                {
                    "name": "backup",
                    "blueprint": "postgres",
                    "object": target,
                    "artifacts": {"dump": {"keyValue": {"backupID": "0123"}}},
                    "phases": [{"name": "dump", "state": state}],
                }
            ],
        },
    }
    result: Object = objects.merged(obj, change or {})
    return result


def world() -> World:
    """Return a cluster with a server that serves, one that fails, and a Blueprint."""
    made = World()
    made.client.put(connection.RESOURCE, healthy(), failing())
    made.client.put(resources.SECRETS, objects.users_secret({"web": "password-of-web"}))
    made.client.put(resources.PODS, pod("files"))
    made.client.put(
        EVENTS,
        event("files", "RevisionCreated", "created ReplicaSet files-0123456789", minutes=5),
        event(
            "files", "ServerReady", "clients can connect to service repo-server-files", minutes=4
        ),
        event(
            "archive",
            secrets.REASON_MISSING,
            failing()["status"]["conditions"][0]["message"],
            minutes=5,
            warning=True,
        ),
    )
    made.client.put(actionset_api.BLUEPRINTS, blueprint())
    made.client.put(actionset_api.ACTION_SETS, action_set("backup-x7k2p", "complete"))
    return made


def _fields(obj: Object) -> dict[str, str]:
    return {"involvedObject.uid": (obj.get("involvedObject") or {}).get("uid", "")}


def _has(values: Mapping[str, str], selector: str) -> bool:
    key, _, value = selector.partition("=")
    return not selector or values.get(key) == value
