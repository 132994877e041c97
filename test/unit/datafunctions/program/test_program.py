"""The program as a whole, over a client without Kopia."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from controller.stop import Stop
from fakes.clock import FakeClock
from fakes.kopiaclient import Content, FakeClient, FakeRepository
from reconcilers.datafunctions.backupinfo import PodBackup, render
from reconcilers.datafunctions.outputs import MARKER
from reconcilers.datafunctions.program.main import Program, Streams
from reconcilers.kopia.client.errors import ClientFailed, Kind

if TYPE_CHECKING:
    from pathlib import Path

    from reconcilers.kopia.client.model import ServerConnection

PASSWORD = "hunter2"
ENVIRONMENT = {
    "RSF_URL": "https://repo-server-files.kanister.svc:51515",
    "RSF_FINGERPRINT": "ab" * 32,
    "RSF_USERNAME": "backup",
    "RSF_HOSTNAME": "client",
    "KOPIA_PASSWORD": PASSWORD,
}
PROGRAM = "repository-server-functions: "


@define
class Console:
    """Runs the program, and keeps what it printed."""

    repository: FakeRepository = field(factory=FakeRepository)
    stdin: bytes = b""
    code: int = -1
    stdout: bytes = b""
    said: str = ""
    connections: list[ServerConnection] = field(factory=list)

    def run(self, *arguments: str, **environment: str) -> int:
        stdout, stderr = io.BytesIO(), io.StringIO()
        streams = Streams(io.BytesIO(self.stdin), stdout, stderr)
        program = Program(streams, Stop(), clock=FakeClock(), make_client=self._client)
        try:
            self.code = program.run(arguments, ENVIRONMENT | environment)
        finally:
            self.stdout, self.said = stdout.getvalue(), stderr.getvalue()
        return self.code

    def _client(self, connection: ServerConnection, **_: Any) -> FakeClient:
        self.connections.append(connection)
        return FakeClient(self.repository)

    @property
    def outputs(self) -> dict[str, str]:
        lines = [
            json.loads(line.removeprefix(MARKER)) for line in self.stdout.decode().splitlines()
        ]
        return {line["key"]: line["value"] for line in lines}

    @property
    def last_line(self) -> str:
        return self.said.splitlines()[-1]


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


class TestVerify:
    ID = f"{1:032x}"

    @pytest.fixture(autouse=True)
    def snapshot(self, console: Console) -> None:
        files = {"file": Content(b"x" * 2000, 0)}
        console.repository.add("/pod/shop/db-0/data", {"backupTag": "abc"}, files)

    @pytest.mark.parametrize("argument", [f"backupID={ID}", "backupTag=abc"])
    def test_it_says_what_it_proves_and_what_not(self, console: Console, argument: str) -> None:
        assert console.run("verify", "--arg", argument) == 0

        assert console.last_line == (
            f"{PROGRAM}verified {self.ID}: the repository has all 2 files, folders and links of "
            "it, 2.0 kB; 1 files, 2.0 kB, were read back, decrypted, and are as their hashes say. "
            "That they are what was on the disk is not proved"
        )
        assert console.outputs == {
            "backupID": self.ID,
            "fileCount": "1",
            "readFileCount": "1",
            "readSize": "1.953 KiB",
        }

    def test_a_share_is_enough(self, console: Console) -> None:
        console.run("verify", f"--arg=backupID={self.ID}", "--share=10%")

        assert console.repository.calls[-1] == ("verify", f"{self.ID} 0.1")

    def test_a_snapshot_that_is_gone(self, console: Console) -> None:
        code = console.run("verify", "--arg=backupTag=none")

        assert code == Kind.NO_SUCH_SNAPSHOT.exit_code
        assert "there is no snapshot with the tag none" in console.last_line


class TestByTags:
    """Who runs it by a CronJob knows whose data it is, and no id."""

    @pytest.fixture(autouse=True)
    def snapshots(self, console: Console) -> None:
        for number, volume in enumerate(("data", "data", "other", "data"), start=1):
            tags = {"path": "/data", "namespace": "shop", "volume": volume}
            files = {"file": Content(f"{number}".encode(), 0)}
            console.repository.add(f"/claim/shop/{volume}", tags, files)

    @pytest.mark.parametrize("function", ["RestoreData", "RestoreDataUsingKopiaServer"])
    def test_the_last_one_is_restored(
        self, console: Console, tmp_path: Path, function: str
    ) -> None:
        arguments = ["--of=namespace=shop", "--of=volume=data", "--arg=restorePath=/restored"]

        assert console.run("run", function, *arguments, f"--root={tmp_path}") == 0

        (file,) = tmp_path.rglob("file")
        assert file.read_text() == "4"

    def test_the_last_one_is_verified(self, console: Console) -> None:
        assert console.run("verify", "--of=volume=other") == 0
        assert console.outputs["backupID"] == f"{3:032x}"

    def test_they_are_listed(self, console: Console) -> None:
        assert console.run("snapshots", "--of=volume=other") == 0

        assert console.stdout.decode() == (
            f"{3:032x}  2026-01-01T00:03:00Z  1 B  namespace=shop path=/data volume=other\n"
        )

    @pytest.mark.parametrize(
        ("keep", "left"),
        [
            pytest.param(1, [3, 4], id="the last one"),
            pytest.param(2, [2, 3, 4], id="the last two"),
            pytest.param(7, [1, 2, 3, 4], id="more than there are"),
        ],
    )
    def test_the_last_ones_are_kept_and_others_are_left_alone(
        self, console: Console, keep: int, left: list[int]
    ) -> None:
        assert console.run("prune", "--of=volume=data", f"--keep={keep}") == 0

        assert [int(one, 16) for one in console.repository.snapshots] == left
        assert console.last_line == f"{PROGRAM}deleted {4 - len(left)} of 3 snapshots"

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            pytest.param(
                ["verify", "--of=volume=none"],
                Kind.NO_SUCH_SNAPSHOT.exit_code,
                "there is no snapshot with the tags volume=none",
                id="none",
            ),
            pytest.param(
                ["verify", "--of=volume=data", f"--arg=backupID={1:032x}"],
                2,
                "give one of --of and the argument backupID, not both",
                id="tags and an id",
            ),
            pytest.param(
                ["run", "RestoreData", "--of=volume=data", "--arg=backupTag=x"],
                2,
                "give exactly one of the arguments backupIdentifier and backupTag",
                id="tags and a tag",
            ),
            pytest.param(
                ["run", "DeleteData", "--of=volume=data"],
                2,
                "--of is for functions that restore one snapshot; DeleteData is not one",
                id="nothing is deleted by tags but by prune",
            ),
        ],
    )
    def test_what_is_not_clear_is_refused(
        self, console: Console, arguments: list[str], code: int, message: str
    ) -> None:
        assert console.run(*arguments) == code
        assert message in console.last_line
        assert len(console.repository.snapshots) == 4


class TestStreams:
    def test_what_is_pushed_is_pulled(self, console: Console) -> None:
        console.stdin = b"a dump\x00"
        assert console.run("push", "--path=shop/dump.gz") == 0
        (pushed,) = console.outputs.items()
        assert pushed[0] == "kandoOutput"
        assert json.loads(pushed[1])["logicalSize"] == 7
        assert console.repository.calls == [("back_up_stream", "/shop/dump.gz")]

        assert console.run("pull", "--path=shop/dump.gz", f"--kopia-snapshot={pushed[1]}") == 0

        assert console.stdout == b"a dump\x00", "nothing else is on standard output"

        assert console.run("delete", f"--kopia-snapshot={pushed[1]}") == 0
        assert console.repository.snapshots == {}

    def test_what_a_command_prints_is_pushed(self, console: Console) -> None:
        assert console.run("push", "--path=dump", "--", "printf", "a %s", "dump") == 0

        (content,) = console.repository.contents.values()
        assert content["dump"].data == b"a dump"

    def test_a_command_that_cannot_be_started_is_refused(self, console: Console) -> None:
        assert console.run("push", "--path=dump", "--", "/none/dump") == 2

        assert console.last_line == (
            f"{PROGRAM}the command /none/dump cannot be started: No such file or directory"
        )

    def test_the_output_has_the_name_that_is_asked_for(self, console: Console) -> None:
        console.run("push", "--path=dump.gz", "--output-name=snapshot")

        assert list(console.outputs) == ["snapshot"]

    def test_a_name_that_no_template_can_use_is_refused_before_the_stream_is_read(
        self, console: Console
    ) -> None:
        assert console.run("push", "--path=dump.gz", "--output-name=a-b") == 2
        assert "'a-b' is no name of an output" in console.last_line
        assert console.repository.calls == []


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
