"""The data functions as phases of ActionSets: pods beside the data of a workload that runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from e2e.actionsets import Engine, error_of, outputs_of
from e2e.cluster import CLAIMS, CLIENTS, NAMESPACE, Cluster
from e2e.server import Server
from e2e.waiting import wait_for
from reconcilers import resources
from reconcilers.actionset.api import ACTION_SETS, CREATED_BY, LABEL_CREATED_BY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.resource import Object
    from e2e.installation import Controller
    from e2e.node import Node
    from e2e.witness import Witness

NAME: Final = "db"
CLAIM_NAMES: Final = ("data-db-0", "data-db-1")
OWNER: Final = 1234
ALPHA: Final = "v1.0.0-alpha"
PREFIX: Final = {"backupArtifactPrefix": "shop"}
TARGET: Final = {"namespace": "{{ .StatefulSet.Namespace }}"}
FIRST: Final = "{{ .StatefulSet.Name }}-0"
IMAGE: Final = {"image": "ghcr.io/kanisterio/kanister-tools:0.119.0"}

WRITE: Final = (
    'mkdir -p sub; hostname >sub/file; printf "kept " >kept; chmod 700 sub; umask 77; date >secret'
)
DESCRIBE: Final = "find . -exec stat -c '%n|%a|%u|%g|%F' {} + | sort; cat sub/file kept secret"

ACTIONS: Final[dict[str, Any]] = {
    "backup": {
        "phases": [
            {
                "func": "BackupData",
                "name": "backup",
                "args": {
                    **TARGET,
                    "pod": FIRST,
                    "container": "db",
                    "includePath": "/var/lib/data",
                    **PREFIX,
                },
            },
            {
                "func": "BackupDataStats",
                "name": "stats",
                "args": {**TARGET, "backupID": "{{ .Phases.backup.Output.backupID }}", **PREFIX},
            },
        ],
        "outputArtifacts": {
            "data": {"keyValue": {"backupID": "{{ .Phases.backup.Output.backupID }}"}}
        },
    },
    "restore": {
        "phases": [
            {
                "func": "RestoreData",
                "name": "restore",
                "args": {
                    **TARGET,
                    **IMAGE,
                    "pod": FIRST,
                    **PREFIX,
                    "backupIdentifier": "{{ .ArtifactsIn.data.KeyValue.backupID }}",
                },
            }
        ]
    },
    "delete": {
        "phases": [
            {
                "func": "DeleteData",
                "name": "delete",
                "args": {
                    **TARGET,
                    **PREFIX,
                    "backupID": "{{ .ArtifactsIn.data.KeyValue.backupID }}",
                },
            }
        ]
    },
    "backupAll": {
        "phases": [
            {
                "func": "BackupDataAll",
                "name": "backup",
                "args": {**TARGET, "container": "db", "includePath": "/var/lib/data", **PREFIX},
            }
        ],
        "outputArtifacts": {
            "data": {"keyValue": {"info": "{{ .Phases.backup.Output.BackupAllInfo }}"}}
        },
    },
    "restoreAll": {
        "phases": [
            {
                "func": "RestoreDataAll",
                "name": "restore",
                "args": {
                    **TARGET,
                    **IMAGE,
                    **PREFIX,
                    "pods": f"{NAME}-0 {NAME}-1",
                    "backupInfo": "{{ .ArtifactsIn.data.KeyValue.info }}",
                },
            }
        ]
    },
    "backupInside": {
        "phases": [
            {
                "func": "BackupData",
                "name": "backup",
                "args": {
                    **TARGET,
                    "pod": FIRST,
                    "container": "tools",
                    "includePath": "/scratch",
                    **PREFIX,
                },
            }
        ],
        "outputArtifacts": {
            "data": {"keyValue": {"backupID": "{{ .Phases.backup.Output.backupID }}"}}
        },
    },
}


@pytest.fixture(scope="module")
def server(
    cluster: Cluster,
    node: Node,
    witness: Witness,
    controller: Controller,  # noqa: ARG001 - it makes the server
) -> Iterator[Server]:
    """Give a server that admits the pods of phases in the workload's namespace."""
    described = Server(cluster, node, witness, "phases")
    peer = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": CLIENTS}},
        "podSelector": {"matchLabels": {LABEL_CREATED_BY: CREATED_BY}},
    }
    inside = {**peer, "podSelector": {"matchLabels": {"app": NAME}}}
    described.resource["spec"]["server"]["networkPolicy"] = {"from": [peer, inside]}
    described.start()
    yield described
    described.remove()


