"""The commands that work on snapshots: verify, by tags, prune, and streams."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from fakes.kopiaclient import Content
from fakes.program import PROGRAM, Console
from reconcilers.kopia.client.errors import Kind

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def console() -> Console:
    return Console()


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
