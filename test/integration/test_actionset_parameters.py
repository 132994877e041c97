"""What is gathered for an action from a real API server, and what is said of what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from controller.clock import Deadline, SystemClock
from e2e.waiting import wait_for
from fakes import application
from reconcilers import resources
from reconcilers.actionset.api import Action, ObjectReference
from reconcilers.actionset.parameters import document, lookup
from reconcilers.actionset.parameters.reader import ParameterReader
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from controller.rest.client import Client

Object = dict[str, Any]

CLOCK = SystemClock()
SECONDS = 30.0
CLAIM = "archive"


def action(reference: ObjectReference) -> Action:
    return Action(0, "backup", "any", reference)


def freeze(client: Client, namespace: str, reference: ObjectReference) -> Object:
    reader = ParameterReader(client, CLOCK)
    return reader.freeze(action(reference), namespace, Deadline.after(CLOCK, SECONDS))


def deployment() -> Object:
    """Build a Deployment whose selector has both kinds of requirements."""
    labels = {"app": "db", "tier": "data"}
    container = {
        "name": "postgres",
        "image": "postgres",
        "volumeMounts": [{"name": "data", "mountPath": "/var/lib/data"}],
    }
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": CLAIM}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "db", "annotations": {application.REVISION["Deployment"]: "1"}},
        "spec": {
            "selector": {
                "matchLabels": {"app": "db"},
                "matchExpressions": [
                    {"key": "tier", "operator": "In", "values": ["data", "other"]},
                    {"key": "old", "operator": "DoesNotExist"},
                ],
            },
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "volumes": [volume]},
            },
        },
    }


def revision(of: Object) -> Object:
    """Build the ReplicaSet of a Deployment."""
    spec = {"replicas": 1, "selector": of["spec"]["selector"], "template": of["spec"]["template"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": "db-1",
            "labels": of["spec"]["template"]["metadata"]["labels"],
            "annotations": {application.REVISION["Deployment"]: "1"},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "name": "db",
                    "uid": of["metadata"]["uid"],
                    "controller": True,
                }
            ],
        },
        "spec": spec,
    }


def test_a_deployment_with_a_pod_that_runs(client: Client, namespace: str) -> None:
    made = client.create(resources.DEPLOYMENTS, namespace, deployment())
    client.create(resources.REPLICA_SETS, namespace, revision(made))
    (pod,) = wait_for("a pod", lambda: client.list(resources.PODS, namespace)["items"])
    name = pod["metadata"]["name"]
    status = {"phase": "Running", "containerStatuses": [container_status("postgres")]}
    client.merge_patch(resources.PODS, namespace, name, {"status": status}, subresource="status")

    frozen = freeze(client, namespace, ObjectReference("db", namespace, "Deployment"))

    assert frozen["Deployment"] == {
        "Name": "db",
        "Namespace": namespace,
        "Pods": [name],
        "Containers": [["postgres"]],
        "PersistentVolumeClaims": {name: {CLAIM: "/var/lib/data"}},
    }
    assert frozen["Object"]["metadata"]["uid"] == made["metadata"]["uid"]
    (record,) = frozen[document.POD_RECORDS]
    assert record["metadata"]["uid"] == pod["metadata"]["uid"]


def container_status(name: str) -> Object:
    return {"name": name, "image": name, "imageID": "", "ready": True, "restartCount": 0}


def test_one_of_no_namespace(client: Client, namespace: str) -> None:
    group = "scheduling.k8s.io"
    reference = ObjectReference(
        "system-node-critical", "", "PriorityClass", "v1", group, "priorityclasses"
    )

    assert freeze(client, namespace, reference)["Object"]["value"] > 0


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        pytest.param(
            ObjectReference("none", "here", "StatefulSet"),
            lookup.REASON_MISSING,
            id="an object that is not there",
        ),
        pytest.param(
            ObjectReference("db", "here", "DeploymentConfig"),
            lookup.REASON_NO_RESOURCE,
            id="a group that the API server has not",
        ),
        pytest.param(
            ObjectReference("db", "here", "Any", "v1", "apps", "stateful"),
            lookup.REASON_NO_RESOURCE,
            id="a resource that its group has not",
        ),
        pytest.param(
            ObjectReference("db", "", "Any", "v1", "apps", "statefulsets"),
            lookup.REASON_NO_RESOURCE,
            id="one of a namespace, named without it",
        ),
        pytest.param(
            ObjectReference("any", "here", "Any", "v1", "cr.kanister.io", "unheardof"),
            lookup.REASON_NO_RESOURCE,
            id="a resource that a group of custom resources has not",
        ),
    ],
)
def test_what_is_not_there(
    client: Client, namespace: str, reference: ObjectReference, reason: str
) -> None:
    if reference.namespace:
        reference = evolve(reference, namespace=namespace)

    with pytest.raises(InvalidInput) as raised:
        freeze(client, namespace, reference)

    assert raised.value.reason == reason
