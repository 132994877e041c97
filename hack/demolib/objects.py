"""Kubernetes objects as the demo handles them: pure functions over plain dicts."""

from __future__ import annotations

import base64
import copy
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from storelib.servers import Store

Object = dict[str, Any]

# On every object that the demo makes, and how `--down` knows them again.
LABEL = "app.kubernetes.io/managed-by"
LABEL_VALUE = "hack-demo"
SELECTOR = f"{LABEL}={LABEL_VALUE}"

# Marks what the samples leave to the reader to replace. The same one twice is the same password.
PLACEHOLDER = "placeholder-"

SERVER_IMAGE_VARIABLE = "RSC_SERVER_IMAGE"
POD_OVERRIDE_VARIABLE = "RSC_POD_OVERRIDE"

# What the manifests and the samples call images.
CONTROLLER_IMAGE = "repository-server-controller"
POSTGRES_IMAGE = "postgres:17"
# A variable of a container that names an image.
FUNCTIONS_IMAGE_VARIABLE = "ASC_FUNCTIONS_IMAGE"

# Of the sample's client: where the server is.
CONNECTION_VOLUME = "connection"

# Changes with the image's content where its name stays, so that a new build is rolled out.
BUILD_ANNOTATION = "hack-demo/build"


class Identity(NamedTuple):
    """What tells one object from all others.

    Attributes:
        kind: as in the manifest.
        namespace: empty for what has none.
        name: the object's name.
    """

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Return it in words."""
        inside = f" in {self.namespace}" if self.namespace else ""
        return f"{self.kind} {self.name}{inside}"


@dataclass(frozen=True)
class Images:
    """The images that a cluster has or can pull.

    Attributes:
        controller: the controller's.
        kopia: the one of the server, the client and the Job that makes the repository; empty for
            the one that the manifests name.
        build: tells one build of the controller's image from another of the same name.
        postgres: PostgreSQL's; empty for the one that the sample names.
    """

    controller: str
    kopia: str
    build: str = ""
    postgres: str = ""


@dataclass(frozen=True)
class Plan:
    """What to do about wanted objects.

    Attributes:
        apply: those that are missing or the demo's own.
        foreign: those that somebody else made; the demo leaves them as they are.
    """

    apply: list[Object]
    foreign: list[Identity]


@dataclass(frozen=True)
class Outcome:
    """What an apply has done.

    Attributes:
        made: how many objects were not there before.
        changed: how many were there and are another now.
        same: how many were there and are what they were.
        foreign: what is not the demo's, and was left alone.
    """

    made: int = 0
    changed: int = 0
    same: int = 0
    foreign: tuple[Identity, ...] = ()

    def __str__(self) -> str:
        """Return it in words."""
        counts = {"made": self.made, "changed": self.changed, "as before": self.same}
        words = [f"{count} {word}" for word, count in counts.items() if count]
        words += [f"left alone, as others made it: {foreign}" for foreign in self.foreign]
        return "; ".join(words)


def parse(text: str) -> list[Object]:
    """Return the objects of kubectl's JSON: nothing, one, several one after the other, or Lists."""
    decoder, rest = json.JSONDecoder(), text.lstrip()
    found: list[Object] = []
    while rest:
        document, end = decoder.raw_decode(rest)
        found += document["items"] if document["kind"] == "List" else [document]
        rest = rest[end:].lstrip()
    return found


def identity(obj: Mapping[str, Any]) -> Identity:
    """Return what tells the object from all others."""
    metadata = obj["metadata"]
    return Identity(obj["kind"], metadata.get("namespace", ""), metadata["name"])


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    """Return the objects of some kinds."""
    return [obj for obj in objects if obj["kind"] in kinds]


def labelled(objects: Iterable[Object]) -> list[Object]:
    """Return copies that carry the demo's label."""
    copies = copy.deepcopy(list(objects))
    for obj in copies:
        obj["metadata"].setdefault("labels", {})[LABEL] = LABEL_VALUE
    return copies


