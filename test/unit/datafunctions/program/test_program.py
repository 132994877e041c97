"""The program as a whole, over a client without Kopia."""

from __future__ import annotations

import errno
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from fakes.kopiaclient import Content, FakeClient
from fakes.program import PASSWORD, PROGRAM, Console
from reconcilers.datafunctions.backupinfo import PodBackup, render
from reconcilers.datafunctions.program.main import Streams
from reconcilers.kopia.client.errors import ClientFailed, Kind

if TYPE_CHECKING:
    from pathlib import Path

    from reconcilers.kopia.client.model import Snapshot


@pytest.fixture
def console() -> Console:
    return Console()


@pytest.fixture
def backup(tmp_path: Path) -> list[str]:
    """Return the command line of a backup that succeeds."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("precious")
    return [
        "run",
        "BackupData",
        f"--root={tmp_path}",
        "--source=db",
        "--arg=includePath=/data",
    ]


def test_outputs_are_lines_and_a_file(console: Console, backup: list[str], tmp_path: Path) -> None:
    file = tmp_path / "outputs.json"

    assert console.run(*backup, f"--output-file={file}") == 0

    assert console.outputs["backupID"] in console.repository.snapshots
    assert json.loads(file.read_text()) == console.outputs
    assert console.last_line == (
        f"{PROGRAM}backed up /data: 1 files, 8 B, as snapshot {console.outputs['backupID']}"
    )


def test_old_arguments_are_warned_of_and_their_values_are_not_printed(
    console: Console, backup: list[str]
) -> None:
    given = [f"--arg=encryptionKey={PASSWORD}", "--arg=insecureTLS=true"]

    assert console.run(*backup, *given) == 0

    warnings = console.said.splitlines()[:-1]
    assert [line.partition(" has no effect")[0] for line in warnings] == [
        f"{PROGRAM}warning: argument encryptionKey",
        f"{PROGRAM}warning: argument insecureTLS",
    ]
    assert PASSWORD not in console.said


def test_another_version_than_the_one_that_was_asked_for_is_refused(
    console: Console, backup: list[str]
) -> None:
    assert console.run(*backup, "--function-version=v0.0.0") == 2
    assert console.last_line == (
        f"{PROGRAM}function BackupData has no version v0.0.0; ask for: v1.0.0-alpha"
    )


def test_a_function_that_is_only_where_it_always_was_runs_without_a_word(
    console: Console, tmp_path: Path
) -> None:
    arguments = ["--arg=includePath=/", "--source=db", f"--root={tmp_path}"]

    assert console.run("run", "BackupDataUsingKopiaServer", *arguments) == 0
    assert "warning" not in console.said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["run", "BackUp"], "there is no function BackUp; there are:", id="function"),
        pytest.param(
            ["run", "BackupData"], "argument includePath is missing", id="a missing argument"
        ),
        pytest.param(
            ["run", "DeleteData", "--arg=podLabels={}", '--arg=podOverride={"a":1}'],
            "argument podOverride cannot be applied to a pod that runs already",
            id="an argument that would mislead",
        ),
        pytest.param(["verify"], "give exactly one of the arguments backupID and", id="verify"),
        pytest.param(["push", "--path=a/"], "--path 'a/' names no file", id="push"),
        pytest.param(
            ["pull", "--path=a", "--kopia-snapshot={}"], "it has no id", id="pull of no snapshot"
        ),
    ],
)
def test_what_is_wrong_is_said_before_the_server_is_looked_for(
    console: Console, arguments: list[str], message: str
) -> None:
    assert console.run(*arguments) == 2

    assert message in console.last_line
    assert console.connections == []
    assert console.repository.calls == []


@pytest.mark.parametrize("kind", list(Kind), ids=lambda kind: kind.name)
def test_each_kind_of_failure_has_its_exit_code_and_the_last_line(
    console: Console, backup: list[str], kind: Kind
) -> None:
    console.repository.failures["back_up"] = [ClientFailed(kind, "it failed\nby x; do y")]

    assert console.run(*backup) == kind.exit_code

    assert console.last_line == f"{PROGRAM}it failed by x; do y"
    assert console.stdout == b""


def test_exit_codes_of_the_program_are_none_of_a_client_s() -> None:
    assert not {0, 1, 2, 3, 4} & {kind.exit_code for kind in Kind}


def test_a_defect_shows_where_and_ends_with_a_sentence(
    console: Console, backup: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(FakeClient, "back_up", broken)

    assert console.run(*backup) == 1
    assert "ZeroDivisionError" in console.said
    assert console.last_line.startswith(f"{PROGRAM}failed by a defect of this program")


def test_what_succeeded_of_several_pods_is_put_out(console: Console, tmp_path: Path) -> None:
    (tmp_path / "db-0/data").mkdir(parents=True)
    file = tmp_path / "outputs.json"
    arguments = ["--arg=namespace=shop", "--arg=pods=db-0 db-1", "--arg=includePath=/data"]

    code = console.run(
        "run", "BackupDataAll", *arguments, f"--root={tmp_path}", f"--output-file={file}"
    )

    assert code == 3
    assert list(json.loads(console.outputs["BackupAllInfo"])) == ["db-0"]
    assert json.loads(file.read_text()) == console.outputs
    assert console.last_line.startswith(f"{PROGRAM}failed for db-1 (db-1: argument includePath:")
    assert console.last_line.endswith("; done for db-0")


def test_a_pod_that_is_drained_among_several_is_told_by_the_exit_code(
    console: Console, tmp_path: Path
) -> None:
    console.repository.failures["back_up"] = [ClientFailed(Kind.CANCELLED, "told to end")]
    (tmp_path / "db-0").mkdir()
    arguments = ["--arg=namespace=shop", "--arg=pods=db-0", "--arg=includePath=/"]
    console.stop.set()

    code = console.run("run", "BackupDataAll", *arguments, f"--root={tmp_path}")

    assert code == Kind.CANCELLED.exit_code
    assert console.outputs["BackupAllInfo"] == "{}"


def test_who_reads_only_the_beginning_gets_no_traceback(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(_streams: Streams, _text: str) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(Streams, "put_out", closed)

    assert console.run("list") == Kind.CONSUMER.exit_code
    assert console.said == ""


def test_outputs_that_cannot_be_written_are_still_printed(
    console: Console, backup: list[str], tmp_path: Path
) -> None:
    assert console.run(*backup, f"--output-file={tmp_path}/none/outputs") == 4

    assert "backupID" in console.outputs
    assert "done, but --output-file" in console.last_line
    assert "No such file or directory" in console.last_line


def test_the_removed_functions_choose_the_user_by_an_argument(
    console: Console, backup: list[str]
) -> None:
    backup[1] = "BackupDataUsingKopiaServer"

    assert console.run(*backup, "--arg=repositoryServerUserHostname=other") == 0

    assert [one.user for one in console.connections] == ["backup@other"]


def test_a_connection_that_cannot_be_is_wrong_usage(console: Console, backup: list[str]) -> None:
    assert console.run(*backup, RSF_URL="", RSF_CONNECTION="/none") == 2
    assert "nothing says which server" in console.last_line


def test_a_value_of_the_connection_that_cannot_work_has_the_client_s_code(
    console: Console, backup: list[str]
) -> None:
    assert console.run(*backup, RSF_URL="http://x:1") == Kind.INVALID_REQUEST.exit_code
    assert "give https://HOST:PORT" in console.last_line


def test_what_the_client_logs_is_none_of_the_outputs(
    console: Console, backup: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard output has what a program reads, or what `pull` restores."""
    real = FakeClient.back_up

    def logged(client: FakeClient, *arguments: Any, **more: Any) -> Snapshot:
        logging.getLogger("reconcilers.kopia.client").warning("trying again")
        return real(client, *arguments, **more)

    monkeypatch.setattr(FakeClient, "back_up", logged)

    assert console.run(*backup) == 0
    assert f"{PROGRAM}trying again\n" in console.said
    assert set(console.outputs) >= {"backupID"}


