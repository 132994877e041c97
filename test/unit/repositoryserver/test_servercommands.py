"""The commands that are run beside the server."""

import subprocess
from pathlib import Path

import pytest

from reconcilers.kopia import cli
from reconcilers.repositoryserver import servercommands


@pytest.mark.parametrize(
    "command", [servercommands.MAINTENANCE_INFO, servercommands.REFRESH, servercommands.STATUS]
)
def test_a_command_leaves_the_repository_and_the_disk_alone(command: tuple[str, ...]) -> None:
    assert command[:4] == (
        "/bin/kopia",
        "--no-auto-maintenance",
        "--disable-file-logging",
        "--log-level=error",
    )


@pytest.mark.parametrize(
    ("there", "code"),
    [
        pytest.param(True, 0, id="the folder is there, and Kopia answers"),
        pytest.param(False, 2, id="the folder is away, whatever Kopia says"),
    ],
)
def test_a_server_is_of_use_while_its_folder_is_there(
    tmp_path: Path, there: bool, code: int
) -> None:
    folder = tmp_path / "a folder"
    if there:
        folder.mkdir()
    shell, option, script, directory, *status = servercommands.ready_check(str(folder))

    ran = subprocess.run(  # noqa: S603 - a constant of the module under test
        [shell, option, script, directory, "/bin/true"], capture_output=True, check=False, text=True
    )

    assert tuple(status) == servercommands.STATUS
    assert ran.returncode == code
    assert (str(folder) in ran.stderr) is not there


def test_a_server_of_an_object_store_is_of_use_while_kopia_answers() -> None:
    assert servercommands.ready_check("") == servercommands.STATUS


class Container:
    """Runs scripts with a stand-in for Kopia, which notes its arguments and may fail."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "calls"
        self._log.touch()
        self._kopia = folder / "kopia"
        self._banner = folder / "banner"
        self.volume = folder / "users"
        self.volume.mkdir()
        self.fail_on("nothing")

    def fail_on(self, words: str, banner: str = "") -> None:
        """Have Kopia fail with some arguments, and print a banner for its version."""
        self._banner.write_text(banner)
        self._kopia.write_text(
            "#!/bin/sh\n"
            f'echo "$*" >> {self._log}\n'
            f'[ "$*" != --version ] || cat {self._banner}\n'
            f'case "$*" in *"{words}"*) echo "kopia says no" >&2; exit 7 ;; esac\n'
            '[ "$*" = --version ] || echo chatter\n'
        )
        self._kopia.chmod(0o755)

    def start(self, command: tuple[str, ...]) -> subprocess.Popen[bytes]:
        """Start a script; its standard input stays open, as that of an exec."""
        shell, option, script, *arguments = command
        script = script.replace(cli.EXECUTABLE, str(self._kopia))
        script = script.replace(servercommands.USERS_DIRECTORY, str(self.volume))
        return subprocess.Popen(  # noqa: S603 - the script under test
            [shell, option, script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, command: tuple[str, ...], lines: bytes = b"", *, close: bool = False) -> int:
        """Feed a script and return its exit code."""
        with self.start(command) as process:
            assert process.stdin is not None
            process.stdin.write(lines)
            process.stdin.flush()
            if close:
                process.stdin.close()
            return process.wait(timeout=60)

    def printed(self, command: tuple[str, ...]) -> tuple[int, bytes]:
        """Run a script; return its exit code and its standard output."""
        with self.start(command) as process:
            output, _ = process.communicate(timeout=60)
            return process.returncode, output

    def calls(self) -> list[str]:
        """Return the arguments of each call, without the flags that all have."""
        flags = " ".join(cli.GLOBAL_FLAGS) + " "
        return [line.removeprefix(flags) for line in self._log.read_text().splitlines()]


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path)


class TestTakeUpUsers:
    def test_the_server_is_refreshed_when_the_users_are_there(self, container: Container) -> None:
        (container.volume / servercommands.USERS_VERSION_FILE).write_text("v2")

        assert container.run(servercommands.load_users("v2")) == 0
        assert container.calls() == ["server refresh"]

    def test_it_waits_for_the_kubelet(self, container: Container) -> None:
        version = container.volume / servercommands.USERS_VERSION_FILE
        version.write_text("v1")

        with container.start(servercommands.load_users("v2")) as process:
            assert container.calls() == []
            version.write_text("v2")
            assert process.wait(timeout=60) == 0

        assert container.calls() == ["server refresh"]

    def test_but_not_for_ever(self, container: Container) -> None:
        (container.volume / servercommands.USERS_VERSION_FILE).write_text("v1")

        assert container.run(servercommands.load_users("v2")) == servercommands.NOT_THERE_YET
        assert container.calls() == []

    def test_a_failed_refresh_is_a_failure(self, container: Container) -> None:
        (container.volume / servercommands.USERS_VERSION_FILE).write_text("v2")
        container.fail_on("server refresh")

        assert container.run(servercommands.load_users("v2")) == 7


class TestForgetUsers:
    def test_each_name_is_one_command_and_the_refresh_is_last(self, container: Container) -> None:
        lines = servercommands.purge_users_input({"b@h", "a@h"})

        assert container.run(servercommands.PURGE_USERS, lines) == 0
        assert container.calls() == [
            "server user delete -- a@h",
            "server user delete -- b@h",
            "server refresh",
        ]

    def test_a_name_that_begins_with_a_dash_is_no_flag(self, container: Container) -> None:
        container.run(servercommands.PURGE_USERS, servercommands.purge_users_input({"--help@h"}))

        assert container.calls()[0] == "server user delete -- --help@h"

    def test_the_first_failure_ends_it_before_the_refresh(self, container: Container) -> None:
        container.fail_on("user delete -- a@h")

        lines = servercommands.purge_users_input({"a@h", "b@h"})

        assert container.run(servercommands.PURGE_USERS, lines) == 7
        assert container.calls() == ["server user delete -- a@h"]

    def test_an_input_that_breaks_off_is_a_failure(self, container: Container) -> None:
        assert container.run(servercommands.PURGE_USERS, b"a@h\n", close=True) == 1
        assert "server refresh" not in container.calls()


class TestListUsers:
    """One command brings Kopia's version and the users."""

    @pytest.mark.parametrize(
        ("banner", "fails_on", "expected"),
        [
            pytest.param("0.23.1 build: x from: y", "nothing", (0, b"0.23.1"), id="both are there"),
            pytest.param("", "nothing", (0, b""), id="nothing is printed of the version"),
            pytest.param("* a", "nothing", (0, b"*"), id="a version that is a pattern is no list"),
            pytest.param("-n a", "nothing", (0, b"-n"), id="nor an option"),
            pytest.param("a\nb", "nothing", (0, b"a"), id="of several lines the first word counts"),
            pytest.param(
                "1.0", "--version", (0, b""), id="what a failed command says is no version"
            ),
            pytest.param("1.0", "list", (7, b"1.0"), id="the version is there without the users"),
        ],
    )
    def test_prints_the_version_as_its_first_line(
        self, container: Container, banner: str, fails_on: str, expected: tuple[int, bytes]
    ) -> None:
        container.fail_on(fails_on, banner)

        code, output = container.printed(servercommands.LIST_USERS)
        version, users = servercommands.split_listing(output)

        assert (code, version) == expected
        assert users == (b"" if code else b"chatter\n")
        assert container.calls() == ["--version", "server user list --json"]