def is_ours(obj: Mapping[str, Any]) -> bool:
    """Tell whether the demo made the object."""
    return bool(obj["metadata"].get("labels", {}).get(LABEL) == LABEL_VALUE)


def with_images(objects: Iterable[Object], images: Images) -> list[Object]:
    """Return copies whose containers, and the controller's servers, take the images given.

    Args:
        objects: of the manifests; what has no containers is copied only.
        images: in place of the names that the manifests give.
    """
    copies = copy.deepcopy(list(objects))
    for obj in copies:
        pod = _pod_of(obj)
        for container in pod.get("spec", {}).get("containers", []):
            if container["name"] == "controller":
                container["image"] = images.controller
            elif images.kopia:
                container["image"] = images.kopia
            if container["name"] == "controller" and images.kopia:
                # Over the image that the settings file names.
                others = [
                    variable
                    for variable in container.get("env", [])
                    if variable["name"] != SERVER_IMAGE_VARIABLE
                ]
                image = {"name": SERVER_IMAGE_VARIABLE, "value": images.kopia}
                container["env"] = [*others, image]
        if obj["kind"] == "Deployment" and images.build:
            pod["metadata"].setdefault("annotations", {})[BUILD_ANNOTATION] = images.build
    return copies


def names_of(images: Images) -> dict[str, str]:
    """Return what the images are called, by the names that the manifests give them."""
    names = {CONTROLLER_IMAGE: images.controller, POSTGRES_IMAGE: images.postgres}
    return {name: image for name, image in names.items() if image}


def with_names(objects: Iterable[Object], names: Mapping[str, str]) -> list[Object]:
    """Return copies in which images have other names, in containers and in Blueprints.

    Args:
        objects: of the manifests.
        names: the images by the names that the manifests give.
    """
    return [_with_names(obj, names) for obj in objects]


