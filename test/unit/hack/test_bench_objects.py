"""What the bench makes of the manifests and of the controller's own pods."""

from __future__ import annotations

import itertools
from typing import Any

from benchlib import objects
from demolib.objects import LABEL, LABEL_VALUE, Object

POD: Object = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "server-00-abc",
        "namespace": "bench",
        "uid": "1",
        "labels": {objects.INSTANCE_LABEL: "server-00"},
        "ownerReferences": [{"name": "server-00"}],
    },
    "spec": {
        "nodeName": "node",
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
    },
    "status": {"phase": "Running"},
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


def test_a_bare_pod_is_a_servers_pod_without_its_owner() -> None:
    (((snapshot, users), pod),) = objects.bare(
        [POD], [an_object("Secret", "other"), SNAPSHOT, USERS]
    )

    assert pod["metadata"] == {
        "name": "bare-server-00",
        "namespace": "bench",
        "labels": {objects.BENCH_LABEL: objects.PODS},
    }
    key = {"name": "bare-server-00-0", "key": "p"}
    assert pod["spec"] == {
        "containers": [
            {"args": ["server", "start"], "env": [{"valueFrom": {"secretKeyRef": key}}]}
        ],
        "volumes": [
            {"secret": {"secretName": "bare-server-00-0"}},
            {"secret": {"secretName": "bare-server-00-1"}},
            {"emptyDir": {}},
        ],
    }
    assert snapshot["metadata"] == {**pod["metadata"], "name": "bare-server-00-0"}
    assert users["metadata"] == {**pod["metadata"], "name": "bare-server-00-1"}
    for copy, original in ((snapshot, SNAPSHOT), (users, USERS)):
        content = {key: value for key, value in original.items() if key != "metadata"}
        assert copy == {
            "apiVersion": "v1",
            "kind": "Secret",
            **content,
            "metadata": copy["metadata"],
        }


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
