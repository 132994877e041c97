"""The admission policies of manifests/policies in force, and who asks for what under them."""

from __future__ import annotations

import contextlib
import copy
import json
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from controller.resource import Resource
from e2e.waiting import wait_for
from integration.conftest import NAMESPACES
from integration.running import install_definition
from integration.serverobjects import REPOSITORY_SERVERS, SERVER
from reconcilers import resources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.rest.client import Client, Object

MANIFESTS = Path(__file__).parents[2] / "manifests"
POLICIES = MANIFESTS / "policies"

ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
AUTHOR = "author"
BUILDER = "builder"
CONTROLLER = "system:serviceaccount:{namespace}:repository-server-controller"

#: The last one as Helm calls it.
ACCOUNTS_OF_OPERATORS = (
    "repository-server-controller",
    "actionset-controller",
    "kanister-operator",
    "release-kanister-operator",
)

SERVERS_ONLY: list[Object] = [
    {"apiGroups": ["cr.kanister.io"], "resources": ["repositoryservers"], "verbs": ["*"]}
]
PODS: Object = {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}
CHILDREN: list[Object] = [
    {"apiGroups": ["", "apps", "batch", "networking.k8s.io"], "resources": ["*"], "verbs": ["*"]},
    {"apiGroups": ["cr.kanister.io"], "resources": ["profiles"], "verbs": ["*"]},
]

# Merged as a change into what a row of a table starts with.
LABELS: Object = {"app.kubernetes.io/managed-by": "repository-server-controller"}
INSTANCE: Object = {"cr.kanister.io/repository-server": "files"}
BOTH: Object = {**LABELS, **INSTANCE}


def server(name: str, settings: Object) -> Object:
    obj = copy.deepcopy(SERVER)
    obj["metadata"]["name"] = name
    obj["spec"]["server"].update(settings)
    return obj


REVISION_NAME = "files-0123456789"
POD_NAME = f"{REVISION_NAME}-abcde"


def owner(kind: str, api_version: str, name: str = "files") -> list[Object]:
    return [{"apiVersion": api_version, "kind": kind, "name": name, "uid": "1"}]


OURS = owner("RepositoryServer", "cr.kanister.io/v1alpha1")

CONTAINER: Object = {"name": "repo-server-container", "image": "kopia"}
ADDED: Object = {"capabilities": {"add": ["SYS_ADMIN"]}}
TEMPLATE: Object = {
    "metadata": {"labels": INSTANCE},
    "spec": {"containers": [CONTAINER], "restartPolicy": "Always"},
}
REVISION: Object = {"replicas": 0, "selector": {"matchLabels": INSTANCE}, "template": TEMPLATE}
ENDING: Object = {"spec": {"template": {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}}}
DAILY: Object = {"schedule": "@daily", "jobTemplate": ENDING}
SERVICE: Object = {"ports": [{"port": 51515}]}
PAIR: Object = {"tls.crt": "YQ==", "tls.key": "YQ=="}
POD: Object = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": POD_NAME,
        "generateName": f"{REVISION_NAME}-",
        "labels": BOTH,
        "ownerReferences": owner("ReplicaSet", "apps/v1", REVISION_NAME),
    },
    "spec": {"containers": [CONTAINER]},
}

KINDS = {
    one.kind: one
    for one in (
        resources.SECRETS,
        resources.SERVICES,
        resources.NETWORK_POLICIES,
        resources.REPLICA_SETS,
        resources.CRON_JOBS,
        resources.JOBS,
        resources.PODS,
    )
}
ANNOTATED: Object = {"metadata": {"annotations": {"a": "b"}}}
#: What the API server says to an object that is no child.
LACKS = "the controller writes and deletes children of RepositoryServers only"


def secret(name: str, **metadata: object) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, **metadata}}


def profile(name: str, **metadata: object) -> Object:
    kind = {"apiVersion": resources.PROFILES.api_version, "kind": resources.PROFILES.kind}
    return {**kind, "metadata": {"name": name, **metadata}, "location": {"type": "kopia"}}


