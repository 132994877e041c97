"""What is kept of a workload's pods."""

from __future__ import annotations

from typing import Any

import pytest

from fakes import application
from reconcilers.actionset.parameters import podrecord

Object = dict[str, Any]


def test_what_is_kept_of_a_pod() -> None:
    security = {"runAsUser": 999, "fsGroup": 999}
    user = {"linux": {"uid": 999, "gid": 999, "supplementalGroups": [999]}}
    pod = application.pod(
        change={
            "spec": {"securityContext": security, "tolerations": [{"operator": "Exists"}]},
            "status": {"containerStatuses": [{"name": "postgres", "user": user, "image": "x"}]},
        }
    )

    record = podrecord.record(pod)

    assert record == {
        "metadata": {"name": "db-0", "namespace": "shop", "uid": "uid-db-0"},
        "spec": {
            "nodeName": "node-1",
            "securityContext": security,
            "tolerations": [{"operator": "Exists"}],
            "containers": [
                {
                    "name": "postgres",
                    "volumeMounts": [
                        {"name": "data", "mountPath": "/var/lib/data"},
                        {"name": "scratch", "mountPath": "/scratch"},
                    ],
                },
                {"name": "exporter"},
            ],
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}},
                {"name": "scratch", "emptyDir": {}},
            ],
        },
        "status": {"containerStatuses": [{"name": "postgres", "user": user}]},
    }
    assert application.PASSWORD not in str(record)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            {"volumeMounts": [{"name": "data", "mountPath": "/d", "mountPropagation": "None"}]},
            {"volumeMounts": [{"name": "data", "mountPath": "/d"}]},
            id="a mount, without how it is made in its pod",
        ),
        pytest.param(
            {"volumeDevices": [{"name": "raw", "devicePath": "/dev/raw"}]},
            {"volumeDevices": [{"name": "raw", "devicePath": "/dev/raw"}]},
            id="a raw block device",
        ),
        pytest.param(
            {"securityContext": {"runAsUser": 26}},
            {"securityContext": {"runAsUser": 26}},
            id="the container's own user",
        ),
        pytest.param(
            {
                "volumeMounts": [
                    {"name": "data", "mountPath": "/d", "subPath": "a", "readOnly": True}
                ]
            },
            {
                "volumeMounts": [
                    {"name": "data", "mountPath": "/d", "subPath": "a", "readOnly": True}
                ]
            },
            id="which part of a volume it has, and how",
        ),
    ],
)
def test_what_is_kept_of_a_container(change: Object, expected: Object) -> None:
    pod = application.pod(change={"spec": {"containers": [{"name": "postgres", **change}]}})

    assert podrecord.record(pod)["spec"]["containers"] == [{"name": "postgres", **expected}]


def test_a_sidecar_among_the_init_containers_counts() -> None:
    init = [{"name": "setup"}, {"name": "agent", "restartPolicy": "Always"}]
    pod = application.pod(change={"spec": {"initContainers": init}})

    names = [container["name"] for container in podrecord.record(pod)["spec"]["containers"]]

    assert names == ["postgres", "exporter", "agent"]


def test_nothing_of_a_volume_but_its_claim_is_kept() -> None:
    volumes = [
        {"name": "data", "persistentVolumeClaim": {"claimName": "archive", "readOnly": True}},
        {"name": "keys", "secret": {"secretName": "keys"}},
        {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
    ]
    record = podrecord.record(application.pod(change={"spec": {"volumes": volumes}}))

    assert record["spec"]["volumes"] == [
        volumes[0],
        {"name": "keys", "secret": {}},
        {"name": "scratch", "ephemeral": {}},
    ]
    assert podrecord.claims_of(record) == {"data": "archive", "scratch": "db-0-scratch"}


def from_field(path: str) -> Object:
    return {"valueFrom": {"fieldRef": {"fieldPath": path}}}


@pytest.mark.parametrize(
    ("expression", "variable", "expected"),
    [
        pytest.param("a/b", {}, {"subPath": "a/b"}, id="no variable at all"),
        pytest.param("$(X)/b", {"value": "a"}, {"subPath": "a/b"}, id="a plain value"),
        pytest.param("$(X)b", {}, {"subPath": "b"}, id="an empty value"),
        pytest.param(
            "$(X)", from_field("metadata.name"), {"subPath": "db-0"}, id="the name of the pod"
        ),
        pytest.param(
            "$(X)", from_field("metadata.namespace"), {"subPath": "shop"}, id="its namespace"
        ),
        pytest.param("$(X)", from_field("metadata.uid"), {"subPath": "uid-db-0"}, id="its uid"),
        pytest.param("$(X)", from_field("spec.nodeName"), {"subPath": "node-1"}, id="its node"),
        pytest.param(
            "$(X)", from_field("metadata.labels['app']"), {"subPath": "db"}, id="one of its labels"
        ),
        pytest.param(
            "x$(X)",
            from_field("metadata.annotations['none']"),
            {"subPath": "x"},
            id="an annotation that it has not",
        ),
        pytest.param("$$(X)", {"value": "a"}, {"subPath": "$(X)"}, id="a dollar sign is escaped"),
        pytest.param(
            "$(Y)", {"value": "a"}, {"subPathExpr": "$(Y)"}, id="a variable that it does not set"
        ),
        pytest.param(
            "$(X)",
            {"value": "$(Y)"},
            {"subPathExpr": "$(X)"},
            id="a value that refers to another one",
        ),
        pytest.param(
            "$(X)",
            {"valueFrom": {"secretKeyRef": {"name": "keys", "key": "path"}}},
            {"subPathExpr": "$(X)"},
            id="a value that stands in a Secret",
        ),
        pytest.param(
            "$(X)",
            from_field("status.podIP"),
            {"subPathExpr": "$(X)"},
            id="a value that only the kubelet knows",
        ),
    ],
)
def test_the_sub_path_is_the_one_that_the_kubelet_made(
    expression: str, variable: Object, expected: Object
) -> None:
    mount = {"name": "data", "mountPath": "/d"}
    container = {
        "name": "postgres",
        "env": [{"name": "X", **variable}],
        "volumeMounts": [{**mount, "subPathExpr": expression}],
    }
    pod = application.pod(change={"spec": {"containers": [container]}})

    (kept,) = podrecord.record(pod)["spec"]["containers"]

    assert kept["volumeMounts"] == [{**mount, **expected}]