@pytest.fixture(scope="module")
def engine(
    cluster: Cluster, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """Give the controller of ActionSets, which runs."""
    made = Engine(cluster, tmp_path_factory.mktemp("engine") / "log")
    made.install()
    made.make_blueprint(NAME, ACTIONS)
    made.start()
    yield made
    made.kill()
    log = made.log.read_text()
    assert server.password_of() not in log
    assert "Traceback" not in log, log


@pytest.fixture(scope="module")
def workload(cluster: Cluster, node: Node) -> Iterator[None]:
    """Give a StatefulSet with two pods whose claims are mounted by a folder of theirs."""
    for name in CLAIM_NAMES:
        node.make_volume(name, CLIENTS)
        # The kubelet would make the folder as root.
        node.shell(f"cd {node.directory}/{name} && mkdir pg && chown -R {OWNER}:{OWNER} .")
    cluster.kubectl.create([stateful_set(cluster)])
    wait_for_replicas(cluster, 2)
    yield
    cluster.kubectl.run("delete", "statefulset", NAME, f"--namespace={CLIENTS}", "--wait")
    for name in CLAIM_NAMES:
        cluster.delete(CLAIMS, name, CLIENTS)
        node.remove_volume(name)


def stateful_set(cluster: Cluster) -> Object:
    idle = ["/bin/sh", "-c", "trap exit TERM; while true; do sleep 0.2; done"]
    scratch = {"name": "scratch", "mountPath": "/scratch"}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": NAME, "namespace": CLIENTS},
        "spec": {
            "replicas": 2,
            "serviceName": NAME,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": NAME}},
            "template": {
                "metadata": {"labels": {"app": NAME}},
                "spec": {
                    "securityContext": {"runAsUser": OWNER, "runAsGroup": OWNER},
                    "containers": [
                        {
                            "name": "db",
                            "image": cluster.server_image,
                            "command": idle,
                            "volumeMounts": [
                                {"name": "data", "mountPath": "/var/lib/data", "subPath": "pg"}
                            ],
                        },
                        {
                            "name": "tools",
                            "image": cluster.controller_image,
                            "command": idle,
                            "volumeMounts": [scratch],
                        },
                    ],
                    "volumes": [{"name": "scratch", "emptyDir": {}}],
                },
            },
            "volumeClaimTemplates": [
                {
                    "metadata": {"name": "data"},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "storageClassName": "",
                        "resources": {"requests": {"storage": "1Gi"}},
                    },
                }
            ],
        },
    }


def scale(cluster: Cluster, replicas: int) -> None:
    cluster.kubectl.run(
        "scale", "statefulset", NAME, f"--namespace={CLIENTS}", f"--replicas={replicas}"
    )
    wait_for_replicas(cluster, replicas)


def wait_for_replicas(cluster: Cluster, replicas: int) -> None:
    def pods() -> list[Object]:
        found: list[Object] = cluster.client.list(
            resources.PODS, CLIENTS, label_selector=f"app={NAME}"
        )["items"]
        return found

    wait_for(
        f"{replicas} pods of the workload",
        pods,
        lambda found: len(found) == replicas and all(map(_is_ready, found)),
    )


def _is_ready(pod: Object) -> bool:
    statuses = pod["status"].get("containerStatuses") or ()
    return bool(statuses) and all(one["ready"] for one in statuses)


