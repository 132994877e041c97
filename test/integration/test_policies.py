"""The admission policies of manifests/policies, on a real API server."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from controller.events import EVENTS
from controller.resource import Resource
from controller.rest.kubeconfig import load_api_client
from e2e import profiles
from e2e.waiting import wait_for
from integration import running
from integration.conftest import NAMESPACES
from integration.running import DEFINITIONS, install_definition
from integration.test_crd import REPOSITORY_SERVERS, SERVER
from reconcilers import resources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.rest.client import Client, Object

MANIFESTS = Path(__file__).parents[2] / "manifests"
POLICIES = MANIFESTS / "policies"

ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
REPLICA_SETS = Resource("apps", "v1", "replicasets", "ReplicaSet")
AUTHOR = "author"
BUILDER = "builder"
CONTROLLER = "system:serviceaccount:{namespace}:repository-server-controller"

SERVERS_ONLY: list[Object] = [
    {"apiGroups": ["cr.kanister.io"], "resources": ["repositoryservers"], "verbs": ["*"]}
]
PODS: Object = {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}
CHILDREN: list[Object] = [
    {"apiGroups": ["", "apps"], "resources": ["*"], "verbs": ["*"]},
    {"apiGroups": ["cr.kanister.io"], "resources": ["profiles"], "verbs": ["*"]},
]

OVERRIDE: Object = {"podOverride": {"priorityClassName": "high"}}
ACCOUNT: Object = {"serviceAccountName": "cloud"}
TOKEN: Object = {"serviceAccountToken": {"audience": "sts.example"}}
ROOT: Object = {"runAsUser": 0}

# Merged as a change into what a row of a table starts with.
LABELS: Object = {"app.kubernetes.io/managed-by": "repository-server-controller"}
INSTANCE: Object = {"cr.kanister.io/repository-server": "files"}


def server(name: str, settings: Object) -> Object:
    obj = copy.deepcopy(SERVER)
    obj["metadata"]["name"] = name
    obj["spec"]["server"].update(settings)
    return obj


def owner(kind: str, api_version: str) -> list[Object]:
    return [{"apiVersion": api_version, "kind": kind, "name": "files", "uid": "1"}]


CONTAINER: Object = {"name": "other", "image": "localhost/other:1"}
OURS = owner("RepositoryServer", "cr.kanister.io/v1alpha1")


def secret(name: str, **metadata: object) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, **metadata}}


def profile(name: str, **metadata: object) -> Object:
    kind = {"apiVersion": resources.PROFILES.api_version, "kind": resources.PROFILES.kind}
    return {**kind, "metadata": {"name": name, **metadata}, "location": {"type": "kopia"}}


class Site:
    """A namespace with three users, and a way to ask as one of them.

    Args:
        kubeconfig: Of an administrator.
        namespace: The namespace.
    """

    def __init__(self, kubeconfig: str, namespace: str) -> None:
        self.kubeconfig = kubeconfig
        self.namespace = namespace

    def kubectl(
        self, user: str, *arguments: str, obj: Object | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as a user; what it would change stays as it is."""
        command = [
            "kubectl",
            f"--kubeconfig={self.kubeconfig}",
            f"--namespace={self.namespace}",
            f"--as={user.format(namespace=self.namespace)}",
            *arguments,
            "--dry-run=server",
        ]
        return subprocess.run(  # noqa: S603 - the arguments are those of the tests
            command,
            input="" if obj is None else json.dumps(obj),
            capture_output=True,
            text=True,
            check=False,
        )

    def refusal(self, user: str, *arguments: str, obj: Object | None = None) -> str:
        """Return what the API server says to a request of a user; empty if it takes it."""
        ran = self.kubectl(user, *arguments, obj=obj)
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


