"""The policies on what the controller's account writes and runs, on a real API server."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from controller.events import EVENTS
from controller.rest.kubeconfig import load_api_client
from e2e import profiles
from e2e.waiting import wait_for
from integration import policies, running
from integration.policies import (
    ACCOUNTS_OF_OPERATORS,
    ADDED,
    ANNOTATED,
    BOTH,
    CHILDREN,
    CONTAINER,
    CONTROLLER,
    DAILY,
    INSTANCE,
    LABELS,
    LACKS,
    MANIFESTS,
    OURS,
    PAIR,
    POD,
    POD_NAME,
    REVISION,
    REVISION_NAME,
    ROLE_BINDINGS,
    ROLES,
    SERVICE,
    Site,
    child,
    grant,
    leave_behind,
    legacy,
    owner,
    profile,
    secret,
)
from integration.running import DEFINITIONS
from integration.serverobjects import REPOSITORY_SERVERS
from reconcilers import resources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.rest.client import Client, Object

pytestmark = pytest.mark.usefixtures("_policies")


def as_the_controller(client: Client, site: Site, kubeconfig: str, directory: Path) -> str:
    """Give the controller's account its Role, and return the path of a kubeconfig of its own."""
    namespace = site.namespace
    for path in (
        "controller/service-account",
        "served-namespace/role",
        "served-namespace/role-binding",
    ):
        obj = yaml.safe_load((MANIFESTS / f"{path}.yaml").read_text())
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


@pytest.fixture
def site(client: Client, kubeconfig: str, namespace: str) -> Site:
    grant(client, namespace, CONTROLLER.format(namespace=namespace), CHILDREN)
    return Site(client, kubeconfig, namespace)


@pytest.fixture(scope="module")
def _policies(client: Client, kubectl: Callable[..., str], kubeconfig: str) -> Iterator[None]:
    with policies.in_force(client, kubectl, kubeconfig):
        yield


@pytest.mark.parametrize(
    "obj",
    [
        pytest.param(child("Secret", type="Opaque"), id="a snapshot"),
        pytest.param(child("Secret", type="kubernetes.io/tls", data=PAIR), id="a certificate"),
        pytest.param(child("ReplicaSet", spec=REVISION), id="a revision"),
        pytest.param(child("Service", spec=SERVICE), id="a Service"),
        pytest.param(child("NetworkPolicy", spec={"podSelector": {}}), id="a NetworkPolicy"),
        pytest.param(child("CronJob", spec=DAILY), id="the maintenance"),
    ],
)
def test_writes_and_deletes_children(site: Site, obj: Object) -> None:
    created = site.refusal(CONTROLLER, "create", "--filename=-", obj=obj)
    name = site.make(obj)

    assert created == ""
    assert site.patch(CONTROLLER, ANNOTATED, name) == ""
    assert site.refusal(CONTROLLER, "delete", name) == ""


@pytest.mark.parametrize(
    ("obj", "said"),
    [
        pytest.param(secret("other"), LACKS, id="a Secret of somebody's"),
        pytest.param(secret("other", labels=LABELS), LACKS, id="one with the label alone"),
        pytest.param(secret("other", ownerReferences=OURS), LACKS, id="with the owner alone"),
        pytest.param(secret("other", labels=BOTH), LACKS, id="with both labels, alone"),
        pytest.param(
            secret("other", labels=LABELS, ownerReferences=owner("Repository", "example/v1")),
            LACKS,
            id="one of another owner",
        ),
        pytest.param(
            secret("other", labels=LABELS, ownerReferences=owner("ReplicaSet", "apps/v1")),
            LACKS,
            id="one of a ReplicaSet: these make pods",
        ),
        pytest.param(
            secret("repo-server-pod-x", ownerReferences=OURS),
            LACKS,
            id="a Secret that is called as the removed controller's pods",
        ),
        pytest.param(
            child("Service", spec=SERVICE, name="repo-server-service-x", labels={}),
            LACKS,
            id="a Service as the removed controller made them",
        ),
        pytest.param(
            child(
                "Secret",
                annotations={"kubernetes.io/service-account.name": "default"},
                type="kubernetes.io/service-account-token",
            ),
            "types Opaque and kubernetes.io/tls only",
            id="the token of an account",
        ),
        pytest.param(POD, "creates no pods", id="a pod of a revision"),
        pytest.param(
            {**POD, "metadata": {"name": "repo-server-pod-x", "ownerReferences": OURS}},
            "creates no pods",
            id="a pod of the removed controller's",
        ),
        pytest.param(
            child("Job", spec=DAILY["jobTemplate"]["spec"]), "creates no pods", id="a Job"
        ),
    ],
)
def test_creates_nothing_else(site: Site, obj: Object, said: str) -> None:
    assert said in site.refusal(CONTROLLER, "create", "--filename=-", obj=obj)


