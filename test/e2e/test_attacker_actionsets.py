"""Who may write ActionSets and Blueprints, and nothing else, gets no further.

The controller of ActionSets is installed from the manifests as they are, and has the rights of
manifests/application in the namespace of a victim. The attacker is tried without the admission
policies and with them. With them, whoever has stolen the token of that controller changes nothing
of the victim's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from attrs import field, frozen

from controller.leaderelection.lease import LEASES
from controller.resource import Resource
from e2e import cluster as sessions
from e2e.cluster import CLAIMS, DEPLOYMENTS, NAMESPACES
from e2e.installation import MANIFESTS
from e2e.waiting import wait_for
from reconcilers import resources
from reconcilers.actionset import api
from reconcilers.actionset.options import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from controller.resource import Object
    from e2e.cluster import Cluster

pytestmark = pytest.mark.alone

NAMESPACE: Final = f"{sessions.NAMESPACE}-actionsets"
VICTIM: Final = f"{NAMESPACE}-victim"
#: A namespace that the controller has no right in.
THIRD: Final = sessions.NAMESPACE
ATTACKER: Final = "attacker"
IMAGE: Final = "repository-server-controller"
POLICIES: Final = MANIFESTS / "policies"
#: Of the victim's: what the attacker may name but not read.
CREDENTIAL: Final = "victims-credential"
#: Of nobody's, in the controller's namespace.
CLAIM: Final = "evil"

ROLES: Final = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDINGS: Final = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
RULES: Final[list[Object]] = [
    {"apiGroups": [api.GROUP], "resources": ["actionsets", "blueprints"], "verbs": ["*"]}
]
CLAIM_RULES: Final[list[Object]] = [
    {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["get"]}
]


@frozen
class Way:
    """A way to more power than the attacker has.

    Args:
        what: It, in words.
        function: The function of the only phase.
        arguments: Its arguments.
        refusal: A part of the message.
        action: What the ActionSet says beside that.
        objects: Secrets that the phase names.
    """

    what: str
    function: str
    arguments: Object
    refusal: str
    action: Object = field(factory=dict)
    objects: Object = field(factory=dict)


def task(override: Object | None = None, **arguments: Any) -> Object:
    """Return the arguments of a KubeTask that ends at once."""
    given = {"namespace": VICTIM, "image": IMAGE, "command": ["true"], **arguments}
    return given if override is None else {**given, "podOverride": override}


def on_container(**change: Any) -> Object:
    return {"containers": [{"name": "container", **change}]}


def of_volume(**volume: Any) -> Object:
    return {"volumes": [{"name": "evil", **volume}]}


NOT_ALLOWED: Final = "is not allowed"

WAYS: Final = (
    Way(
        "the controller's account",
        "KubeTask",
        task({"serviceAccountName": PROGRAM}, namespace=NAMESPACE),
        "that is the account of an operator",
    ),
    Way(
        "the controller's account by an argument",
        "PrepareData",
        task(namespace=NAMESPACE, serviceaccount=PROGRAM, volumes={CLAIM: "/evil"}),
        "that is the account of an operator",
    ),
    Way("a pod in a third namespace", "KubeTask", task(namespace=THIRD), THIRD),
    Way("processes of the node", "KubeTask", task({"hostPID": True}), "hostPID"),
    Way("network of the node", "KubeTask", task({"hostNetwork": True}), "hostNetwork"),
    Way("memory of the node", "KubeTask", task({"hostIPC": True}), "hostIPC"),
    Way("a node of choice", "KubeTask", task({"nodeName": "node"}), "nodeName"),
    Way("files of the node", "KubeTask", task(of_volume(hostPath={"path": "/"})), "hostPath"),
    Way(
        "privileged",
        "KubeTask",
        task(on_container(securityContext={"privileged": True})),
        "privileged",
    ),
    Way(
        "a capability",
        "KubeTask",
        task(on_container(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}})),
        "capabilities",
    ),
    Way(
        "another image, by the ActionSet",
        "KubeTask",
        task(),
        NOT_ALLOWED,
        action={"podOverride": on_container(image="evil")},
    ),
    Way(
        "the victim's Secret as files, by the ActionSet",
        "KubeTask",
        task(),
        NOT_ALLOWED,
        action={"podOverride": of_volume(secret={"secretName": CREDENTIAL})},
    ),
    Way(
        "a Secret of a third namespace, by the ActionSet",
        "KubeTask",
        task(),
        "reads only what is in the namespace",
        action={"secrets": {"evil": {"name": CREDENTIAL, "namespace": THIRD}}},
    ),
    Way(
        "a Secret of a third namespace, by the Blueprint",
        "KubeTask",
        task(),
        "reads only what is in the namespace",
        objects={"evil": {"kind": "Secret", "name": CREDENTIAL, "namespace": THIRD}},
    ),
    Way(
        "a command in a third namespace",
        "KubeExec",
        {"namespace": THIRD, "pod": "evil", "command": ["true"]},
        THIRD,
    ),
    Way(
        "a workload of a third namespace",
        "ScaleWorkload",
        {"namespace": THIRD, "name": "evil", "kind": "Deployment", "replicas": 0},
        THIRD,
    ),
    Way(
        "further rights",
        "KubeOps",
        {
            "namespace": VICTIM,
            "operation": "create",
            "spec": json.dumps(
                {
                    "apiVersion": ROLES.api_version,
                    "kind": ROLES.kind,
                    "metadata": {"name": "evil"},
                    "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
                }
            ),
        },
        "does not touch objects of the group rbac.authorization.k8s.io",
    ),
)

MARKS: Final = {api.LABEL_UID: "1", "app.kubernetes.io/managed-by": api.MANAGER}


def stolen(resource: Resource, metadata: Object, **content: Any) -> Object:
    """Return an object of the victim's namespace that somebody makes with the stolen token."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": "evil", "namespace": VICTIM, **metadata},
        **content,
    }