def child(
    kind: str,
    *,
    name: str = REVISION_NAME,
    labels: Object | None = None,
    ownerReferences: list[Object] | None = None,  # noqa: N803 - as the field
    annotations: Object | None = None,
    **content: object,
) -> Object:
    """Return a child of a RepositoryServer, or what looks like one."""
    metadata: Object = {
        "name": name,
        "labels": BOTH if labels is None else labels,
        "ownerReferences": OURS if ownerReferences is None else ownerReferences,
        "annotations": annotations or {},
    }
    return {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": metadata, **content}


class Site:
    """A namespace with three users, and a way to ask as one of them.

    Args:
        client: An administrator's.
        kubeconfig: Of an administrator.
        namespace: The namespace.
    """

    def __init__(self, client: Client, kubeconfig: str, namespace: str) -> None:
        self.client = client
        self.kubeconfig = kubeconfig
        self.namespace = namespace

    def run(
        self, user: str, *arguments: str, obj: Object | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as a user."""
        command = [
            "kubectl",
            f"--kubeconfig={self.kubeconfig}",
            f"--namespace={self.namespace}",
            f"--as={user.format(namespace=self.namespace)}",
            *arguments,
        ]
        return subprocess.run(  # noqa: S603 - the arguments are those of the tests
            command,
            input="" if obj is None else json.dumps(obj),
            capture_output=True,
            text=True,
            check=False,
        )

    def make(self, obj: Object) -> str:
        """Create an object as an administrator, and return how kubectl names it.

        A ReplicaSet that owns it is made before: the pods of one that is not there are deleted.
        """
        resource, made = KINDS[obj["kind"]], copy.deepcopy(obj)
        for one in made["metadata"].get("ownerReferences") or ():
            if one["kind"] == resources.REPLICA_SETS.kind:
                body = {"metadata": {"name": one["name"]}, "spec": {**REVISION, "replicas": 1}}
                owner_ = self.client.create(resources.REPLICA_SETS, self.namespace, body)
                one["uid"] = owner_["metadata"]["uid"]
        self.client.create(resource, self.namespace, made)
        kind = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
        return f"{kind}/{obj['metadata']['name']}"

    def refusal(self, user: str, *arguments: str, obj: Object | None = None) -> str:
        """Return what the API server says to a change of a user; empty if it takes it."""
        ran = self.run(user, *arguments, "--dry-run=server", obj=obj)
        return "" if ran.returncode == 0 else ran.stderr

    def patch(self, user: str, change: Object, what: str) -> str:
        """Return what the API server says to a merge patch; empty if it takes it."""
        return self.refusal(user, "patch", what, "--type=merge", f"--patch={json.dumps(change)}")


def grant(client: Client, namespace: str, user: str, rules: list[Object]) -> None:
    name = user.rpartition(":")[2]
    client.create(ROLES, namespace, {"metadata": {"name": name}, "rules": rules})
    reference = {"apiGroup": ROLES.group, "kind": ROLES.kind, "name": name}
    subject = {"apiGroup": ROLES.group, "kind": "User", "name": user}
    binding = {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
    client.create(ROLE_BINDINGS, namespace, binding)


def leave_behind(client: Client, namespace: str, obj: Object) -> None:
    """Make the pod and the Service that the removed controller had for a RepositoryServer."""
    metadata = obj["metadata"]
    reference = {
        "apiVersion": REPOSITORY_SERVERS.api_version,
        "kind": REPOSITORY_SERVERS.kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }
    name = "repo-server-{}-x7k2p"
    container = {"name": "repo-server-container", "image": "removed"}
    for resource, kind, spec in (
        (resources.PODS, "pod", {"containers": [container]}),
        (resources.SERVICES, "service", {"ports": [{"port": 51515}]}),
    ):
        made = {"name": name.format(kind), "ownerReferences": [reference]}
        client.create(resource, namespace, {"metadata": made, "spec": spec})


def legacy(client: Client, namespace: str) -> list[str]:
    """Return the names of what the removed controller has left."""
    return [
        obj["metadata"]["name"]
        for resource in (resources.PODS, resources.SERVICES)
        for obj in client.list(resource, namespace)["items"]
        if obj["metadata"]["name"].endswith("-x7k2p")
    ]


@contextlib.contextmanager
def in_force(client: Client, kubectl: Callable[..., str], kubeconfig: str) -> Iterator[None]:
    """Have the policies in force for the whole cluster."""
    install_definition(client)
    # One of before may still be going.
    there = f"policies-are-in-force-{uuid.uuid4().hex[:8]}"
    client.create(NAMESPACES, "", {"metadata": {"name": there}})
    try:
        kubectl("apply", "--kustomize", str(POLICIES))
        wait_until_in_force(client, Site(client, kubeconfig, there))
        yield
    finally:
        kubectl("delete", "--ignore-not-found", "--kustomize", str(POLICIES))
        client.delete(NAMESPACES, "", there)


def wait_until_in_force(client: Client, site: Site) -> None:
    """Wait until each policy refuses something: they do a moment after they were made."""
    grant(client, site.namespace, CONTROLLER.format(namespace=site.namespace), CHILDREN)
    grant(client, site.namespace, AUTHOR, SERVERS_ONLY)
    powerful = copy.deepcopy(REVISION)
    powerful["template"]["spec"]["hostPID"] = True

    def said() -> str:
        tries = (
            (CONTROLLER, secret("other")),
            (CONTROLLER, child("ReplicaSet", spec=powerful)),
            (AUTHOR, server("files", {"podOverride": {}})),
        )
        return "".join(site.refusal(user, "create", "-f-", obj=obj) for user, obj in tries)

    names = [
        f"repository-server-{name}" for name in ("authors", "controller-writes", "controller-pods")
    ]
    wait_for("the policies", said, lambda words: all(name in words for name in names))