@pytest.mark.parametrize(
    ("metadata", "change", "said"),
    [
        pytest.param(
            {"labels": {}, "ownerReferences": OURS},
            {"metadata": {"labels": LABELS}},
            "",
            id="a child's label is put back",
        ),
        pytest.param(
            {"labels": BOTH},
            {"metadata": {"ownerReferences": OURS}},
            "",
            id="a child without owner is adopted",
        ),
        pytest.param(
            {"labels": BOTH},
            {"data": {"a": "YQ=="}},
            LACKS,
            id="what is in a child without owner stays as it is",
        ),
        pytest.param(
            {"labels": BOTH, "ownerReferences": OURS},
            {"metadata": {"ownerReferences": None}},
            LACKS,
            id="a child keeps its owner",
        ),
        pytest.param(
            {},
            {"metadata": {"labels": LABELS, "ownerReferences": OURS}},
            "this object was none before",
            id="somebody's object is not made a child",
        ),
        pytest.param(
            {"labels": LABELS},
            {"metadata": {"ownerReferences": OURS}},
            "this object was none before",
            id="nor is one with one label of a child",
        ),
        pytest.param(
            {
                "labels": BOTH,
                "ownerReferences": owner("Repository", "example/v1"),
            },
            {"metadata": {"ownerReferences": OURS}},
            "this object was none before",
            id="nor one of another owner",
        ),
    ],
)
def test_changes(site: Site, metadata: Object, change: Object, said: str) -> None:
    name = site.make(secret("files-0123456789", **metadata))

    answer = site.patch(CONTROLLER, change, name)

    assert said in answer
    assert bool(said) == bool(answer)


@pytest.mark.parametrize(
    ("obj", "allowed"),
    [
        pytest.param(child("ReplicaSet", spec=REVISION, labels=INSTANCE), True, id="a child"),
        pytest.param(
            child("Service", spec=SERVICE, name="repo-server-service-x", labels={}),
            True,
            id="a Service of the removed controller's",
        ),
        pytest.param(
            child("ReplicaSet", spec=REVISION, name="repo-server-service-x", labels={}),
            False,
            id="another kind with such a name",
        ),
        pytest.param(child("Secret", ownerReferences=[]), False, id="a child without an owner"),
        pytest.param(child("Secret", labels={}), False, id="without a mark"),
        pytest.param(secret("other"), False, id="a Secret of somebody's"),
    ],
)
def test_deletes(site: Site, obj: Object, *, allowed: bool) -> None:
    name = site.make(obj)

    said = site.refusal(CONTROLLER, "delete", name)

    assert ("children of RepositoryServers only" in said) is not allowed
    assert bool(said) is not allowed


def test_writes_no_status_of_somebodys_replica_set(site: Site) -> None:
    name = site.make(child("ReplicaSet", spec=REVISION, name="web", labels={}, ownerReferences=[]))
    change = json.dumps({**ANNOTATED, "status": {"replicas": 7}})
    arguments = (name, "--subresource=status", "--type=merge", f"--patch={change}")

    assert LACKS in site.refusal(CONTROLLER, "patch", *arguments)