def test_a_retry_is_said_with_its_cause(console: Console, backup: list[str]) -> None:
    gone = ClientFailed(Kind.SERVER_GONE, "the server has gone")
    console.repository.retries["back_up"] = [gone]

    assert console.run(*backup) == 0
    assert f"{PROGRAM}trying again: the server has gone\n" in console.said


def test_a_root_file_system_that_is_read_only_needs_a_volume_for_the_client_s_folder(
    console: Console, backup: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_client: FakeClient) -> FakeClient:
        raise OSError(errno.EROFS, "Read-only file system", "/tmp/x")  # noqa: S108 - no file

    monkeypatch.setattr(FakeClient, "__enter__", refused)

    assert console.run(*backup) == 2
    assert console.last_line == (
        f"{PROGRAM}no folder for Kopia's configuration can be made: Read-only file system; mount "
        "an emptyDir at /tmp, or name another folder in variable TMPDIR"
    )


def test_list_and_describe_need_no_server(console: Console) -> None:
    nowhere = {"RSF_URL": "", "RSF_CONNECTION": "/none"}

    assert console.run("list", **nowhere) == 0
    assert b"CopyVolumeData" in console.stdout
    assert console.run("describe", "CopyVolumeData", **nowhere) == 0
    assert b"dataArtifactPrefix" in console.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["run", "DeleteDataAll", "--profile={profile}"], id="a Profile that lacks"),
        pytest.param(["run", "DeleteDataAll", "--profile={profile"], id="a Profile cut short"),
        pytest.param(["run", "DeleteDataAll", "--hostname="], id="a connection that lacks"),
        pytest.param(["run", "DeleteDataAll", "--arg=surprise={password}"], id="an argument"),
        pytest.param(["run", "DeleteDataAll"], id="a run that fails"),
    ],
)
def test_no_password_is_printed(console: Console, arguments: list[str]) -> None:
    profile = json.dumps({"Location": {"type": "kopia"}, "Credential": {"Password": PASSWORD}})
    words = {"{profile}": profile, "{profile": profile[:-1], "{password}": PASSWORD}
    given = [words.get(one.partition("=")[2], "") for one in arguments]
    filled = [
        f"{one.partition('=')[0]}={word}" if word else one
        for one, word in zip(arguments, given, strict=True)
    ]
    console.repository.failures["delete"] = [ClientFailed(Kind.ACCESS_DENIED, "denied")]
    info = render([PodBackup("db-0", f"{1:032x}")])

    code = console.run(*filled, f"--arg=backupInfo={info}", f"--arg=encryptionKey={PASSWORD}")

    assert code != 0
    assert PASSWORD not in console.said + console.stdout.decode()


def test_all_that_it_is_told_may_come_from_standard_input(console: Console) -> None:
    arguments = ["run", "BackupDataStats", f"--arg=backupID={1:032x}"]
    variables = {"KOPIA_PASSWORD": "another", "RSF_HOSTNAME": "inside"}
    console.repository.add("/pod/shop/db-0/data", {}, {"file": Content(b"x", 0)})
    console.stdin = json.dumps({"arguments": arguments, "environment": variables}).encode()

    assert console.run("from-stdin") == 0

    assert console.outputs["fileCount"] == "1"
    (connection,) = console.connections
    assert (connection.password, connection.hostname) == ("another", "inside")