class TestKopiaVersion:
    @pytest.mark.parametrize(
        ("output", "expected"),
        [
            pytest.param(b"0.23.1", "0.23.1", id="a version"),
            pytest.param(b"0.23.1 build: -(x) from: \n", "0.23.1", id="as Kopia prints it"),
            pytest.param(b"v0-unofficial\n", "v0-unofficial", id="of a build by hand"),
            pytest.param(
                b"2026.1.2-rc.1+git.abc", "2026.1.2-rc.1+git.abc", id="of a nightly build"
            ),
            pytest.param(b"1" * 32, "1" * 32, id="as long as it may be"),
        ],
    )
    def test_is_the_first_word(self, output: bytes, expected: str) -> None:
        assert servercommands.kopia_version(0, output) == expected

    @pytest.mark.parametrize(
        ("exit_code", "output"),
        [
            pytest.param(1, b"0.23.1", id="a command that has failed"),
            pytest.param(0, b"", id="nothing was printed"),
            pytest.param(0, b" \n", id="no word"),
            pytest.param(0, b"1" * 33, id="a word that is too long"),
            pytest.param(0, b"kopia: 0.23.1", id="a word of another kind"),
            pytest.param(0, b"0.23.1\x1b[31m", id="what would colour a terminal"),
            pytest.param(0, "0.23.1\u0663".encode(), id="a digit of another script"),
            pytest.param(0, b'[{"username":"a@b"}]', id="users in place of a version"),
        ],
    )
    def test_is_not_known(self, exit_code: int, output: bytes) -> None:
        with pytest.raises(ValueError, match="kopia --version"):
            servercommands.kopia_version(exit_code, output)


class TestMaintenanceOwner:
    def test_is_what_kopia_prints(self) -> None:
        output = b'{"owner":"backup-admin@store.example","quick":{"enabled":true}}\n'

        assert servercommands.maintenance_owner(0, output) == "backup-admin@store.example"

    @pytest.mark.parametrize(
        ("exit_code", "output"),
        [
            pytest.param(1, b'{"owner":"a@b"}', id="a command that has failed"),
            pytest.param(0, b"", id="nothing was printed"),
            pytest.param(0, b"[]", id="something else was printed"),
            pytest.param(0, b"{}", id="no owner"),
            pytest.param(0, b'{"owner":""}', id="an empty owner"),
        ],
    )
    def test_is_not_known(self, exit_code: int, output: bytes) -> None:
        with pytest.raises(ValueError):  # noqa: PT011 - of json as well
            servercommands.maintenance_owner(exit_code, output)
