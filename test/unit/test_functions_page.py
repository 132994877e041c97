"""docs/functions.md says what is so: each function, each Blueprint, each exit code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from e2e import blueprints
from e2e.documented import code_blocks
from reconcilers.datafunctions.arguments import arguments_of, decode
from reconcilers.datafunctions.catalogue import FUNCTIONS
from reconcilers.datafunctions.old import OLD_ARGUMENTS, warnings
from reconcilers.datafunctions.program import exits, streams
from reconcilers.datafunctions.program.listing import described
from reconcilers.datafunctions.program.options import parse_options
from reconcilers.kopia.client.errors import Kind

if TYPE_CHECKING:
    from e2e.blueprints import Blueprint, Phase
    from reconcilers.datafunctions.function import AnyFunction

PAGE = (Path(__file__).parents[2] / blueprints.PAGE).read_text()
NEW = blueprints.blueprints()
BEFORE = blueprints.blueprints(before=True)

#: Of Kanister's, what stands beside data functions.
OTHERS = {blueprints.SCALE, blueprints.KUBE_TASK}

ID = "0123456789abcdef0123456789abcdef"
SNAPSHOT = f'{{"id": "{ID}", "logicalSize": 1, "physicalSize": 0}}'


def scope(blueprint: Blueprint) -> dict[str, Any]:
    """Return what the templates of a Blueprint refer to."""
    secrets = {"connection": {"Data": {"url": "https://x.y.svc:51515", "fingerprint": "ab" * 32}}}
    outputs = {
        "backupID": ID,
        "backupTag": "abc",
        "backupRoot": "/mnt/vol_data/data-db-0",
        "fileCount": "1",
        "BackupAllInfo": f'{{"db-0": {{"BackupID": "{ID}"}}, "db-1": {{"BackupID": "{ID}"}}}}',
        "kandoOutput": SNAPSHOT,
        "info": f'{{"db-0": {{"BackupID": "{ID}"}}}}',
    }
    phases = [phase for action in blueprint.actions for phase in blueprint.phases(action)]
    return {
        "StatefulSet": {"Namespace": "shop", "Pods": ["db-0", "db-1"]},
        "Namespace": {"Name": "kanister"},
        "Profile": {},
        "Phases": {phase.name: {"Secrets": secrets, "Output": outputs} for phase in phases},
        "ArtifactsIn": {
            "data": {"KeyValue": outputs},
            "dump": {"KopiaSnapshot": SNAPSHOT},
        },
    }


def kube_tasks() -> list[Any]:
    return [
        pytest.param(blueprint, phase, id=f"{blueprint.name}-{phase.name}")
        for blueprint in NEW
        for action in blueprint.actions
        for phase in blueprint.phases(action)
        if phase.function == blueprints.KUBE_TASK
    ]


def command_of(blueprint: Blueprint, phase: Phase) -> list[str]:
    """Return the program's command line, out of a shell's script if it is in one."""
    command: list[str] = blueprints.render(phase.arguments["command"], scope(blueprint))
    if command[0] == "bash":
        script = command[-1].replace("\\\n", "")
        command = shlex.split(script.partition("|")[0])
    assert command[0] == "repository-server-functions"
    return command[1:]


VARIABLES = {"RSF_USERNAME": "backup", "RSF_HOSTNAME": "client", "KOPIA_PASSWORD": "hunter2"}


@pytest.mark.parametrize(("blueprint", "phase"), kube_tasks())
def test_each_command_is_one_that_the_program_takes_without_a_warning(
    blueprint: Blueprint, phase: Phase
) -> None:
    options = parse_options(command_of(blueprint, phase), VARIABLES)

    if options.function:
        function = FUNCTIONS.find(options.function, options.function_version).function
        decoded = decode(function.arguments, options.arguments, function=function.name)
        assert warnings(decoded.given) == []
    else:
        assert options.snapshot or streams.path_of(options.path).name
    assert options.wanted.url == "https://x.y.svc:51515"


@pytest.mark.parametrize(("blueprint", "phase"), kube_tasks())
def test_the_user_comes_from_a_secret_and_not_by_a_command_line(
    blueprint: Blueprint, phase: Phase
) -> None:
    assert "backup-user" not in str(blueprints.render(phase.arguments["command"], scope(blueprint)))
    (container,) = phase.arguments["podOverride"]["containers"]

    given = {one["name"]: one["valueFrom"]["secretKeyRef"]["name"] for one in container["env"]}
    assert given == dict.fromkeys(VARIABLES, "backup-user")
    assert container["name"] == "container", "KubeTask's own"


@pytest.mark.parametrize("blueprint", NEW, ids=lambda one: one.name)
def test_each_artifact_is_made_of_outputs_of_its_function(blueprint: Blueprint) -> None:
    (backup,) = (one for name, one in blueprint.actions.items() if name == "backup")
    named = re.findall(r"\.Phases\.(\w+)\.Output\.(\w+)", str(backup["outputArtifacts"]))
    phases = {phase.name: phase for phase in blueprint.phases("backup")}

    assert named
    for name, output in named:
        options = parse_options(command_of(blueprint, phases[name]), VARIABLES)
        if options.function:
            function = FUNCTIONS.find(options.function, options.function_version).function
            assert output in {one.name for one in function.outputs}
        else:
            assert output == options.output_name


@pytest.mark.parametrize("blueprint", [*NEW, *BEFORE], ids=lambda one: one.name)
def test_a_phase_has_a_name_of_its_own_as_kanister_s_webhook_wants(blueprint: Blueprint) -> None:
    names = [phase.name for action in blueprint.actions for phase in blueprint.phases(action)]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("blueprint", BEFORE, ids=lambda one: one.name)
def test_what_was_there_before_has_the_arguments_that_our_functions_take(
    blueprint: Blueprint,
) -> None:
    for action in blueprint.actions:
        for phase in blueprint.phases(action):
            if phase.function not in OTHERS:
                function = FUNCTIONS.find(phase.function, "v1.0.0-alpha").function
                arguments = blueprints.render(dict(phase.arguments), scope(blueprint))
                decode(function.arguments, arguments, function=function.name, phase=True)


def test_each_function_is_in_a_blueprint_of_before_and_in_a_new_one() -> None:
    before = {
        phase.function
        for blueprint in BEFORE
        for action in blueprint.actions
        for phase in blueprint.phases(action)
    }
    now = {command_of(*param.values)[1] for param in kube_tasks() if len(param.values) > 1}
    names = {function.name for function in FUNCTIONS}

    assert before - OTHERS == names
    assert names <= now


@pytest.mark.parametrize("function", list(FUNCTIONS), ids=lambda one: one.name)
def test_each_function_is_shown_as_describe_prints_it(function: AnyFunction) -> None:
    blocks = code_blocks(blueprints.PAGE, "text")

    assert described(function) in blocks, "copy what `describe` prints"
    assert f"### {function.name}\n" in PAGE


def rows(heading: str) -> dict[str, list[str]]:
    """Return the rows of the table below a heading, by their first column."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    return {row[0]: row[1:] for row in table[2:]}


