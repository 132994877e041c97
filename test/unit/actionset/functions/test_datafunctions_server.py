"""The server that a data function's pod connects to, and as whom."""

from __future__ import annotations

import json
from typing import Final

import pytest
from attrs import evolve

from fakes import objects
from fakes.dataphases import SHOP, Setting, server
from reconcilers import resources
from reconcilers.actionset.api import ObjectReference
from reconcilers.actionset.function import Failed, Running
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver import connection

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


ARGUMENTS: Final = {"namespace": SHOP, "backupID": ID, **PREFIX}


def test_one_that_is_not_available_is_waited_for(setting: Setting) -> None:
    down = [{"type": "Available", "status": "False", "reason": "X", "message": "no storage"}]
    setting.reader.put(connection.RESOURCE, server({"status": {"conditions": down}}))
    phase = setting.phase("DeleteData", ARGUMENTS)

    assert phase.advance() == Running(
        waits_for="RepositoryServer backup/files is not available: no storage",
        again_after=10.0,
    )

    setting.reader.put(connection.RESOURCE, server())
    assert phase.advance() == Running(memo={"pod": "pod-"})


def test_not_for_ever(setting: Setting) -> None:
    down = [{"type": "Available", "status": "False", "reason": "X", "message": "no storage"}]
    setting.reader.put(connection.RESOURCE, server({"status": {"conditions": down}}))
    phase = setting.phase("DeleteData", ARGUMENTS)
    setting.pass_seconds(601)

    assert phase.advance() == Failed(
        "RepositoryServer backup/files is not available: no storage; it has been so for 10 min"
    )


def test_one_that_runs_again_waits_from_then_on(setting: Setting) -> None:
    """What has ended its first pod may have ended the server's as well."""
    setting.reader.put(connection.RESOURCE, server({"status": {"conditions": []}}))
    phase = setting.phase("DeleteData", ARGUMENTS, repeatable=True)
    phase.run = evolve(phase.run, memo={"attempt": 1})
    setting.pass_seconds(7200.0)

    assert isinstance(phase.advance(), Running)
    setting.pass_seconds(595.0)
    assert isinstance(phase.advance(), Running)
    setting.pass_seconds(10.0)
    assert isinstance(phase.advance(), Failed)
    assert phase.run.memo["attempt"] == 1


def test_without_one_nothing_can_be_done(setting: Setting) -> None:
    phase = setting.phase("DeleteData", ARGUMENTS, action={"repository_server": None})

    with pytest.raises(InvalidInput, match=r"set spec.actions\[0\].repositoryServer"):
        phase.advance()


def test_one_that_keeps_other_namespaces_out_is_told_of(setting: Setting) -> None:
    alone = {"spec": {"server": {"networkPolicy": None}}}
    setting.reader.put(connection.RESOURCE, server(alone))

    setting.phase("DeleteData", ARGUMENTS).advance()

    (warning,) = setting.warnings
    assert warning.startswith("RepositoryServer backup/files admits pods of its own namespace")
    assert "createdBy: kanister" in warning


@pytest.mark.parametrize(
    ("name", "arguments", "options"),
    [
        pytest.param(
            "DeleteDataUsingKopiaServer",
            {
                "namespace": SHOP,
                "backupID": ID,
                "image": "x",
                "repositoryServerUserHostname": "b",
            },
            {},
            id="by the argument",
        ),
        pytest.param(
            "DeleteData", ARGUMENTS, {"repositoryServerUserHostname": "b"}, id="by the option"
        ),
    ],
)
def test_the_user_that_is_asked_for(
    setting: Setting, name: str, arguments: dict[str, str], options: dict[str, str]
) -> None:
    users = {"a": "password-of-a", "b": "password-of-b"}
    setting.reader.put(resources.SECRETS, objects.secret(objects.USERS, "Opaque", users))

    setting.phase(name, arguments, action={"options": options}).advance()

    secret = setting.pods.made[""].secret
    assert secret is not None
    assert (secret["hostname"], secret["password"]) == (b"b", b"password-of-b")


def test_the_user_of_the_action_s_profile(setting: Setting) -> None:
    users = {"a": "password-of-a", "b": "password-of-b"}
    setting.reader.put(resources.SECRETS, objects.secret(objects.USERS, "Opaque", users))
    profile = {
        "metadata": {"name": "files", "namespace": objects.NAMESPACE},
        "location": {
            "type": "kopia",
            "endpoint": "https://repo-server-files.backup.svc.cluster.local:51515",
        },
        "credential": {
            "type": "kopia",
            "kopiaServerSecret": {"username": "backup", "hostname": "b"},
        },
    }
    setting.reader.put(resources.PROFILES, profile)
    action = {"repository_server": None, "profile": ObjectReference("files", objects.NAMESPACE)}
    setting.phase("DeleteData", ARGUMENTS, action=action).advance()

    secret = setting.pods.made[""].secret
    assert secret is not None
    assert secret["hostname"] == b"b"