def stolen_pod(**spec: Any) -> Object:
    containers = [{"name": "evil", "image": "evil"}]
    content = {"containers": containers, **spec}
    return stolen(resources.PODS, {"labels": MARKS}, spec=content)


#: What somebody makes with the controller's token, and how it is refused.
MADE_WITH_ITS_TOKEN: Final = {
    "a pod of no ActionSet": (
        stolen(resources.PODS, {}, spec={"containers": [{"name": "evil", "image": "evil"}]}),
        "this one lacks their labels",
    ),
    "a token of another account": (
        stolen(
            resources.SECRETS,
            {"labels": MARKS, "annotations": {"kubernetes.io/service-account.name": "default"}},
            type="kubernetes.io/service-account-token",
        ),
        "of the type Opaque only",
    ),
    "files of the node": (
        stolen_pod(volumes=[{"name": "evil", "hostPath": {"path": "/"}}]),
        "files of the node",
    ),
    "processes of the node": (stolen_pod(hostPID=True), "namespaces of a node"),
    "a Role": (
        stolen(ROLES, {}, rules=[{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]),
        'cannot create resource "roles"',
    ),
}

#: What it does to what is there.
DONE_WITH_ITS_TOKEN: Final = {
    "a Secret is changed": (
        ("patch", f"secret/{CREDENTIAL}", "--type=merge", '--patch={"data": {"a": "YQ=="}}'),
        'cannot patch resource "secrets"',
    ),
    "a Secret is deleted": (
        ("delete", f"secret/{CREDENTIAL}"),
        'cannot delete resource "secrets"',
    ),
    "a pod is deleted": (("delete", "pod/victim"), "this one lacks their labels"),
}


@frozen
class Attacker:
    """An account that may write ActionSets and Blueprints, with a controller that runs them.

    Args:
        cluster: Where it is.
    """

    cluster: Cluster

    def creates(self, *objects: Object) -> str:
        """Return what the API server says to objects; empty if it takes them."""
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        ran = self.cluster.kubectl.attempt(
            "create", f"--as={ATTACKER}", "--filename=-", stdin=listed
        )
        return "" if ran.code == 0 else ran.complaint

    def tries(self, *arguments: str, stdin: str = "") -> str:
        """Return what the API server says to a request with the controller's token."""
        account = f"system:serviceaccount:{NAMESPACE}:{PROGRAM}"
        ran = self.cluster.kubectl.attempt(
            *arguments,
            f"--as={account}",
            f"--namespace={VICTIM}",
            "--dry-run=server",
            stdin=stdin,
        )
        return "" if ran.code == 0 else ran.complaint

    def message(self, name: str) -> str:
        """Return why an ActionSet has failed; empty before it has."""
        found = self.cluster.get(api.ACTION_SETS, name, NAMESPACE)
        status = (found or {}).get("status") or {}
        error: str = (status.get("error") or {}).get("message", "")
        return error if status.get("state") == "failed" else ""

    def pods(self) -> list[str]:
        """Return the pods of phases, in all namespaces."""
        label = f"app.kubernetes.io/managed-by={api.MANAGER}"
        printed = self.cluster.kubectl.run("get", "pods", "-A", "-o=name", f"-l={label}")
        return printed.split()


def both(name: str, way: Way) -> tuple[Object, Object]:
    """Return the Blueprint and the ActionSet of a way."""
    metadata = {"name": name, "namespace": NAMESPACE}
    phase = {"func": way.function, "name": "evil", "args": way.arguments, "objects": way.objects}
    blueprint = {
        "apiVersion": api.BLUEPRINTS.api_version,
        "kind": api.BLUEPRINTS.kind,
        "metadata": metadata,
        "actions": {"evil": {"phases": [phase]}},
    }
    target = {"kind": "Namespace", "name": VICTIM, "namespace": VICTIM}
    action = {"name": "evil", "blueprint": name, "object": target, **way.action}
    action_set = {
        "apiVersion": api.ACTION_SETS.api_version,
        "kind": api.ACTION_SETS.kind,
        "metadata": metadata,
        "spec": {"actions": [action]},
    }
    return blueprint, action_set


def overlay(cluster: Cluster, directory: Path, components: Sequence[str]) -> Path:
    """Write an overlay that installs the controller as it is, but for the image of the tests."""
    name, _, tag = cluster.controller_image.rpartition(":")
    relative = Path(*[".."] * (len(directory.resolve().parts) - 1))
    manifests = relative / MANIFESTS.resolve().relative_to("/")
    content = {
        "namespace": NAMESPACE,
        "components": [str(manifests / name) for name in components],
        "images": [{"name": IMAGE, "newName": name, "newTag": tag}],
    }
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return directory


def application(directory: Path) -> Path:
    """Write a kustomization with the controller's rights in the namespace of the victim."""
    relative = Path(*[".."] * (len(directory.resolve().parts) - 1))
    patch = [{"op": "replace", "path": "/subjects/0/namespace", "value": NAMESPACE}]
    content = {
        "namespace": VICTIM,
        "resources": [str(relative / (MANIFESTS / "application").resolve().relative_to("/"))],
        "patches": [{"target": {"kind": "RoleBinding"}, "patch": yaml.safe_dump(patch)}],
    }
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return directory


@pytest.fixture(scope="module")
def attacker(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacker]:
    """Give the attacker, and a controller installed as a user does."""
    client = cluster.client
    # On somebody's cluster they and their objects are somebody's.
    found = cluster.kubectl.attempt("get", "crd", api.ACTION_SETS.full_name).code == 0
    components = ["actionset-controller"] if found else ["kanister-crds", "actionset-controller"]
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    for name, labels in ((NAMESPACE, restricted), (VICTIM, {})):
        cluster.delete(NAMESPACES, name, "")
        client.create(NAMESPACES, "", {"metadata": {"name": name, "labels": labels}})
    try:
        for name in (NAMESPACE, VICTIM):
            cluster.kubectl.wait(name, "serviceaccount/default", "create")
        client.create(ROLES, NAMESPACE, {"metadata": {"name": ATTACKER}, "rules": RULES})
        binding: Object = {
            "metadata": {"name": ATTACKER},
            "roleRef": {"apiGroup": ROLES.group, "kind": "Role", "name": ATTACKER},
            "subjects": [{"apiGroup": ROLES.group, "kind": "User", "name": ATTACKER}],
        }
        client.create(ROLE_BINDINGS, NAMESPACE, binding)
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
        client.create(CLAIMS, NAMESPACE, {"metadata": {"name": CLAIM}, "spec": claim})
        # Else the phase that names it waits for this right, rather than be refused.
        client.create(ROLES, NAMESPACE, {"metadata": {"name": CLAIM}, "rules": CLAIM_RULES})
        reader = {"kind": "ServiceAccount", "name": PROGRAM, "namespace": NAMESPACE}
        reads = {"roleRef": {**binding["roleRef"], "name": CLAIM}, "subjects": [reader]}
        client.create(ROLE_BINDINGS, NAMESPACE, {"metadata": {"name": CLAIM}, **reads})
        client.create(resources.SECRETS, VICTIM, {"metadata": {"name": CREDENTIAL}})
        # It waits for a node for ever.
        victim = {"containers": [{"name": "victim", "image": "a"}], "nodeSelector": {"a": "none"}}
        client.create(resources.PODS, VICTIM, {"metadata": {"name": "victim"}, "spec": victim})
        directory = application(tmp_path_factory.mktemp("application"))
        cluster.kubectl.run("apply", f"--kustomize={directory}")
        directory = overlay(cluster, tmp_path_factory.mktemp("attacker"), components)
        cluster.kubectl.run("apply", f"--kustomize={directory}")
        cluster.kubectl.wait(NAMESPACE, f"deployment/{PROGRAM}", "condition=Available")
        yield Attacker(cluster)
    finally:
        # What runs is cancelled by the controller, which has to be there for it.
        cluster.kubectl.attempt("delete", "actionsets", "--all", f"--namespace={NAMESPACE}")
        for name in (NAMESPACE, VICTIM):
            cluster.discard(NAMESPACES, name, "")
        if not found:
            for path in (MANIFESTS / "kanister-crds").glob("*s.yaml"):
                cluster.kubectl.run("delete", f"--filename={path}")


@pytest.fixture
def _policies(cluster: Cluster, attacker: Attacker) -> Iterator[None]:
    cluster.kubectl.run("apply", f"--kustomize={POLICIES}")
    tried = (
        MADE_WITH_ITS_TOKEN["a pod of no ActionSet"][0],
        MADE_WITH_ITS_TOKEN["processes of the node"][0],
    )
    try:
        wait_for(
            "the policies",
            lambda: (
                attacker.creates(*both("first", WAYS[0]))
                + "".join(attacker.tries("create", "-f-", stdin=json.dumps(one)) for one in tried)
            ),
            lambda said: all(
                f"actionset-{name}" in said
                for name in ("authors", "controller-writes", "controller-pods")
            ),
        )
        yield
    finally:
        cluster.kubectl.run("delete", f"--kustomize={POLICIES}")


@pytest.mark.usefixtures("attacker")
def test_the_controller_works_as_the_manifests_have_it(cluster: Cluster) -> None:
    """In a namespace that enforces the restricted profile, with its Role alone."""
    found = cluster.get(DEPLOYMENTS, PROGRAM, NAMESPACE)
    lease = cluster.get(LEASES, PROGRAM, NAMESPACE)

    assert found is not None
    assert found["status"]["readyReplicas"] == found["spec"]["replicas"]
    assert lease is not None
    assert lease["spec"]["holderIdentity"].startswith(PROGRAM)
    printed = cluster.kubectl.run("logs", f"--namespace={NAMESPACE}", f"deployment/{PROGRAM}")
    assert "forbidden" not in printed.lower()


def test_every_way_is_refused_by_the_controller_and_makes_no_pod(attacker: Attacker) -> None:
    """Without the policies: what an attacker may then do is what the controller may."""
    expected = {f"way-{number}": way for number, way in enumerate(WAYS)}

    said = [attacker.creates(*both(name, way)) for name, way in expected.items()]

    assert set(said) == {""}
    wait_for(
        "each way to be refused",
        lambda: {
            way.what: message
            for name, way in expected.items()
            if way.refusal not in (message := attacker.message(name))
        },
        lambda others: not others,
    )
    assert attacker.pods() == []


@pytest.mark.usefixtures("_policies")
def test_the_policies_refuse_all_of_it_as_it_is_tried(attacker: Attacker) -> None:
    blueprint, action_set = both("tried", WAYS[0])

    for obj in (blueprint, action_set):
        assert "asks for the right to create pods" in attacker.creates(obj)


@pytest.mark.usefixtures("_policies")
def test_who_has_stolen_the_controllers_token_changes_nothing_of_the_victims(
    attacker: Attacker,
) -> None:
    said = {
        what: attacker.tries("create", "--filename=-", stdin=json.dumps(obj))
        for what, (obj, _) in MADE_WITH_ITS_TOKEN.items()
    }
    said |= {what: attacker.tries(*words) for what, (words, _) in DONE_WITH_ITS_TOKEN.items()}

    expected = {**MADE_WITH_ITS_TOKEN, **DONE_WITH_ITS_TOKEN}
    assert {what: words for what, words in said.items() if expected[what][1] not in words} == {}