def test_each_exit_code_is_told() -> None:
    codes = {kind.exit_code for kind in Kind}
    codes |= {exits.DONE, exits.DEFECT, exits.USAGE, exits.PARTLY, exits.NO_OUTPUTS}

    assert {int(code) for code in rows("Outputs and exit codes")} == codes


@pytest.mark.parametrize("old", OLD_ARGUMENTS, ids=lambda one: one.name)
def test_what_becomes_of_each_old_argument_is_told(old: Any) -> None:
    assert rows("Arguments from before")[f"`{old.name}`"] == [old.fate.value, old.reason]


def test_each_command_of_the_page_is_one_that_the_program_takes() -> None:
    commands = re.findall(r"^ {4}repository-server-functions (.*)$", PAGE, re.MULTILINE)

    assert len(commands) > 5
    for command in commands:
        options = parse_options(shlex.split(command.partition(" | ")[0]), VARIABLES)
        if options.command == "run":
            function = FUNCTIONS.find(options.function, options.function_version).function
            given = {**options.arguments, **({"backupIdentifier": ID} if options.of else {})}
            decode(function.arguments, given, function=function.name)


def test_the_alerts_are_rules_of_prometheus() -> None:
    (groups,) = (
        yaml.safe_load(block)["groups"]
        for block in code_blocks(blueprints.PAGE, "yaml")
        if block.startswith("groups:")
    )
    for rule in groups[0]["rules"]:
        assert {"alert", "expr", "labels", "annotations"} == set(rule)
        assert 'cronjob="back-up-data"' in rule["expr"]


def test_each_variable_of_the_page_is_that_of_an_option() -> None:
    named = set(re.findall(r"RSF_[A-Z_]+", PAGE))
    for name in named:
        option = name.removeprefix("RSF_").lower().replace("_", "-")
        value = "/x" if option in ("root", "connection", "user") else "x"
        parse_options(["run", "X", f"--{option}={value}"], {})


def test_every_argument_is_described() -> None:
    for function in FUNCTIONS:
        assert all(one.description for one in arguments_of(function.arguments).values())
