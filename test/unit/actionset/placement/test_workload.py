"""What a pod of the workload says about its data."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.placed import CLAIM, container, mount, pod, seen
from reconcilers.actionset.placement.workload import Mount, User
from reconcilers.errors import InvalidInput

REPORTED = {
    "containerStatuses": [
        {"name": "db", "user": {"linux": {"uid": 70, "gid": 71, "supplementalGroups": [71, 72]}}}
    ]
}


@pytest.mark.parametrize(
    ("of_mount", "volume", "expected"),
    [
        pytest.param(
            {}, CLAIM, Mount("/data", "data", claim="data-db-0"), id="a claim by its name"
        ),
        pytest.param(
            {"subPath": "pg"},
            CLAIM,
            Mount("/data", "data", claim="data-db-0", sub_path="pg"),
            id="a folder of a claim",
        ),
        pytest.param(
            {"subPathExpr": "$(NAME)/pg"},
            CLAIM,
            Mount("/data", "data", claim="data-db-0", sub_path="db-0/pg"),
            id="a folder whose name is a variable that the pod says",
        ),
        pytest.param(
            {},
            {"ephemeral": {"volumeClaimTemplate": {}}},
            Mount("/data", "data", claim="db-0-data"),
            id="a claim of the pod's own by the name that Kubernetes gives it",
        ),
        pytest.param(
            {},
            {"persistentVolumeClaim": {"claimName": "shared", "readOnly": True}},
            Mount("/data", "data", claim="shared", claim_read_only=True),
            id="a claim that is attached for reading only stays so",
        ),
        pytest.param(
            {}, {"emptyDir": {}}, Mount("/data", "data", kind="emptyDir"), id="no claim: its kind"
        ),
        pytest.param(
            {"mountPath": "/data/"},
            {"hostPath": {"path": "/x"}},
            Mount("/data", "data", kind="hostPath"),
            id="a slash at the end of the path means nothing",
        ),
    ],
)
def test_a_volume_of_a_container(
    of_mount: dict[str, Any], volume: dict[str, Any], expected: Mount
) -> None:
    field = {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    made = container("db", mount("data", "/data") | of_mount, env=[{"name": "NAME", **field}])

    assert seen(pod(made, volumes={"data": volume})).container("db").mounts == (expected,)


@pytest.mark.parametrize(
    ("of_pod", "of_container", "status", "expected"),
    [
        pytest.param({}, {}, {}, User(), id="nobody says it: only the image does"),
        pytest.param({"runAsUser": 1, "runAsGroup": 2}, {}, {}, User(1, 2), id="the pod's"),
        pytest.param(
            {"runAsUser": 1, "runAsGroup": 2},
            {"runAsUser": 3},
            {},
            User(3, 2),
            id="the container's counts more, field by field",
        ),
        pytest.param(
            {},
            {},
            REPORTED,
            User(70, 71, (72,)),
            id="where nothing asks for it, the kubelet's word",
        ),
        pytest.param(
            {"runAsUser": 1},
            {},
            REPORTED,
            User(1, 71, (72,)),
            id="the group may be the image's alone",
        ),
        pytest.param(
            {"runAsUser": 1, "runAsGroup": 2, "fsGroup": 9, "supplementalGroups": [8]},
            {},
            {},
            User(1, 2, (8, 9)),
            id="the groups by which it may read, that of the volumes among them",
        ),
        pytest.param(
            {"runAsUser": 1, "runAsGroup": 9, "fsGroup": 9},
            {},
            {},
            User(1, 9),
            id="a group is named once",
        ),
        pytest.param({"runAsUser": 0}, {}, {}, User(0), id="root is a user, not the lack of one"),
        pytest.param(
            {"seLinuxOptions": {"level": "s0:c1"}},
            {},
            {},
            User(se_linux={"level": "s0:c1"}),
            id="the label that its volumes have",
        ),
    ],
)
def test_as_whom_a_container_runs(
    of_pod: dict[str, Any], of_container: dict[str, Any], status: dict[str, Any], expected: User
) -> None:
    obj = pod(
        container("db", securityContext=of_container),
        spec={"securityContext": of_pod},
        status=status,
    )

    assert seen(obj).container("db").user == expected


def test_what_runs_beside_the_containers_counts_as_one() -> None:
    sidecar = container("agent", restartPolicy="Always")
    found = seen(pod(spec={"initContainers": [container("setup"), sidecar]}))

    assert list(found.containers) == ["db", "agent"]


def test_a_container_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidInput, match="pod db-0 has no container tools; it has: db"):
        seen(pod()).container("tools")


def test_a_place_on_a_volume_that_only_a_secret_knows_is_refused() -> None:
    secret = {"valueFrom": {"secretKeyRef": {"name": "keys", "key": "folder"}}}
    made = container(
        "db", mount("data", "/data", subPathExpr="$(FOLDER)"), env=[{"name": "FOLDER", **secret}]
    )

    with pytest.raises(
        InvalidInput, match=r"container db mounts claim data-db-0 by the subPathExpr"
    ):
        seen(pod(made))


def test_it_is_no_matter_where_on_its_volume_what_is_no_claim_is() -> None:
    made = container("db", mount("logs", "/logs", subPathExpr="$(UNKNOWN)"))

    (found,) = seen(pod(made, volumes={"logs": {"emptyDir": {}}})).container("db").mounts

    assert found == Mount("/logs", "logs", kind="emptyDir")
