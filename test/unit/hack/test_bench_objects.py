"""What the bench makes of the manifests and of the controller's own pods."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from benchlib import objects
from demolib.objects import LABEL, LABEL_VALUE, Object

TEMPLATE: Object = {
    "containers": [
        {
            "args": ["server", "start"],
            "env": [{"valueFrom": {"secretKeyRef": {"name": "server-00-abc", "key": "p"}}}],
        }
    ],
    "volumes": [
        {"secret": {"secretName": "server-00-abc"}},
        {"secret": {"secretName": "server-00-users"}},
        {"emptyDir": {}},
    ],
}
REPLICA_SET: Object = {
    "apiVersion": "apps/v1",
    "kind": "ReplicaSet",
    "metadata": {
        "name": "server-00-abc",
        "namespace": "bench",
        "uid": "1",
        "labels": {objects.INSTANCE_LABEL: "server-00"},
        "ownerReferences": [{"name": "server-00"}],
    },
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {objects.INSTANCE_LABEL: "server-00"}},
        "template": {
            "metadata": {"labels": {objects.INSTANCE_LABEL: "server-00"}},
            "spec": TEMPLATE,
        },
    },
    "status": {"replicas": 1},
}
SNAPSHOT: Object = {
    "metadata": {"name": "server-00-abc", "namespace": "bench", "uid": "2"},
    "type": "Opaque",
    "immutable": True,
    "data": {"p": "c2VjcmV0"},
}
USERS: Object = {
    "metadata": {"name": "server-00-users", "namespace": "bench", "uid": "3"},
    "type": "Opaque",
    "data": {"htpasswd": "eDp5"},
}


def an_object(kind: str, name: str, **fields: Any) -> Object:
    return {"kind": kind, "metadata": {"name": name}, **fields}


def test_the_bare_ones_have_the_template_of_a_servers_replica_set_and_no_owner() -> None:
    (bare,) = objects.bare([REPLICA_SET], [an_object("Secret", "other"), SNAPSHOT, USERS])

    key = {"name": "bare-server-00-0", "key": "p"}
    spec = {
        "containers": [
            {"args": ["server", "start"], "env": [{"valueFrom": {"secretKeyRef": key}}]}
        ],
        "volumes": [
            {"secret": {"secretName": "bare-server-00-0"}},
            {"secret": {"secretName": "bare-server-00-1"}},
            {"emptyDir": {}},
        ],
    }
    metadata = {"name": "bare-server-00", "namespace": "bench"}
    of_pods = {objects.BENCH_LABEL: objects.PODS}
    assert bare.pod == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, "labels": of_pods},
        "spec": spec,
    }
    labels = {
        objects.BENCH_LABEL: objects.REPLICA_SETS,
        objects.NAME_LABEL: "bare-server-00",
    }
    assert bare.replica_set == {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {**metadata, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
    for number, (copy, original) in enumerate(zip(bare.secrets, (SNAPSHOT, USERS), strict=True)):
        content = {key: value for key, value in original.items() if key != "metadata"}
        name = {"name": f"bare-server-00-{number}", "namespace": "bench", "labels": of_pods}
        assert copy == {"apiVersion": "v1", "kind": "Secret", **content, "metadata": name}


@pytest.mark.parametrize(
    ("count", "resources"),
    [
        pytest.param(12, None, id="few ask for what the controller has them ask for"),
        pytest.param(24, None, id="as many as there is room for"),
        pytest.param(50, {"requests": {"cpu": "24m"}}, id="more share what there is"),
        pytest.param(5000, {"requests": {"cpu": "1m"}}, id="nothing is no request"),
    ],
)
def test_however_many_servers_there_are_a_node_with_two_cpus_has_room(
    count: int, resources: Object | None
) -> None:
    server = an_object("RepositoryServer", "server", spec={"server": {}})

    found = objects.with_room([server] * count)

    assert [one["spec"]["server"].get("resources") for one in found] == [resources] * count
    assert server["spec"] == {"server": {}}


def test_each_server_has_a_repository_of_its_own() -> None:
    repository = {"rootPath": "sample", "passwordSecretRef": {"name": "password"}}
    sample = an_object("RepositoryServer", "file-store", spec={"repository": repository})

    made = objects.servers([an_object("Secret", "password"), sample], 2)

    assert [server["metadata"]["name"] for server in made] == ["server-00", "server-01"]
    assert [server["spec"]["repository"]["rootPath"] for server in made] == [
        "server-00",
        "server-01",
    ]
    assert sample["spec"]["repository"]["rootPath"] == "sample"


def test_the_manifests_move_to_another_namespace() -> None:
    demo = {LABEL: LABEL_VALUE, "kept": "yes"}
    binding = an_object("RoleBinding", "binding", subjects=[{"namespace": "kanister"}])
    namespace = an_object("Namespace", "kanister")
    definition = an_object("CustomResourceDefinition", "definition")
    binding["metadata"] |= {"namespace": "kanister", "labels": demo}

    moved = objects.moved([namespace, binding, definition], "bench")

    assert moved[0]["metadata"] == {"name": "bench"}
    assert moved[1]["metadata"] == {
        "name": "binding",
        "namespace": "bench",
        "labels": {"kept": "yes"},
    }
    assert moved[1]["subjects"] == [{"namespace": "bench"}]
    assert moved[2] == definition


def test_a_server_refers_to_the_secrets_of_the_namespace_that_it_is_moved_to() -> None:
    def spec(namespace: str) -> dict[str, Any]:
        reference = {"name": "access", "namespace": namespace}
        return {
            "storage": {"secretRef": reference},
            "server": {"userAccess": {"userAccessSecretRef": reference, "username": "backup"}},
        }

    server = an_object("RepositoryServer", "files", spec=spec("kanister"))

    (moved,) = objects.moved([server], "bench")

    assert moved["spec"] == spec("bench")


def test_only_the_access_secret_gets_more_users() -> None:
    users = an_object("Secret", "users", stringData={objects.USER_KEY: "placeholder"})
    admin = an_object("Secret", "admin", stringData={"username": "admin"})
    passwords = (f"password-{number}" for number in itertools.count())

    found = objects.with_users([users, admin], 2, lambda: next(passwords))

    assert [secret["stringData"] for secret in found] == [
        {"client-0": "password-0", "client-1": "password-1"},
        {"username": "admin"},
    ]


def test_the_pod_with_the_repositories_is_the_samples_job_that_stays() -> None:
    container = {"image": "kopia", "command": ["/bin/sh", "-euc"], "args": ["make it"]}
    spec = {"restartPolicy": "OnFailure", "containers": [container], "volumes": ["data"]}
    job = {
        "kind": "Job",
        "metadata": {"name": "job", "namespace": "bench"},
        "spec": {"template": {"spec": spec}},
    }

    pod = objects.repositories_pod(job)

    assert pod["metadata"] == {"name": objects.REPOSITORIES_POD, "namespace": "bench"}
    assert pod["spec"] == {
        **spec,
        "restartPolicy": "Always",
        "containers": [{**container, "args": [objects.STAY]}],
    }
