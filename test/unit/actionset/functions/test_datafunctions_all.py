"""The data functions for several pods: a pod for each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from fakes import placed
from fakes.dataphases import ALPHA, SHOP, Setting, server
from reconcilers import resources
from reconcilers.actionset.function import Complete, Failed, Running
from reconcilers.repositoryserver import connection

if TYPE_CHECKING:
    from reconcilers.actionset.phases.model import PhasePod

ID = "8f2b3b4d0c7b1d9b5f0e6a1c2d3e4f50"
PREFIX = {"backupArtifactPrefix": "bucket/shop"}
BACKUP = {
    "namespace": SHOP,
    "pod": "db-0",
    "container": "db",
    "includePath": "/var/lib/data",
    **PREFIX,
}
RESTORE = {"namespace": SHOP, "image": "tools", "backupIdentifier": ID, **PREFIX}
INFO = json.dumps(
    {pod: {"PodName": pod, "BackupID": ID, "BackupTag": "t"} for pod in ("db-0", "db-1")}
)
TOLD = ["--arg=namespace=shop"]


@pytest.fixture
def setting() -> Setting:
    return Setting()


def container_of(pod: PhasePod) -> dict[str, Any]:
    (found,) = pod.spec["containers"]
    result: dict[str, Any] = found
    return result


def mounts_of(pod: PhasePod) -> list[str]:
    """Return what a pod has mounted below the root, `path:claim`, `ro` for reading only."""
    claims = {
        one["name"]: one["persistentVolumeClaim"]["claimName"]
        for one in pod.spec["volumes"]
        if "persistentVolumeClaim" in one
    }
    return [
        f"{one['mountPath']}:{claims[one['name']]}{':ro' if one.get('readOnly') else ''}"
        for one in container_of(pod)["volumeMounts"]
        if one["name"] in claims
    ]


ARGUMENTS: Final = {
    "namespace": SHOP,
    "container": "db",
    "includePath": "/var/lib/data",
    **PREFIX,
}

OF_FIRST: Final = json.dumps({"db-0": {"PodName": "db-0", "BackupID": ID, "BackupTag": "t"}})


@pytest.fixture(autouse=True)
def second(setting: Setting) -> None:
    claim = {"persistentVolumeClaim": {"claimName": "data-db-1"}}
    setting.reader.put(resources.PODS, placed.pod(name="db-1", volumes={"data": claim}))
    setting.reader.put(resources.PERSISTENT_VOLUME_CLAIMS, placed.claim("data-db-1"))


def test_a_pod_beside_each(setting: Setting) -> None:
    phase = setting.phase("BackupDataAll", ARGUMENTS)

    assert phase.advance() == Running(memo={"names": ["db-0", "db-1"], "parts": {}})
    phase.advance()

    assert mounts_of(setting.pods.made["db-1"]) == ["/workload/db-1/var/lib/data:data-db-1:ro"]
    assert "--arg=pods=db-1" in container_of(setting.pods.made["db-1"])["args"]
    assert "--root=/workload" in container_of(setting.pods.made["db-1"])["args"]
    assert list(setting.pods.made) == ["db-0", "db-1"]


def test_their_outputs_are_one(setting: Setting) -> None:
    phase = setting.phase("BackupDataAll", ARGUMENTS)
    phase.advance()
    phase.advance()
    for name in ("db-0", "db-1"):
        one = json.dumps({name: {"PodName": name, "BackupID": ID, "BackupTag": "t"}})
        setting.pods.ended[name] = Complete({"BackupAllInfo": one, "version": ALPHA})

    step = phase.advance()

    assert step == Complete({"BackupAllInfo": INFO, "version": ALPHA})


def test_what_was_backed_up_is_put_out_if_another_fails(setting: Setting) -> None:
    phase = setting.phase("BackupDataAll", {**ARGUMENTS, "pods": "db-0 db-1 gone"})
    phase.advance()
    phase.advance()
    one = json.dumps({"db-0": {"PodName": "db-0", "BackupID": ID, "BackupTag": "t"}})
    setting.pods.ended["db-0"] = Complete({"BackupAllInfo": one, "version": ALPHA})
    setting.pods.ended["db-1"] = Failed("no space")

    step = phase.advance()

    assert isinstance(step, Failed)
    assert step.outputs == {"BackupAllInfo": one, "version": ALPHA}
    assert step.message.startswith("failed for db-1, gone (db-1: no space; gone: there is no Pod")
    assert step.message.endswith("; done for db-0")


@pytest.mark.parametrize(
    "outputs",
    [
        pytest.param({}, id="nothing, as an image with another program"),
        pytest.param({"BackupAllInfo": "{}"}, id="no pod"),
        pytest.param({"BackupAllInfo": "db-1 is saved"}, id="no JSON"),
        pytest.param({"BackupAllInfo": OF_FIRST}, id="another pod"),
    ],
)
def test_a_backup_that_nothing_names_is_none(setting: Setting, outputs: dict[str, str]) -> None:
    """Complete, it would be found out by a restore."""
    phase = setting.phase("BackupDataAll", ARGUMENTS)
    phase.advance()
    phase.advance()
    setting.pods.ended["db-0"] = Complete({"BackupAllInfo": OF_FIRST, "version": ALPHA})
    setting.pods.ended["db-1"] = Complete(outputs)

    step = phase.advance()

    assert isinstance(step, Failed)
    assert step.message == (
        "failed for db-1 (db-1: its program has ended well, but not put out which snapshot is of"
        " pod db-1; have the program of this controller's image run); done for db-0"
    )
    assert step.outputs == {"BackupAllInfo": OF_FIRST, "version": ALPHA}


def test_each_gets_its_own_backup_back(setting: Setting) -> None:
    parameters = setting.parameters()
    for name in ("db-0", "db-1"):
        setting.reader.drop(resources.PODS, SHOP, name)
    arguments = {"namespace": SHOP, "image": "tools", "backupInfo": INFO, **PREFIX}
    phase = setting.phase("RestoreDataAll", arguments, parameters=parameters)
    phase.advance()
    phase.advance()

    pod = setting.pods.made["db-1"]
    own = {"db-1": {"PodName": "db-1", "BackupID": ID, "BackupTag": "t"}}
    assert mounts_of(pod) == ["/workload/db-1/var/lib/data:data-db-1"]
    assert f"--arg=backupInfo={json.dumps(own)}" in container_of(pod)["args"]
    assert "--arg=pods=db-1" in container_of(pod)["args"]
    for name in ("db-0", "db-1"):
        setting.pods.ended[name] = Complete({})
    assert phase.advance() == Complete(None)


def test_a_pod_without_a_backup_is_refused(setting: Setting) -> None:
    arguments = {
        "namespace": SHOP,
        "image": "tools",
        "backupInfo": INFO,
        "pods": "web-0",
        **PREFIX,
    }
    phase = setting.phase("RestoreDataAll", arguments)
    phase.advance()

    step = phase.advance()

    assert isinstance(step, Failed)
    assert "backupInfo has no backup of web-0; it has those of db-0, db-1" in step.message


def test_a_cancel_deletes_all(setting: Setting) -> None:
    phase = setting.phase("BackupDataAll", ARGUMENTS)
    assert phase.cancel() == Failed("cancelled")
    phase.advance()
    phase.advance()

    assert phase.cancel() == Failed("cancelled")
    assert setting.pods.cancelled == ["db-0", "db-1"]


def test_one_that_begins_late_waits_as_long_as_the_first(setting: Setting) -> None:
    """Its time does not count from the beginning of the phase, in which others have run."""
    phase = setting.phase("BackupDataAll", ARGUMENTS | {"pods": "db-0 db-1"})
    phase.advance()
    setting.reader.put(connection.RESOURCE, server({"status": {"conditions": []}}))
    setting.pass_seconds(7200.0)

    step = phase.advance()

    assert isinstance(step, Running)
    assert "db-1: RepositoryServer" in step.waits_for
    setting.pass_seconds(595.0)
    assert isinstance(phase.advance(), Running)
    setting.pass_seconds(10.0)
    step = phase.advance()
    assert isinstance(step, Failed)
    assert "it has been so for 10 min" in step.message


def test_what_was_backed_up_is_put_out_if_the_rest_is_cancelled(setting: Setting) -> None:
    """Nobody could delete these backups otherwise, and they would stay for ever."""
    phase = setting.phase("BackupDataAll", ARGUMENTS)
    phase.advance()
    phase.advance()
    one = json.dumps({"db-0": {"PodName": "db-0", "BackupID": ID, "BackupTag": "t"}})
    setting.pods.ended["db-0"] = Complete({"BackupAllInfo": one, "version": ALPHA})
    phase.advance()

    step = phase.cancel()

    assert step == Failed("cancelled", {"BackupAllInfo": one, "version": ALPHA})
    assert phase.function.so_far(phase.run) == {"BackupAllInfo": one, "version": ALPHA}
