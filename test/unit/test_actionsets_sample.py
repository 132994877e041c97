"""The sample that backs PostgreSQL up by ActionSets: Blueprints, references, scripts, rights."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from attrs import frozen

from integration.actionpolicies import ASKED
from reconcilers.actionset import api
from reconcilers.datafunctions.arguments import decode
from reconcilers.datafunctions.catalogue import FUNCTIONS
from reconcilers.datafunctions.program.options import parse_options

if TYPE_CHECKING:
    from collections.abc import Iterator

Object = dict[str, Any]

SAMPLES: Final = Path(__file__).parents[2] / "manifests/samples"
SAMPLE: Final = SAMPLES / "actionsets"
CLAIM: Final = "blueprint-claim"
DUMP: Final = "blueprint-dump"

#: Seconds within which a script of the sample ends: it waits for nothing but its peer.
STUCK_AFTER: Final = 60


def load(name: str, folder: Path = SAMPLE) -> list[Object]:
    return list(yaml.safe_load_all((folder / f"{name}.yaml").read_text()))


def one(name: str, folder: Path = SAMPLE) -> Object:
    (found,) = load(name, folder)
    return found


def phases(blueprint: Object) -> Iterator[Object]:
    for action in blueprint["actions"].values():
        yield from action["phases"]
        if "deferPhase" in action:
            yield action["deferPhase"]


def phase(blueprint: str, name: str) -> Object:
    (found,) = (one_ for one_ in phases(one(blueprint)) if one_["name"] == name)
    return found


def secret(name: str, folder: Path = SAMPLE) -> Object:
    (found,) = (one_ for one_ in load("secrets", folder) if one_["metadata"]["name"] == name)
    return found


def stateful_set() -> Object:
    (found,) = (one_ for one_ in load("postgresql") if one_["kind"] == "StatefulSet")
    return found


class TestBlueprints:
    @pytest.mark.parametrize("name", [CLAIM, DUMP])
    def test_no_two_phases_have_one_name(self, name: str) -> None:
        """Kanister's own validation asks for it, across all actions."""
        names = [found["name"] for found in phases(one(name))]

        assert len(names) == len(set(names))

    def test_the_data_functions_take_their_arguments(self) -> None:
        version = one("backup")["spec"]["actions"][0]["preferredVersion"]
        known = {function.name for function in FUNCTIONS}
        found = [found for found in phases(one(CLAIM)) if found["func"] in known]

        assert [found["func"] for found in found] == ["CopyVolumeData", "RestoreData", "DeleteData"]
        for each in found:
            function = FUNCTIONS.find(each["func"], version).function
            decode(function.arguments, each["args"], function=function.name, phase=True)

    def test_the_workload_is_started_again_whatever_happens(self) -> None:
        for name in ("backup", "restore"):
            action = one(CLAIM)["actions"][name]

            assert action["phases"][0]["func"] == action["deferPhase"]["func"] == "ScaleWorkload"
            assert action["phases"][0]["args"]["replicas"] == 0

    def test_the_claim_is_that_of_the_workload_at_its_path(self) -> None:
        spec = stateful_set()["spec"]
        (template,) = spec["volumeClaimTemplates"]
        (container,) = spec["template"]["spec"]["containers"]
        (mount,) = container["volumeMounts"]
        arguments = phase(CLAIM, "copyClaim")["args"]

        assert (
            arguments["volume"] == f"{template['metadata']['name']}-{{{{ .StatefulSet.Name }}}}-0"
        )
        assert arguments["mountPath"] == mount["mountPath"]

    @pytest.mark.parametrize("name", ["dump", "load", "deleteDump"])
    def test_each_secret_that_a_pod_reads_is_there(self, name: str) -> None:
        override = phase(DUMP, name)["args"]["podOverride"]
        references = [
            variable["valueFrom"]["secretKeyRef"]
            for container in override["containers"]
            for variable in container["env"]
            if "valueFrom" in variable
        ]

        assert references
        for reference in references:
            assert reference["key"] in secret(reference["name"])["stringData"]

    def test_a_dump_is_deleted_by_a_command_that_the_program_takes(self) -> None:
        program, *arguments = phase(DUMP, "deleteDump")["args"]["command"]

        assert program == "repository-server-functions"
        assert parse_options(arguments, {}).command == "delete"


class TestActionSet:
    def test_names_a_blueprint_and_its_action(self) -> None:
        backup = one("backup")
        (action,) = backup["spec"]["actions"]
        blueprint = one(CLAIM)

        assert blueprint["metadata"]["name"] == action["blueprint"]
        assert blueprint["metadata"]["namespace"] == backup["metadata"]["namespace"]
        assert action["name"] in blueprint["actions"]

    def test_is_about_the_workload_of_the_sample(self) -> None:
        (action,) = one("backup")["spec"]["actions"]
        workload = stateful_set()

        assert action["object"] == {
            "kind": workload["kind"],
            "name": workload["metadata"]["name"],
            "namespace": workload["metadata"]["namespace"],
        }

    def test_names_the_server_of_the_samples_which_lets_its_pods_in(self) -> None:
        backup = one("backup")
        (action,) = backup["spec"]["actions"]
        server = one("repository-server", SAMPLES / "file-store")
        peers = server["spec"]["server"]["networkPolicy"]["from"]

        assert action["repositoryServer"]["name"] == server["metadata"]["name"]
        assert {
            "namespaceSelector": {
                "matchLabels": {"kubernetes.io/metadata.name": action["object"]["namespace"]}
            },
            "podSelector": {"matchLabels": {api.LABEL_CREATED_BY: api.CREATED_BY}},
        } in peers

    def test_a_dump_is_pushed_as_a_user_of_that_server(self) -> None:
        user = secret("backup-user")["stringData"]
        server = one("repository-server", SAMPLES / "file-store")
        users = secret("file-store-users", SAMPLES / "file-store")["stringData"]

        assert user["username"] == server["spec"]["server"]["userAccess"]["username"]
        assert user["password"] == users[user["hostname"]]