@pytest.mark.parametrize(
    ("metadata", "allowed"),
    [
        pytest.param({}, True, id="of a revision"),
        pytest.param({"labels": LABELS}, True, id="without the label of its server"),
        pytest.param({"ownerReferences": []}, True, id="that its ReplicaSet has released"),
        pytest.param(
            {
                "labels": {},
                "annotations": {"cr.kanister.io/from-template": "{}"},
                "ownerReferences": [],
            },
            True,
            id="that has lost all its labels",
        ),
        pytest.param(
            {"name": "repo-server-pod-x", "labels": {}, "ownerReferences": OURS},
            True,
            id="of the removed controller's",
        ),
        pytest.param(
            {"labels": {}, "ownerReferences": owner("ReplicaSet", "apps/v1", REVISION_NAME)},
            False,
            id="of a ReplicaSet with such a name by chance",
        ),
        pytest.param(
            {"ownerReferences": owner("ReplicaSet", "apps/v1", "web")},
            False,
            id="of somebody's ReplicaSet, with our labels",
        ),
        pytest.param(
            {"generateName": None, "ownerReferences": []},
            False,
            id="that nobody has made, with our labels",
        ),
        pytest.param({"ownerReferences": owner("Job", "batch/v1")}, False, id="of a maintenance"),
    ],
)
def test_changes_and_deletes_pods(site: Site, metadata: Object, *, allowed: bool) -> None:
    name = site.make({**POD, "metadata": {**POD["metadata"], **metadata}})
    labelled = {"metadata": {"labels": BOTH}}

    for said in (
        site.patch(CONTROLLER, labelled, name),
        site.patch(CONTROLLER, ANNOTATED, name),
        site.refusal(CONTROLLER, "delete", name),
    ):
        assert ("the pods of RepositoryServers only" in said) is not allowed
        assert bool(said) is not allowed


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"spec": {"containers": [{**CONTAINER, "image": "evil"}]}}, id="an image"),
        pytest.param({"metadata": {"ownerReferences": OURS}}, id="the owner"),
    ],
)
def test_changes_of_a_pod_nothing_but_labels_and_annotations(site: Site, change: Object) -> None:
    name = site.make(POD)

    said = site.patch(CONTROLLER, change, name)

    assert "labels and annotations of pods only" in said


@pytest.mark.parametrize("kind", ["ReplicaSet", "CronJob"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"hostNetwork": True}, "namespaces of a node", id="network of the node"),
        pytest.param({"hostPID": True}, "namespaces of a node", id="processes of the node"),
        pytest.param({"hostIPC": True}, "namespaces of a node", id="memory of the node"),
        pytest.param({"nodeName": "node"}, "a node of its choice", id="a node"),
        pytest.param(
            {"volumes": [{"name": "evil", "hostPath": {"path": "/"}}]},
            "files of the node",
            id="files of the node",
        ),
        pytest.param(
            {"containers": [{**CONTAINER, "securityContext": {"privileged": True}}]},
            "no privileged containers",
            id="a privileged container",
        ),
        pytest.param(
            {"initContainers": [{**CONTAINER, "name": "b", "securityContext": ADDED}]},
            "added capabilities",
            id="a capability, in an init container",
        ),
        pytest.param(
            {"containers": [{**CONTAINER, "ports": [{"containerPort": 1, "hostPort": 1}]}]},
            "ports of the node",
            id="a port of the node",
        ),
        *(
            pytest.param(
                {"serviceAccountName": name}, "the account of an operator", id=f"the account {name}"
            )
            for name in ACCOUNTS_OF_OPERATORS
        ),
    ],
)
def test_makes_no_pods_with_power_over_their_node(
    site: Site, kind: str, change: Object, said: str
) -> None:
    spec = copy.deepcopy(REVISION if kind == "ReplicaSet" else DAILY)
    template = spec["template" if kind == "ReplicaSet" else "jobTemplate"]
    (template if kind == "ReplicaSet" else template["spec"]["template"])["spec"] |= change

    answer = site.refusal(CONTROLLER, "create", "--filename=-", obj=child(kind, spec=spec))

    assert said in answer


@pytest.mark.parametrize(
    ("pod", "container", "allowed"),
    [
        pytest.param(POD_NAME, CONTAINER["name"], True, id="in a server"),
        pytest.param("web-7f9c-abcde", CONTAINER["name"], False, id="in another pod"),
        pytest.param(POD_NAME, "proxy", False, id="beside a server"),
    ],
)
def test_runs_commands(site: Site, pod: str, container: str, *, allowed: bool) -> None:
    spec = {"containers": [{**CONTAINER, "name": container}], "nodeName": "none"}
    site.make({**POD, "metadata": {"name": pod}, "spec": spec})

    ran = site.run(CONTROLLER, "exec", pod, f"--container={container}", "--", "true")

    # No kubelet answers here.
    assert ran.returncode != 0
    assert ("in the containers of servers only" in ran.stderr) is not allowed


def test_writes_profiles_of_servers_only(client: Client, site: Site) -> None:
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


def test_can_do_all_of_the_controllers_work(
    client: Client, site: Site, kubeconfig: str, tmp_path: Path
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


def test_another_account_is_not_meant(client: Client, site: Site) -> None:
    other = f"system:serviceaccount:{site.namespace}:other"
    grant(client, site.namespace, other, CHILDREN)

    assert site.refusal(other, "create", "--filename=-", obj=secret("own")) == ""
