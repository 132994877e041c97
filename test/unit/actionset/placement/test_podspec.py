"""The PodSpec of a data function's pod, to the letter."""

from __future__ import annotations

from typing import Any

import pytest

from reconcilers.actionset.placement import podspec
from reconcilers.actionset.placement.podspec import ROOT_USER, Placed, Volume
from reconcilers.actionset.placement.workload import Mount, User

DATA = Volume(Mount("/var/lib/data", "data", claim="data-db-0"))
NOBODY = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def spec(*volumes: Volume, **more: Any) -> dict[str, Any]:
    return podspec.spec(Placed(("run", "X"), volumes, **more), image="functions", secret="pod-1")


def container(found: dict[str, Any]) -> dict[str, Any]:
    (one,) = found["containers"]
    result: dict[str, Any] = one
    return result


def test_a_pod_that_sees_no_data() -> None:
    assert spec() == {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": NOBODY,
        "containers": [
            {
                "name": "container",
                "image": "functions",
                "imagePullPolicy": "IfNotPresent",
                "command": ["repository-server-functions"],
                "args": ["run", "X"],
                "env": [{"name": "RSF_PROGRESS", "value": "marked"}],
                "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [
                    {
                        "name": "connection",
                        "mountPath": "/etc/repository-server/connection",
                        "readOnly": True,
                    },
                    {"name": "user", "mountPath": "/etc/repository-server/user", "readOnly": True},
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume
                ],
            }
        ],
        "volumes": [
            {
                "name": "connection",
                "secret": {
                    "secretName": "pod-1",
                    "defaultMode": 0o444,
                    "items": [
                        {"key": "url", "path": "url"},
                        {"key": "fingerprint", "path": "fingerprint"},
                    ],
                },
            },
            {
                "name": "user",
                "secret": {
                    "secretName": "pod-1",
                    "defaultMode": 0o444,
                    "items": [
                        {"key": "username", "path": "username"},
                        {"key": "hostname", "path": "hostname"},
                        {"key": "password", "path": "password"},
                    ],
                },
            },
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def test_a_pod_beside_another_one() -> None:
    tolerations = ({"key": "db", "operator": "Exists"},)
    user = User(70, 71, (72,), {"level": "s0:c1"})

    found = spec(DATA, user=user, node="node-1", tolerations=tolerations)

    assert found["affinity"] == {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {
                        "matchFields": [
                            {"key": "metadata.name", "operator": "In", "values": ["node-1"]}
                        ]
                    }
                ]
            }
        }
    }
    assert found["tolerations"] == list(tolerations)
    assert found["securityContext"] == NOBODY | {
        "runAsUser": 70,
        "runAsGroup": 71,
        "supplementalGroups": [72],
        "seLinuxOptions": {"level": "s0:c1"},
    }
    assert container(found)["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container(found)["volumeMounts"][-1] == {
        "name": "claim-0",
        "mountPath": "/workload/var/lib/data",
        "readOnly": True,
    }
    assert found["volumes"][-1] == {
        "name": "claim-0",
        "persistentVolumeClaim": {"claimName": "data-db-0"},
    }


@pytest.mark.parametrize(
    ("user", "writes", "pod", "added"),
    [
        pytest.param(
            ROOT_USER,
            False,
            {"runAsUser": 0, "runAsGroup": 0},
            ["DAC_OVERRIDE"],
            id="root reads what belongs to others",
        ),
        pytest.param(
            ROOT_USER,
            True,
            {"runAsUser": 0, "runAsGroup": 0},
            ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID"],
            id="root that restores gives files to their owners",
        ),
        pytest.param(
            User(1000),
            True,
            {"runAsNonRoot": True, "runAsUser": 1000},
            None,
            id="anybody else has no such power: the restricted profile allows none",
        ),
    ],
)
def test_what_a_user_may(
    user: User, writes: bool, pod: dict[str, Any], added: list[str] | None
) -> None:
    found = spec(DATA, user=user, writes=writes)

    assert found["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}, **pod}
    assert container(found)["securityContext"]["capabilities"].get("add") == added
    assert "fsGroup" not in found["securityContext"]


def test_a_restore_writes_to_the_claim_and_beside_it() -> None:
    found = spec(DATA, user=ROOT_USER, writes=True)

    assert container(found)["volumeMounts"][-2:] == [
        {"name": "workload", "mountPath": "/workload"},
        {"name": "claim-0", "mountPath": "/workload/var/lib/data"},
    ]
    assert found["volumes"][-2] == {"name": "workload", "emptyDir": {}}


def test_the_folders_of_one_claim_are_one_volume() -> None:
    more = Volume(Mount("/x", "data", claim="data-db-0", sub_path="x"))
    other = Volume(Mount("/", "all", claim="all", claim_read_only=True), "/workload/db-0")

    found = spec(DATA, more, other, user=ROOT_USER)

    assert container(found)["volumeMounts"][4:] == [
        {"name": "claim-1", "mountPath": "/workload/var/lib/data", "readOnly": True},
        {"name": "claim-1", "mountPath": "/workload/x", "subPath": "x", "readOnly": True},
        {"name": "claim-0", "mountPath": "/workload/db-0", "readOnly": True},
    ]
    assert found["volumes"][4:] == [
        {"name": "claim-0", "persistentVolumeClaim": {"claimName": "all", "readOnly": True}},
        {"name": "claim-1", "persistentVolumeClaim": {"claimName": "data-db-0"}},
    ]


def test_the_kubelet_expands_no_argument() -> None:
    placed = Placed(("--arg=includePath=/$(HOME)/$x",))

    found = podspec.spec(placed, image="functions", secret="pod-1")

    assert container(found)["args"] == ["--arg=includePath=/$$(HOME)/$$x"]
