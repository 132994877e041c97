"""The options: defaults, variables, and refusals in one line."""

from pathlib import Path

import pytest

from reconcilers.datafunctions.connect.wanted import Wanted
from reconcilers.datafunctions.program.options import Options, parse_options, told


def test_nothing_but_the_function_is_needed() -> None:
    assert parse_options(["run", "BackupData"], {}) == Options(
        command="run", wanted=Wanted(), function="BackupData"
    )


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        pytest.param("--root=/mnt", "root", Path("/mnt"), id="root"),
        pytest.param("--source=db", "source", "db", id="source"),
        pytest.param("--parallel=64", "parallel", 64, id="parallel"),
        pytest.param("--progress=marked", "progress", "marked", id="progress"),
        pytest.param("--sparse", "sparse", True, id="sparse"),
        pytest.param("--function-version=v0.0.0", "function_version", "v0.0.0", id="version"),
        pytest.param("--output-file=/o", "output_file", Path("/o"), id="output file"),
        pytest.param("--mounted=/data", "mounted", ("/data",), id="a volume"),
        pytest.param("--kopia=/opt/kopia", "kopia", "/opt/kopia", id="kopia"),
    ],
)
def test_options(given: str, name: str, value: object) -> None:
    assert getattr(parse_options(["run", "BackupData", given], {}), name) == value


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        pytest.param("--connection=/c", "connection", Path("/c"), id="connection"),
        pytest.param("--user=/u", "user", Path("/u"), id="user"),
        pytest.param("--profile=@/p", "profile", "@/p", id="profile"),
        pytest.param("--repository-server=a/b", "repository_server", "a/b", id="resource"),
        pytest.param("--hostname=h", "hostname", "h", id="hostname"),
    ],
)
def test_options_about_the_server(given: str, name: str, value: object) -> None:
    assert getattr(parse_options(["run", "BackupData", given], {}).wanted, name) == value


def test_each_option_is_a_variable() -> None:
    variables = {"RSF_ROOT": "/mnt", "RSF_PROFILE": "@/p", "RSF_PARALLEL": "2"}

    options = parse_options(["run", "BackupData", "--parallel=3"], variables)

    assert (options.root, options.wanted.profile) == (Path("/mnt"), "@/p")
    assert options.parallel == 3, "the option counts more than the variable"


def test_the_password_comes_from_kopia_s_variable_alone() -> None:
    assert parse_options(["run", "X"], {"KOPIA_PASSWORD": "hunter2"}).wanted.password == "hunter2"


def test_a_line_of_standard_input_says_all() -> None:
    line = b'{"arguments": ["list"], "environment": {"KOPIA_PASSWORD": "hunter2"}}\n'

    assert told(line, {"RSF_ROOT": "/mnt"}) == (
        ["list"],
        {"RSF_ROOT": "/mnt", "KOPIA_PASSWORD": "hunter2"},
    )


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"hunter2", id="no JSON"),
        pytest.param(b'["hunter2"]', id="no map"),
        pytest.param(b'{"arguments": ["run"]}', id="no variables"),
        pytest.param(b'{"arguments": 1, "environment": {}}', id="no list"),
        pytest.param(
            b'{"arguments": ["list"], "environment": ["hunter2"]}', id="no variables' map"
        ),
        pytest.param(b'{"arguments": ["from-stdin"], "environment": {}}', id="itself"),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_and_not_shown(
    line: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        told(line, {})

    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said.startswith("repository-server-functions: from-stdin reads one line of JSON")
    assert "hunter2" not in said


def test_arguments_may_hold_equals_signs() -> None:
    given = ["run", "X", "--arg", "snapshotTags=a:b=c", "--arg=includePath=/data"]

    assert parse_options(given, {}).arguments == {"snapshotTags": "a:b=c", "includePath": "/data"}


def test_nothing_secret_is_in_a_representation() -> None:
    given = ["run", "X", "--arg=encryptionKey=hunter2", "--profile={hunter2}"]

    assert "hunter2" not in repr(parse_options(given, {"KOPIA_PASSWORD": "hunter2"}))


@pytest.mark.parametrize(
    ("text", "share"),
    [
        pytest.param("100%", 1.0, id="all"),
        pytest.param("10%", 0.1, id="a tenth"),
        pytest.param("0.5%", 0.005, id="a half percent"),
    ],
)
def test_the_share_to_read_back(text: str, share: float) -> None:
    assert parse_options(["verify", f"--share={text}"], {}).share == pytest.approx(share)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param([], "the following arguments are required: COMMAND", id="no command"),
        pytest.param(["restore"], "argument COMMAND: invalid choice: 'restore'", id="unknown"),
        pytest.param(["run"], "the following arguments are required: FUNCTION", id="no function"),
        pytest.param(
            ["run", "X", "--arg=hunter2"],
            "argument --arg: write NAME=VALUE",
            id="an argument without a name: it may be a password",
        ),
        pytest.param(
            ["run", "X", "--arg=a=1", "--arg=a=2"], "argument --arg: a is given twice", id="twice"
        ),
        pytest.param(
            ["run", "X", "--root=mnt"],
            "argument --root: 'mnt' is not an absolute path",
            id="a relative root",
        ),
        pytest.param(
            ["run", "X", "--parallel=0"],
            "argument --parallel: '0' is not a number from 1 to 64",
            id="none at once",
        ),
        pytest.param(
            ["run", "X", "--progress=loud"],
            "argument --progress: 'loud' is none of words, marked",
            id="a way that there is none of",
        ),
        pytest.param(
            ["run", "X", "--parallel=many"],
            "argument --parallel: 'many' is not a number from 1 to 64",
            id="no number",
        ),
        pytest.param(
            ["run", "X", "--output-file=/"],
            "argument --output-file: '/' names no file",
            id="no file for the outputs: it would be known once the work is done",
        ),
        pytest.param(
            ["verify", "--share=0%"],
            "argument --share: '0%' is not a share such as 10%",
            id="nothing to read",
        ),
        pytest.param(
            ["verify", "--share=101%"],
            "argument --share: '101%' is not a share such as 10%",
            id="more than all",
        ),
        pytest.param(
            ["verify", "--share=0.1"],
            "argument --share: '0.1' is not a share such as 10%",
            id="a share without a percent sign",
        ),
        pytest.param(
            ["prune", "--of=volume=data"],
            "the following arguments are required: --keep",
            id="to prune without a number",
        ),
        pytest.param(
            ["prune", "--of=volume=data", "--keep=0"],
            "argument --keep: '0' is not a number from 1",
            id="to keep none",
        ),
        pytest.param(
            ["prune", "--keep=1"],
            "the following arguments are required: --of",
            id="to prune all that there is",
        ),
        pytest.param(["run", "X", "--par=2"], "unrecognized arguments: --par=2", id="cut short"),
        pytest.param(
            ["push"], "the following arguments are required: --path", id="a stream of no path"
        ),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse_options(arguments, {})

    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said.startswith(f"repository-server-functions: {message}")
    assert said.count("\n") == 1
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "command", ["run", "describe", "snapshots", "verify", "prune", "push", "pull", "delete"]
)
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse_options([command, "--help"], {})

    assert stopped.value.code == 0
    assert f"usage: repository-server-functions {command}" in capsys.readouterr().out
