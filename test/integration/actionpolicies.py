"""The admission policies on ActionSets in force, and who asks for what under them."""

from __future__ import annotations

import contextlib
import uuid
from typing import TYPE_CHECKING, Any, Final

import yaml

from controller.resource import Resource
from e2e.waiting import wait_for
from integration.conftest import NAMESPACES
from integration.policies import MANIFESTS, POLICIES, Site, grant
from integration.running import DEFINITIONS, serves
from reconcilers import resources
from reconcilers.actionset import api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from controller.rest.client import Client, Object

CRDS: Final = MANIFESTS / "kanister-crds"
ACCOUNT: Final = "actionset-controller"
CONTROLLER: Final = f"system:serviceaccount:{{namespace}}:{ACCOUNT}"
ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")

#: Labels of what the controller makes.
MARKS: Final = {api.LABEL_UID: "1", "app.kubernetes.io/managed-by": api.MANAGER}

AUTHORING: Final[Object] = {
    "apiGroups": [api.GROUP],
    "resources": ["actionsets", "blueprints"],
    "verbs": ["*"],
}
#: What an author has to have the right to, by what the policy says of it.
ASKED: Final[Mapping[str, Object]] = {
    "create pods": {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]},
    "create pods/exec": {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]},
    "update statefulsets/scale": {
        "apiGroups": ["apps"],
        "resources": ["statefulsets/scale"],
        "verbs": ["update"],
    },
    "update deployments/scale": {
        "apiGroups": ["apps"],
        "resources": ["deployments/scale"],
        "verbs": ["update"],
    },
}


def action_set(*objects: Object, **metadata: Any) -> Object:
    """Return an ActionSet with an action about each object."""
    actions = [{"name": "backup", "blueprint": "files", "object": obj} for obj in objects]
    return {
        "apiVersion": api.ACTION_SETS.api_version,
        "kind": api.ACTION_SETS.kind,
        "metadata": {"name": "backup", **metadata},
        "spec": {"actions": actions},
    }


def blueprint(**metadata: Any) -> Object:
    """Return a Blueprint with a phase."""
    phase = {"func": "KubeTask", "name": "task", "args": {"image": "a", "command": ["true"]}}
    return {
        "apiVersion": api.BLUEPRINTS.api_version,
        "kind": api.BLUEPRINTS.kind,
        "metadata": {"name": "files", **metadata},
        "actions": {"backup": {"phases": [phase]}},
    }


def install_definitions(client: Client) -> None:
    """Install our CRDs of Kanister's kinds, and wait until they are served."""
    for path in sorted(CRDS.glob("*s.yaml")):
        body = yaml.safe_load(path.read_text())
        client.apply(DEFINITIONS, "", body["metadata"]["name"], body)
    kinds = (api.ACTION_SETS, api.BLUEPRINTS, resources.PROFILES)
    wait_for("the definitions", lambda: all(serves(client, one) for one in kinds))


@contextlib.contextmanager
def another_namespace(client: Client) -> Iterator[str]:
    """Give a namespace of an application."""
    name = f"application-{uuid.uuid4().hex[:8]}"
    client.create(NAMESPACES, "", {"metadata": {"name": name}})
    try:
        yield name
    finally:
        client.delete(NAMESPACES, "", name)


@contextlib.contextmanager
def in_force(client: Client, kubectl: Callable[..., str], kubeconfig: str) -> Iterator[None]:
    """Have the policies in force for the whole cluster."""
    install_definitions(client)
    try:
        with another_namespace(client) as there:
            kubectl("apply", "--kustomize", str(POLICIES))
            _wait_until_in_force(client, Site(client, kubeconfig, there))
        yield
    finally:
        kubectl("delete", "--ignore-not-found", "--kustomize", str(POLICIES))


def install_account(client: Client, namespace: str) -> None:
    """Make the ServiceAccount that the policy on authors knows a controller's namespace by."""
    client.create(ACCOUNTS, namespace, {"metadata": {"name": ACCOUNT}})


def _wait_until_in_force(client: Client, site: Site) -> None:
    """Wait until each policy refuses something: they do a moment after they were made."""
    install_account(client, site.namespace)
    grant(client, site.namespace, "author", [AUTHORING])
    everything = {"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["*"]}
    grant(client, site.namespace, CONTROLLER.format(namespace=site.namespace), [everything])
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other"}}

    def said() -> str:
        tries = (
            ("author", blueprint()),
            (CONTROLLER, secret),
            (CONTROLLER, pod(hostPID=True)),
        )
        return "".join(site.refusal(user, "create", "-f-", obj=obj) for user, obj in tries)

    names = ("actionset-authors", "actionset-controller-writes", "actionset-controller-pods")
    wait_for("the policies", said, lambda words: all(name in words for name in names))


def pod(labels: Mapping[str, str] | None = None, **spec: Any) -> Object:
    """Return the pod of a phase."""
    containers = [{"name": "container", "image": "a"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "phase", "labels": dict(MARKS if labels is None else labels)},
        "spec": {"containers": containers, "restartPolicy": "Never", **spec},
    }
