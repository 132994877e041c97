"""The command line of a data function."""

from __future__ import annotations

from typing import Any

import pytest

from reconcilers.actionset.placement import command
from reconcilers.datafunctions.arguments import decode
from reconcilers.datafunctions.catalogue import FUNCTIONS
from reconcilers.datafunctions.program.options import parse_options

ALPHA = "v1.0.0-alpha"
PASSWORD = "hunter2-4c1e"

BACKUP = {
    "namespace": "shop",
    "pod": "db-0",
    "container": "db",
    "includePath": "/var/lib/data",
    "backupArtifactPrefix": "bucket/shop",
}
ID = "8f2b3b4d0c7b1d9b5f0e6a1c2d3e4f50"


def given(name: str, arguments: dict[str, Any]) -> command.Given:
    function = FUNCTIONS.find(name, ALPHA).function
    return command.given(decode(function.arguments, arguments, function=name, phase=True).arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "left"),
    [
        pytest.param(
            "BackupData",
            BACKUP,
            BACKUP,
            id="whose data it is: the container has a source of its own",
        ),
        pytest.param(
            "DeleteData",
            {
                "namespace": "shop",
                "backupArtifactPrefix": "bucket/shop",
                "backupID": [ID, "b" * 32],
                "encryptionKey": PASSWORD,
                "insecureTLS": "true",
                "reclaimSpace": True,
                "image": "tools",
                "podOverride": {"nodeName": "x"},
                "podLabels": {"a": "b"},
                "podAnnotations": {"a": "b"},
            },
            {
                "namespace": "shop",
                "backupArtifactPrefix": "bucket/shop",
                "backupID": f"{ID} {'b' * 32}",
            },
            id="what has no effect stays away: one of it is a password",
        ),
        pytest.param(
            "RestoreData",
            {
                "namespace": "shop",
                "image": "tools",
                "backupArtifactPrefix": "bucket/shop",
                "backupIdentifier": ID,
                "volumes": {"data": "/data"},
            },
            {
                "namespace": "shop",
                "backupArtifactPrefix": "bucket/shop",
                "backupIdentifier": ID,
                "restorePath": "/",
                "volumes": '{"data": "/data"}',
            },
            id="a map is JSON; a default stands for itself",
        ),
        pytest.param(
            "DeleteDataUsingKopiaServer",
            {
                "namespace": "shop",
                "image": "tools",
                "backupID": ID,
                "repositoryServerUserHostname": "client",
            },
            {"namespace": "shop", "backupID": ID},
            id="as whom it connects is in the pod's Secret",
        ),
    ],
)
def test_what_the_program_is_told(
    name: str, arguments: dict[str, Any], left: dict[str, str]
) -> None:
    assert given(name, arguments).values == left


def test_what_was_given_is_known_by_its_names() -> None:
    names = given("BackupData", {**BACKUP, "encryptionKey": PASSWORD, "insecureTLS": "false"}).names

    assert names == {*BACKUP, "encryptionKey"}


@pytest.mark.parametrize("function", list(FUNCTIONS), ids=lambda function: function.name)
def test_the_program_reads_what_it_is_told(function: Any) -> None:
    values = {"includePath": "/a=b", "namespace": "shop"}

    line = command.line(function, values, root="/workload", mounted=("/a", "/b"))

    options = parse_options(line, {})
    assert (options.function, options.function_version) == (function.name, function.version)
    assert options.arguments == values
    assert str(options.root) == "/workload"
    assert options.mounted == ("/a", "/b")


def test_without_volumes_nothing_is_said_of_them() -> None:
    function = FUNCTIONS.find("DeleteData", ALPHA).function

    assert command.line(function, {}) == ["run", "DeleteData", f"--function-version={ALPHA}"]
