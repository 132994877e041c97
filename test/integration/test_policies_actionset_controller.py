"""The policies on what the account of the controller of ActionSets writes, on a real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration import actionpolicies
from integration.actionpolicies import (
    AUTHORING,
    CONTROLLER,
    MARKS,
    action_set,
    blueprint,
    install_account,
    pod,
)
from integration.policies import ACCOUNTS_OF_OPERATORS, ADDED, ANNOTATED, Site, grant, profile
from reconcilers import resources
from reconcilers.actionset import api
from reconcilers.actionset.placement import podspec
from reconcilers.actionset.placement.podspec import ROOT_USER, Placed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.rest.client import Client, Object

pytestmark = pytest.mark.usefixtures("_policies")

CONTAINER: Object = {"name": "container", "image": "a"}
#: The pods of data functions that run as root: a backup reads, a restore writes.
READS, RESTORES = (
    podspec.spec(Placed((), user=ROOT_USER, writes=writes), image="a", secret="phase")
    for writes in (False, True)
)
LACKS = "this one lacks their labels"
#: Of what KubeOps creates.
BY_KUBE_OPS: Object = {"annotations": {f"{api.ANNOTATION_PREFIX}phase": "1/0/create"}}


def secret(labels: Object, **content: object) -> Object:
    metadata = {"name": "made", "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **content}


@pytest.fixture(scope="module")
def _policies(client: Client, kubectl: Callable[..., str], kubeconfig: str) -> Iterator[None]:
    with actionpolicies.in_force(client, kubectl, kubeconfig):
        yield


@pytest.fixture
def site(client: Client, kubeconfig: str, namespace: str) -> Site:
    install_account(client, namespace)
    rules: list[Object] = [
        {"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["*"]},
        {"apiGroups": [api.GROUP], "resources": ["*"], "verbs": ["*"]},
    ]
    for account in (CONTROLLER.format(namespace=namespace), "system:serviceaccount:x:other"):
        grant(client, namespace, account, rules)
    return Site(client, kubeconfig, namespace)


@pytest.mark.parametrize(
    "obj",
    [
        pytest.param(pod(), id="the pod of a phase"),
        pytest.param(pod(serviceAccountName="default"), id="with an account of the application's"),
        pytest.param(pod(**READS), id="of a data function that reads as root"),
        pytest.param(pod(**RESTORES), id="of one that restores, with root's powers over files"),
        pytest.param(secret(MARKS), id="a Secret"),
        pytest.param(
            {**secret({}), "metadata": {"name": "made", **BY_KUBE_OPS}}, id="what KubeOps creates"
        ),
        pytest.param(secret(MARKS, type="Opaque", immutable=True), id="an immutable one"),
    ],
)
def test_makes_and_deletes_what_is_of_an_action_set(site: Site, obj: Object) -> None:
    assert site.refusal(CONTROLLER, "create", "--filename=-", obj=obj) == ""
    name = site.make(obj)
    assert site.refusal(CONTROLLER, "delete", name) == ""


@pytest.mark.parametrize(
    ("obj", "said"),
    [
        pytest.param(pod({}), LACKS, id="a pod without labels"),
        pytest.param(pod({api.LABEL_UID: "1"}), LACKS, id="with that of the ActionSet alone"),
        pytest.param(
            pod({**MARKS, "app.kubernetes.io/managed-by": "other"}), LACKS, id="of another manager"
        ),
        pytest.param(secret({}), LACKS, id="a Secret without labels"),
        pytest.param(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "name": "made",
                    "labels": MARKS,
                    "annotations": {"kubernetes.io/service-account.name": "default"},
                },
                "type": "kubernetes.io/service-account-token",
            },
            "type Opaque only",
            id="the token of an account",
        ),
        pytest.param(
            action_set({"kind": "pvc", "name": "data"}), "makes no ActionSets", id="an ActionSet"
        ),
        pytest.param(blueprint(), "writes no Blueprints", id="a Blueprint"),
        pytest.param(profile("place"), "writes no Blueprints and Profiles", id="a Profile"),
    ],
)
def test_makes_nothing_else(site: Site, obj: Object, said: str) -> None:
    assert said in site.refusal(CONTROLLER, "create", "--filename=-", obj=obj)


@pytest.mark.parametrize("obj", [pod({"app": "db"}), secret({"app": "db"})], ids=["pod", "Secret"])
def test_neither_changes_nor_deletes_what_is_an_applications(site: Site, obj: Object) -> None:
    """Nor makes it its own by the labels."""
    name = site.make(obj)

    for said in (
        site.patch(CONTROLLER, ANNOTATED, name),
        site.patch(CONTROLLER, {"metadata": {"labels": MARKS}}, name),
        site.refusal(CONTROLLER, "delete", name),
    ):
        assert LACKS in said


def test_changes_of_a_pod_nothing_but_its_metadata(site: Site) -> None:
    name = site.make(pod())
    image = {"spec": {"containers": [{**CONTAINER, "image": "evil"}]}}

    assert site.patch(CONTROLLER, {"metadata": {"finalizers": ["a/b"]}}, name) == ""
    assert "nothing of a pod but its metadata" in site.patch(CONTROLLER, image, name)


def test_changes_no_secret(site: Site) -> None:
    name = site.make(secret(MARKS))

    assert "changes no Secret" in site.patch(CONTROLLER, {"data": {"a": "YQ=="}}, name)


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        pytest.param({"status": {"state": "running"}}, True, id="the status"),
        pytest.param({"metadata": {"finalizers": [api.FINALIZER_RUNNING]}}, True, id="a finalizer"),
        pytest.param({"spec": {"actions": []}}, False, id="what is to run"),
        pytest.param({"spec": None}, False, id="what is to run, taken away"),
    ],
)
def test_changes_of_an_action_set(
    client: Client, site: Site, change: Object, *, allowed: bool
) -> None:
    client.create(api.ACTION_SETS, site.namespace, action_set({"kind": "pvc", "name": "data"}))

    said = site.patch(CONTROLLER, change, "actionset/backup")

    assert ("does not change what an ActionSet is to do" in said) is not allowed
    assert bool(said) is not allowed
    assert site.refusal(CONTROLLER, "delete", "actionset/backup") == ""


def test_changes_and_deletes_no_blueprint(client: Client, site: Site) -> None:
    client.create(api.BLUEPRINTS, site.namespace, blueprint())

    for said in (
        site.patch(CONTROLLER, ANNOTATED, "blueprint/files"),
        site.refusal(CONTROLLER, "delete", "blueprint/files"),
    ):
        assert "writes no Blueprints" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        *(
            pytest.param(
                {"serviceAccountName": name}, "the account of an operator", id=f"the account {name}"
            )
            for name in ACCOUNTS_OF_OPERATORS
        ),
        pytest.param({"hostNetwork": True}, "namespaces of a node", id="network of the node"),
        pytest.param({"hostPID": True}, "namespaces of a node", id="processes of the node"),
        pytest.param({"hostIPC": True}, "namespaces of a node", id="memory of the node"),
        pytest.param({"nodeName": "node"}, "past the scheduler", id="a node"),
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
            {
                "containers": [
                    {**CONTAINER, "securityContext": {"capabilities": {"add": ["CHOWN", "ALL"]}}}
                ]
            },
            "added capabilities",
            id="all capabilities, beside one of a restore",
        ),
        pytest.param(
            {"containers": [{**CONTAINER, "ports": [{"containerPort": 1, "hostPort": 1}]}]},
            "ports of the node",
            id="a port of the node",
        ),
    ],
)
def test_makes_no_pods_with_power(client: Client, site: Site, change: Object, said: str) -> None:
    """Whoever wrote the Blueprint or the override, and whoever has stolen the token."""
    name = change.get("serviceAccountName", "")
    if name == "repository-server-controller":
        client.create(resources.SERVICE_ACCOUNTS, site.namespace, {"metadata": {"name": name}})

    answer = site.refusal(CONTROLLER, "create", "--filename=-", obj=pod(**change))

    assert said in answer


def test_another_account_is_not_meant(client: Client, site: Site) -> None:
    other = "system:serviceaccount:x:other"
    grant(client, site.namespace, "writer", [AUTHORING])

    assert site.refusal(other, "create", "--filename=-", obj=secret({})) == ""
    assert site.refusal(other, "create", "--filename=-", obj=pod({}, hostPID=True)) == ""