class TestSchedule:
    def test_makes_the_action_set_of_the_sample(self) -> None:
        template = one("schedule")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        (container,) = template["containers"]
        (mount,) = container["volumeMounts"]
        (volume,) = template["volumes"]
        (generated,) = one("kustomization")["configMapGenerator"]

        assert volume["configMap"]["name"] == generated["name"]
        assert container["args"] == [
            "create",
            *(f"--filename={mount['mountPath']}/{file}" for file in generated["files"]),
        ]

    @pytest.mark.parametrize("name", ["schedule-role", "schedule-application-role"])
    def test_has_the_rights_that_the_policies_ask_for(self, name: str) -> None:
        rules = one(name)["rules"]

        for asked in ASKED.values():
            assert any(all(set(asked[key]) <= set(rule[key]) for key in asked) for rule in rules)

    @pytest.mark.parametrize("name", ["schedule-role", "schedule-application-role"])
    def test_the_rights_are_those_of_its_account(self, name: str) -> None:
        role, binding, account = one(name), one(f"{name}-binding"), one("schedule-account")
        template = one("schedule")["spec"]["jobTemplate"]["spec"]["template"]["spec"]

        assert template["serviceAccountName"] == account["metadata"]["name"]
        assert binding["roleRef"]["name"] == role["metadata"]["name"]
        assert binding["metadata"]["namespace"] == role["metadata"]["namespace"]
        assert binding["subjects"] == [{"kind": "ServiceAccount", **account["metadata"]}]


@frozen
class Ended:
    """How two containers of a pod have ended.

    Args:
        background: Exit code of the container `background`.
        output: Exit code of the container `output`.
        written: What came out: the stream that is pushed, or what psql was given.
    """

    background: int
    output: int
    written: str


class TestScripts:
    """The scripts of the dump, with programs that stand for PostgreSQL and the data functions."""

    PROGRAMS: Final = {
        "pg_dump": "echo one; echo two; [[ $FAILS != pg_dump ]]",
        "psql": 'cat >"$WRITTEN"',
        # Of `push` the command behind `--` counts; of `pull` the exit code.
        "repository-server-functions": """
if [[ $1 == push ]]; then
    while [[ $1 != -- ]]; do shift; done
    shift
    "$@" >"$WRITTEN"
else
    echo one
    [[ $FAILS != pull ]]
fi
""",
    }

    def run(self, name: str, folder: Path, fails: str = "") -> Ended:
        """Run the pod of a phase as its containers are started: both at once."""
        for program, script in self.PROGRAMS.items():
            path = folder / program
            path.write_text(f"#!/usr/bin/env bash\n{script}")
            path.chmod(0o755)
        arguments = phase(DUMP, name)["args"]
        written = folder / "written"
        environment = {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "FAILS": fails,
            "WRITTEN": str(written),
        }

        def start(command: list[str]) -> subprocess.Popen[bytes]:
            moved = [word.replace("/pipe/", f"{folder}/") for word in command]
            return subprocess.Popen(  # noqa: S603 - the sample's own
                moved, env=environment, stderr=subprocess.DEVNULL
            )

        assert start(arguments["initCommand"]).wait(STUCK_AFTER) == 0
        both = [start(arguments[part]) for part in ("backgroundCommand", "outputCommand")]
        background, output = (process.wait(STUCK_AFTER) for process in both)
        return Ended(background, output, written.read_text())

    def test_a_dump_is_pushed_as_it_comes(self, tmp_path: Path) -> None:
        assert self.run("dump", tmp_path) == Ended(0, 0, "one\ntwo\n")

    def test_a_dump_that_dies_half_way_fails_the_push(self, tmp_path: Path) -> None:
        """Its reader sees the end of a pipe, as of a dump that is complete."""
        ended = self.run("dump", tmp_path, fails="pg_dump")

        assert ended.background != 0
        assert ended.output != 0

    def test_a_dump_is_loaded_as_it_was(self, tmp_path: Path) -> None:
        assert self.run("load", tmp_path) == Ended(0, 0, "one\n")

    def test_a_pull_that_dies_half_way_is_rolled_back(self, tmp_path: Path) -> None:
        """What follows the part that came is no SQL: psql ends the transaction with an error."""
        ended = self.run("load", tmp_path, fails="pull")

        assert ended.output != 0
        assert ended.written == "one\nthe dump is cut short;\n"
        (script,) = phase(DUMP, "load")["args"]["backgroundCommand"][2:]
        assert "--single-transaction --set=ON_ERROR_STOP=1" in script