def as_the_controller(client: Client, site: Site, kubeconfig: str, directory: Path) -> str:
    """Give the controller's account its Role, and return the path of a kubeconfig of its own."""
    namespace = site.namespace
    for path in ("service-account", "role", "role-binding"):
        obj = yaml.safe_load((MANIFESTS / "controller" / f"{path}.yaml").read_text())
        for subject in obj.get("subjects", []):
            subject["namespace"] = namespace
        # The Role for the tests of single requests has the same name.
        kind = obj["kind"]
        resource = {"Role": ROLES, "RoleBinding": ROLE_BINDINGS}.get(
            kind, resources.SERVICE_ACCOUNTS
        )
        if kind != "ServiceAccount":
            client.delete(resource, namespace, obj["metadata"]["name"])
        client.create(resource, namespace, obj)
    name = CONTROLLER.rpartition(":")[2]
    command = ["kubectl", f"--kubeconfig={kubeconfig}", "create", "token", name, "-n", namespace]
    token = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    content = yaml.safe_load(Path(kubeconfig).read_text())
    content["users"][0]["user"] = {"token": token.stdout.strip()}
    written = directory / "kubeconfig"
    written.write_text(yaml.safe_dump(content))
    return str(written)


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


@pytest.fixture
def site(client: Client, kubeconfig: str, namespace: str) -> Site:
    grant(client, namespace, AUTHOR, SERVERS_ONLY)
    grant(client, namespace, BUILDER, [*SERVERS_ONLY, PODS])
    grant(client, namespace, CONTROLLER.format(namespace=namespace), CHILDREN)
    return Site(kubeconfig, namespace)


@pytest.fixture(scope="module")
def _policies(client: Client, kubectl: Callable[..., str], kubeconfig: str) -> Iterator[None]:
    install_definition(client)
    there = "policies-are-in-force"
    client.create(NAMESPACES, "", {"metadata": {"name": there}})
    try:
        kubectl("apply", "--kustomize", str(POLICIES))
        wait_until_in_force(client, Site(kubeconfig, there))
        yield
    finally:
        kubectl("delete", "--ignore-not-found", "--kustomize", str(POLICIES))
        client.delete(NAMESPACES, "", there)


def wait_until_in_force(client: Client, site: Site) -> None:
    """Wait until both policies refuse something: they do a moment after they were made."""
    grant(client, site.namespace, CONTROLLER.format(namespace=site.namespace), CHILDREN)
    grant(client, site.namespace, AUTHOR, SERVERS_ONLY)

    def said() -> str:
        by_controller = site.refusal(CONTROLLER, "create", "--filename=-", obj=secret("other"))
        by_author = site.refusal(AUTHOR, "create", "--filename=-", obj=server("files", OVERRIDE))
        return by_controller + by_author

    names = ("repository-server-authors", "repository-server-controller-writes")
    wait_for("the policies", said, lambda words: all(name in words for name in names))


@pytest.mark.usefixtures("_policies")
class TestAuthors:
    """What the author of a RepositoryServer has to have the right to create pods for."""

    @pytest.mark.parametrize(
        ("settings", "field"),
        [
            pytest.param(OVERRIDE, "spec.server.podOverride", id="an override"),
            pytest.param({"podOverride": {}}, "spec.server.podOverride", id="an empty override"),
            pytest.param(ACCOUNT, "spec.server.serviceAccountName", id="an account"),
            pytest.param(TOKEN, "spec.server.serviceAccountToken", id="a token"),
            pytest.param(ROOT, "spec.server.runAsUser 0", id="root"),
        ],
    )
    def test_is_asked_for(self, site: Site, settings: Object, field: str) -> None:
        obj = server("files", settings)

        said = site.refusal(AUTHOR, "create", "--filename=-", obj=obj)

        assert f"{field}" in said
        assert "asks for the right to create pods in this namespace" in said
        assert site.refusal(BUILDER, "create", "--filename=-", obj=obj) == ""

    @pytest.mark.parametrize(
        "settings",
        [
            pytest.param({}, id="a plain server"),
            pytest.param({"serviceAccountName": "default"}, id="the account that it has anyway"),
            pytest.param({"runAsUser": 1000}, id="another user id"),
            pytest.param(
                {"resources": {"limits": {"memory": "1Gi"}}, "podLabels": {"a": "b"}},
                id="fields without power",
            ),
        ],
    )
    def test_is_not_asked_for(self, site: Site, settings: Object) -> None:
        obj = server("files", settings)

        assert site.refusal(AUTHOR, "create", "--filename=-", obj=obj) == ""

    @pytest.mark.parametrize(
        ("before", "change", "refused"),
        [
            pytest.param({}, OVERRIDE, True, id="an override is added"),
            pytest.param({}, ACCOUNT, True, id="an account is named"),
            pytest.param({}, TOKEN, True, id="a token is asked for"),
            pytest.param({}, ROOT, True, id="it becomes root"),
            pytest.param(
                OVERRIDE,
                {"podOverride": {"schedulerName": "own"}},
                True,
                id="an override is changed",
            ),
            pytest.param(
                ACCOUNT, {"serviceAccountName": "other"}, True, id="another account is named"
            ),
            pytest.param(
                {**OVERRIDE, **ACCOUNT, **TOKEN, **ROOT},
                {"drainSeconds": 1},
                False,
                id="another field is changed",
            ),
            pytest.param(
                {**OVERRIDE, **ACCOUNT, **TOKEN, **ROOT},
                dict.fromkeys((*OVERRIDE, *ACCOUNT, *TOKEN, *ROOT)),
                False,
                id="what asks for power is taken away",
            ),
        ],
    )
    def test_an_update_is_judged_by_what_it_changes(
        self, client: Client, site: Site, before: Object, change: Object, refused: bool
    ) -> None:
        client.create(REPOSITORY_SERVERS, site.namespace, server("files", before))
        patch = {"spec": {"server": change}}

        said = site.patch(AUTHOR, patch, "repositoryserver/files")

        assert ("asks for the right to create pods" in said) is refused
        assert refused or said == ""
        assert site.patch(BUILDER, patch, "repositoryserver/files") == ""


