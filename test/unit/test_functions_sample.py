"""The sample that backs a claim up without Kanister: its commands, its server, its rights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from reconcilers.datafunctions.arguments import decode
from reconcilers.datafunctions.catalogue import FUNCTIONS
from reconcilers.datafunctions.connect.users import choose
from reconcilers.datafunctions.program.options import parse_options
from reconcilers.repositoryserver import api

SAMPLES = Path(__file__).parents[2] / "manifests/samples"
CRON_JOBS = ("back-up", "verify", "prune", "restore")


def load(name: str) -> Any:
    return yaml.safe_load((SAMPLES / name).read_text())


def server() -> dict[str, Any]:
    found: dict[str, Any] = load("file-store/repository-server.yaml")
    return found


def pod(name: str) -> dict[str, Any]:
    template: dict[str, Any] = load(f"functions/{name}.yaml")["spec"]["jobTemplate"]["spec"][
        "template"
    ]
    return template


def options(name: str) -> Any:
    (container,) = pod(name)["spec"]["containers"]
    assert container["command"] == ["repository-server-functions"]
    variables = {one["name"]: one["value"] for one in container["env"]}
    return parse_options(container["args"], variables)


@pytest.mark.parametrize("name", CRON_JOBS)
def test_each_command_is_one_that_the_program_takes(name: str) -> None:
    found = options(name)

    if found.function:
        function = FUNCTIONS.find(found.function, found.function_version).function
        given = found.arguments | ({"backupIdentifier": "x"} if found.of else {})
        decode(function.arguments, given, function=function.name)


def test_what_is_verified_pruned_and_restored_is_what_was_backed_up() -> None:
    backed_up = options("back-up").arguments
    restored = options("restore").arguments

    wanted = {"namespace": backed_up["namespace"], "volume": backed_up["volume"]}
    for name in ("verify", "prune", "restore"):
        assert options(name).of == wanted
    assert restored["backupPath"] == restored["restorePath"] == backed_up["mountPath"]


def test_the_claim_that_is_named_is_the_one_that_is_mounted() -> None:
    for name in ("back-up", "restore"):
        (claim,) = (
            one["persistentVolumeClaim"]["claimName"]
            for one in pod(name)["spec"]["volumes"]
            if "persistentVolumeClaim" in one
        )
        assert claim == options("back-up").arguments["volume"]
        assert claim == load("functions/claim.yaml")["metadata"]["name"]


def test_the_server_lets_each_pod_in() -> None:
    peer, *_ = server()["spec"]["server"]["networkPolicy"]["from"]

    for name in CRON_JOBS:
        labels = pod(name)["metadata"]["labels"]
        assert peer["podSelector"]["matchLabels"].items() <= labels.items()
        namespace = load(f"functions/{name}.yaml")["metadata"]["namespace"]
        assert peer["namespaceSelector"]["matchLabels"] == {
            "kubernetes.io/metadata.name": namespace
        }


def test_the_user_is_one_of_the_server_s() -> None:
    values = load("functions/secret.yaml")["stringData"]
    users = next(
        one["stringData"]
        for one in yaml.safe_load_all((SAMPLES / "file-store/secrets.yaml").read_text())
        if one["metadata"]["name"] == "file-store-users"
    )

    user = choose(values, where="the sample")

    assert user.username == server()["spec"]["server"]["userAccess"]["username"]
    assert users[user.hostname] == user.password


def test_the_role_is_for_this_server_and_nothing_else() -> None:
    role, binding = load("functions/role.yaml"), load("functions/role-binding.yaml")
    named = {options(name).wanted.repository_server for name in CRON_JOBS}

    assert named == {f"{role['metadata']['namespace']}/{server()['metadata']['name']}"}
    assert role["rules"] == [
        {
            "apiGroups": [api.GROUP],
            "resources": [api.REPOSITORY_SERVERS.plural],
            "resourceNames": [server()["metadata"]["name"]],
            "verbs": ["get"],
        }
    ]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    (subject,) = binding["subjects"]
    account = load("functions/service-account.yaml")["metadata"]
    assert subject == {"kind": "ServiceAccount", **account}
    assert {pod(name)["spec"]["serviceAccountName"] for name in CRON_JOBS} == {account["name"]}


def test_a_restore_never_runs_by_itself() -> None:
    assert load("functions/restore.yaml")["spec"]["suspend"] is True