def _with_names(node: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(node, list):
        return [_with_names(value, names) for value in node]
    if not isinstance(node, dict):
        return node
    named = {"value"} if node.get("name") == FUNCTIONS_IMAGE_VARIABLE else set[str]()
    named |= {key for key in node if key.lower().endswith("image")}
    return {
        key: names.get(value, value) if key in named else _with_names(value, names)
        for key, value in node.items()
    }


def taking_overrides(objects: Iterable[Object], mode: str) -> list[Object]:
    """Return copies whose controller takes overrides.

    Args:
        objects: of the manifests.
        mode: which, as `--pod-override` says it.
    """
    copies = copy.deepcopy(list(objects))
    for obj in of_kind(copies, "Deployment"):
        for container in _pod_of(obj)["spec"]["containers"]:
            for variable in container.get("env", []):
                if variable["name"] == POD_OVERRIDE_VARIABLE:
                    variable["value"] = mode
    return copies


def stored_in(sample: Iterable[Object], store: Store) -> list[Object]:
    """Return copies of a sample's objects that tell of a store.

    Args:
        sample: a RepositoryServer, its Secrets and the Job that makes its repository.
        store: what their Secrets, the server and the Job are told.
    """
    copies = copy.deepcopy(list(sample))
    for obj in copies:
        name = obj["metadata"]["name"]
        if obj["kind"] == "Secret" and name.endswith("-location"):
            prefix = obj["stringData"]["prefix"]
            obj["stringData"] = {**store.location, "prefix": prefix}
        if obj["kind"] == "Secret" and name.endswith("-credential"):
            obj["stringData"] = dict(store.credential)
        if obj["kind"] == "RepositoryServer" and store.pod_override:
            obj["spec"]["server"]["podOverride"] = store.pod_override
        if obj["kind"] == "Job":
            for container in _pod_of(obj)["spec"]["containers"]:
                container["env"] += [
                    {"name": name, "value": value} for name, value in store.variables.items()
                ]
    return copies


def plan(wanted: Sequence[Object], existing: Sequence[Object]) -> Plan:
    """Decide about wanted objects: the demo never changes what it did not make."""
    foreign = [identity(obj) for obj in existing if not is_ours(obj)]
    return Plan([obj for obj in wanted if identity(obj) not in foreign], foreign)


def compare(
    before: Iterable[Object], after: Sequence[Object], foreign: Iterable[Identity] = ()
) -> Outcome:
    """Say what an apply has done, by the versions of the objects before and after it."""
    versions = {identity(obj): obj["metadata"]["resourceVersion"] for obj in before}
    found = [versions.get(identity(obj)) for obj in after]
    made = found.count(None)
    same = sum(
        version == obj["metadata"]["resourceVersion"]
        for version, obj in zip(found, after, strict=True)
    )
    return Outcome(made, len(after) - made - same, same, tuple(foreign))


def missing_secrets(
    wanted: Iterable[Object], existing: Sequence[Object], generate: Callable[[], str]
) -> list[Object]:
    """Return the Secrets to create, with passwords in place of the samples' placeholders.

    A placeholder that stands in a Secret that exists already has that Secret's value everywhere.

    Args:
        wanted: Secrets of the samples, with `stringData`.
        existing: those of them that the cluster has, with `data`.
        generate: makes a new password.
    """
    there = {identity(obj): obj for obj in existing}
    secrets, passwords = list(wanted), dict[str, str]()
    for secret in secrets:
        data = there.get(identity(secret), {}).get("data", {})
        for key, value in secret["stringData"].items():
            if value.startswith(PLACEHOLDER) and key in data:
                passwords[value] = base64.b64decode(data[key]).decode()
    missing = copy.deepcopy([secret for secret in secrets if identity(secret) not in there])
    for secret in missing:
        for key, value in secret["stringData"].items():
            if value.startswith(PLACEHOLDER):
                secret["stringData"][key] = passwords.setdefault(value, generate())
    return missing


def local_volume(claim: Mapping[str, Any], path: str) -> Object:
    """Return a volume for a claim on a cluster that provisions none.

    Args:
        claim: the PersistentVolumeClaim, which this volume is kept for.
        path: the folder on the node, which must be there.
    """
    whose = identity(claim)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{whose.namespace}-{whose.name}"},
        "spec": {
            "accessModes": claim["spec"]["accessModes"],
            "capacity": claim["spec"]["resources"]["requests"],
            "claimRef": {"namespace": whose.namespace, "name": whose.name},
            "hostPath": {"path": path, "type": "Directory"},
            "persistentVolumeReclaimPolicy": "Retain",
        },
    }


def connected_by(client: Iterable[Object], secret: str) -> list[Object]:
    """Return copies of the sample's client that read where the server is from a Secret.

    Args:
        client: the objects of the sample.
        secret: the name of the Secret.
    """
    copies = copy.deepcopy(list(client))
    for obj in of_kind(copies, "Pod"):
        for volume in obj["spec"]["volumes"]:
            if volume["name"] == CONNECTION_VOLUME:
                volume["secret"]["secretName"] = secret
    return copies


def reads(pod: Mapping[str, Any], secret: str) -> bool:
    """Tell whether a pod mounts a Secret."""
    volumes = pod["spec"].get("volumes", [])
    return any(volume.get("secret", {}).get("secretName") == secret for volume in volumes)


def others(objects: Iterable[Object]) -> list[Identity]:
    """Return what in a namespace neither the demo nor the cluster made.

    What has an owner goes with it, and is not counted.
    """
    from_the_cluster = {("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")}
    return [
        identity(obj)
        for obj in objects
        if not is_ours(obj)
        and not obj["metadata"].get("ownerReferences")
        and not obj["metadata"].get("deletionTimestamp")
        and (obj["kind"], obj["metadata"]["name"]) not in from_the_cluster
    ]


def _pod_of(obj: Object) -> Object:
    """Return the Pod, or the template of one, that an object has; else something empty."""
    template: Object = obj.get("spec", {}).get("template", {})
    return obj if obj["kind"] == "Pod" else template