def in_pod(cluster: Cluster, pod: str, script: str, container: str = "db") -> str:
    folder = "/var/lib/data" if container == "db" else "/scratch"
    ran = cluster.kubectl.attempt(
        "exec", "--stdin", f"--namespace={CLIENTS}", pod, f"--container={container}", "--",
        "/bin/sh", "-eu", stdin=f"cd {folder}\n{script}",
    )  # fmt: skip
    assert ran.code == 0, str(ran)
    return ran.output


def action(server: Server, name: str, artifacts: dict[str, Any] | None = None) -> Object:
    return {
        "name": name,
        "blueprint": NAME,
        "object": {"kind": "StatefulSet", "name": NAME, "namespace": CLIENTS},
        "repositoryServer": {"name": server.name, "namespace": NAMESPACE},
        "preferredVersion": ALPHA,
        "artifacts": artifacts or {},
    }


def artifacts_of(obj: Object) -> dict[str, Any]:
    found: dict[str, Any] = obj["status"]["actions"][0]["artifacts"]
    return found


@pytest.mark.usefixtures("workload")
def test_a_folder_of_a_pod_that_runs_is_backed_up_and_restored_at_0_replicas(
    cluster: Cluster, server: Server, engine: Engine
) -> None:
    in_pod(cluster, "db-0", WRITE)
    before = in_pod(cluster, "db-0", DESCRIBE)

    backup = engine.run("one-backup", action(server, "backup"))
    outputs = outputs_of(backup)
    assert outputs["backup"]["version"] == ALPHA
    assert outputs["stats"]["fileCount"] == outputs["backup"]["fileCount"] == "3"

    in_pod(cluster, "db-0", "rm -rf sub kept; echo changed >secret")
    in_use = engine.run("one-in-use", action(server, "restore", artifacts_of(backup)))
    assert "is in use by pod db-0" in error_of(in_use)

    scale(cluster, 0)
    outputs_of(engine.run("one-restore", action(server, "restore", artifacts_of(backup))))
    scale(cluster, 2)
    assert in_pod(cluster, "db-0", DESCRIBE) == before

    outputs_of(engine.run("one-delete", action(server, "delete", artifacts_of(backup))))


@pytest.mark.usefixtures("workload")
def test_all_pods_are_backed_up_and_restored_and_the_engine_is_killed_meanwhile(
    cluster: Cluster, server: Server, engine: Engine
) -> None:
    for pod in ("db-0", "db-1"):
        in_pod(cluster, pod, WRITE)
    before = [in_pod(cluster, pod, DESCRIBE) for pod in ("db-0", "db-1")]

    engine.begin("all-backup", action(server, "backupAll"))
    uid = cluster.client.get(ACTION_SETS, NAMESPACE, "all-backup")["metadata"]["uid"]
    pods = wait_for("pods of both", lambda: engine.pods(uid), lambda found: len(found) == 2)
    engine.kill()
    engine.start()
    backup = engine.ended("all-backup")

    info = json.loads(outputs_of(backup)["backup"]["BackupAllInfo"])
    assert list(info) == ["db-0", "db-1"]
    made = {pod["metadata"]["uid"] for pod in pods}
    assert len(made) == 2

    for pod in ("db-0", "db-1"):
        in_pod(cluster, pod, "rm -rf ./*")
    scale(cluster, 0)
    outputs_of(engine.run("all-restore", action(server, "restoreAll", artifacts_of(backup))))
    scale(cluster, 2)
    assert [in_pod(cluster, pod, DESCRIBE) for pod in ("db-0", "db-1")] == before


@pytest.mark.usefixtures("workload")
def test_what_is_on_no_claim_is_backed_up_in_the_container(
    cluster: Cluster, server: Server, engine: Engine
) -> None:
    in_pod(cluster, "db-0", "echo here >file", "tools")

    backup = engine.run("inside-backup", action(server, "backupInside"))

    outputs = outputs_of(backup)
    assert outputs["backup"]["fileCount"] == "1"
    outputs_of(engine.run("inside-delete", action(server, "delete", artifacts_of(backup))))