@pytest.mark.usefixtures("_policies")
class TestTheControllersAccount:
    @pytest.mark.parametrize(
        "obj",
        [
            pytest.param(secret("files-x", labels=LABELS, ownerReferences=OURS), id="a child"),
            pytest.param(
                secret(
                    "files-x",
                    labels=LABELS,
                    ownerReferences=owner("ReplicaSet", "apps/v1"),
                ),
                id="what a ReplicaSet of ours has made",
            ),
            pytest.param(
                secret("repo-server-pod-x", ownerReferences=OURS),
                id="what the removed controller has made",
            ),
        ],
    )
    def test_writes_and_deletes(self, client: Client, site: Site, obj: Object) -> None:
        created = site.refusal(CONTROLLER, "create", "--filename=-", obj=obj)
        client.create(resources.SECRETS, site.namespace, obj)
        name = f"secret/{obj['metadata']['name']}"

        assert created == ""
        assert site.patch(CONTROLLER, {"metadata": {"annotations": {"a": "b"}}}, name) == ""
        assert site.refusal(CONTROLLER, "delete", name) == ""

    @pytest.mark.parametrize(
        "obj",
        [
            pytest.param(secret("other"), id="a Secret of somebody's"),
            pytest.param(secret("other", labels=LABELS), id="one with the label alone"),
            pytest.param(secret("other", ownerReferences=OURS), id="one with the owner alone"),
            pytest.param(
                secret("other", labels=LABELS, ownerReferences=owner("Repository", "example/v1")),
                id="one of another owner",
            ),
        ],
    )
    def test_writes_and_deletes_nothing_else(self, client: Client, site: Site, obj: Object) -> None:
        created = site.refusal(CONTROLLER, "create", "--filename=-", obj=obj)
        client.create(resources.SECRETS, site.namespace, obj)

        assert "the controller writes and deletes children of RepositoryServers only" in created
        assert site.patch(CONTROLLER, {"data": {"a": "YQ=="}}, "secret/other") != ""
        assert "children of RepositoryServers only" in site.refusal(
            CONTROLLER, "delete", "secret/other"
        )

    def test_writes_no_status_of_somebodys_replica_set(self, client: Client, site: Site) -> None:
        labels = {"app": "other"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [CONTAINER]}}
        spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
        body: Object = {"metadata": {"name": "other"}, "spec": spec}
        client.create(REPLICA_SETS, site.namespace, body)
        change = json.dumps({"metadata": {"annotations": {"a": "b"}}, "status": {"replicas": 7}})
        arguments = ("replicaset/other", "--subresource=status", "--type=merge")

        said = site.refusal(CONTROLLER, "patch", *arguments, f"--patch={change}")

        assert "the controller writes and deletes children of RepositoryServers only" in said

    def test_writes_profiles_of_servers_only(self, client: Client, site: Site) -> None:
        client.apply(DEFINITIONS, "", resources.PROFILES.full_name, profiles.DEFINITION)
        wait_for("Profiles to be known", lambda: running.serves(client, resources.PROFILES))

        ours = profile("files-x", labels=LABELS, ownerReferences=OURS)
        assert site.refusal(CONTROLLER, "create", "--filename=-", obj=ours) == ""
        client.create(resources.PROFILES, site.namespace, profile("other"))
        change = {"location": {"endpoint": "https://elsewhere"}}
        for said in (
            site.refusal(CONTROLLER, "create", "--filename=-", obj=profile("another")),
            site.patch(CONTROLLER, change, "profile/other"),
            site.refusal(CONTROLLER, "delete", "profile/other"),
        ):
            assert "children of RepositoryServers only" in said

    def test_does_not_make_somebodys_object_its_own(self, client: Client, site: Site) -> None:
        client.create(resources.SECRETS, site.namespace, secret("other"))
        change = {"metadata": {"labels": LABELS, "ownerReferences": OURS}}

        said = site.patch(CONTROLLER, change, "secret/other")

        assert "this object was none before" in said

    @pytest.mark.parametrize(
        ("metadata", "change"),
        [
            pytest.param(
                {"labels": LABELS},
                {"labels": INSTANCE},
                id="of one that its ReplicaSet has released for that",
            ),
            pytest.param(
                {"labels": INSTANCE, "ownerReferences": owner("ReplicaSet", "apps/v1")},
                {"labels": LABELS},
                id="of one that children are known by",
            ),
        ],
    )
    def test_puts_back_a_label_that_somebody_has_taken_off(
        self, client: Client, site: Site, metadata: Object, change: Object
    ) -> None:
        client.create(resources.SECRETS, site.namespace, secret("files-x", **metadata))

        assert site.patch(CONTROLLER, {"metadata": change}, "secret/files-x") == ""

    def test_deletes_what_has_lost_its_owner(self, client: Client, site: Site) -> None:
        """Somebody may have orphaned it a moment before."""
        labels = {**LABELS, **INSTANCE}
        client.create(resources.SECRETS, site.namespace, secret("files-x", labels=labels))

        assert site.refusal(CONTROLLER, "delete", "secret/files-x") == ""

    def test_takes_back_what_a_restore_has_left_without_owner(
        self, client: Client, site: Site
    ) -> None:
        client.create(resources.SECRETS, site.namespace, secret("files-x", labels=LABELS))

        said = site.patch(CONTROLLER, {"metadata": {"ownerReferences": OURS}}, "secret/files-x")

        assert said == ""

    def test_can_do_all_of_the_controllers_work(
        self, client: Client, site: Site, kubeconfig: str, tmp_path: Path
    ) -> None:
        """It makes a server, takes over from the removed controller, and replaces its pod."""
        namespace = site.namespace
        running.create_secrets(client, namespace)
        running.create(client, namespace, "files", {"spec": {"server": {"drainSeconds": 0}}})
        leave_behind(client, namespace, client.get(REPOSITORY_SERVERS, namespace, "files"))
        controller = running.controller(
            namespace, load_api_client(as_the_controller(client, site, kubeconfig, tmp_path))
        )
        controller.start()
        try:
            with running.Kubelet(client, namespace):
                running.wait_ready(client, namespace)
                wait_for("the former pod to go", lambda: not legacy(client, namespace))
                (before,) = running.pods_of(client, namespace, "files")
                change = {"spec": {"server": {"resources": {"requests": {"cpu": "1m"}}}}}
                client.merge_patch(REPOSITORY_SERVERS, namespace, "files", change)
                wait_for(
                    "another pod in its place",
                    lambda: running.pods_of(client, namespace, "files"),
                    lambda pods: (
                        [one["metadata"]["uid"] for one in pods]
                        not in ([], [before["metadata"]["uid"]])
                        and len(pods) == 1
                    ),
                )
        finally:
            controller.end()

        refused = [
            event["note"]
            for event in client.list(EVENTS, namespace)["items"]
            if "repository-server-controller-writes" in event["note"]
        ]
        assert refused == []

    def test_another_account_is_not_meant(self, client: Client, site: Site) -> None:
        other = f"system:serviceaccount:{site.namespace}:other"
        grant(client, site.namespace, other, CHILDREN)

        assert site.refusal(other, "create", "--filename=-", obj=secret("own")) == ""
