"""The script that runs a command of KubeExec, in the shells that there are."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from fakes.clock import STUCK_AFTER
from reconcilers.actionset.functions import shellscript

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Each runs what is given to its own `-c`, as the `sh` of a container.
SHELLS = [
    pytest.param(words, id=" ".join(words))
    for words in (("sh",), ("dash",), ("bash",), ("bash", "--posix"), ("busybox", "sh"))
    if shutil.which(words[0])
]


@contextlib.contextmanager
def started(shell: tuple[str, ...], *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command as in a container: in a session of its own, its input still open."""
    process = subprocess.Popen(  # noqa: S603 - shells of this machine
        [*shell, *shellscript.ARGV[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    try:
        process.stdin.write(shellscript.head(command))
        process.stdin.flush()
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def ran(shell: tuple[str, ...], *command: str) -> tuple[int, bytes, bytes]:
    """Return exit code and output of a command whose input stays open until it has ended."""
    with started(shell, *command) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        out, err = process.stdout.read(), process.stderr.read()
        return process.wait(STUCK_AFTER), out, err


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("plain",), id="a word"),
        pytest.param(("two  words", "$HOME `id` \\n \\\\"), id="nothing is expanded"),
        pytest.param(("it's 'quoted'", '"', "'"), id="quotes"),
        pytest.param(("a\nb\n\nc\n", "\n"), id="lines, and ends of them"),
        pytest.param(("", "", "x", ""), id="empty ones"),
        pytest.param(("-n", "--", "-c"), id="what look like options"),
        pytest.param(("grüße", "日本", "\t\r"), id="what is no ASCII"),
        pytest.param(("x" * 100_000,), id="a long one"),
    ],
)
def test_the_program_gets_each_word_as_it_is(
    shell: tuple[str, ...], words: tuple[str, ...]
) -> None:
    code, out, err = ran(shell, "printf", "%s\\0", *words)

    assert (code, err) == (0, b"")
    assert out == b"".join(word.encode() + b"\0" for word in words)


@pytest.mark.parametrize("shell", SHELLS)
class TestOutcome:
    """What the one who asked gets to know."""

    @pytest.mark.parametrize("code", [0, 1, 3, 125, 255])
    def test_the_exit_code_is_that_of_the_program(self, shell: tuple[str, ...], code: int) -> None:
        assert ran(shell, "sh", "-c", f"exit {code}") == (code, b"", b"")

    def test_both_streams_are_kept_apart(self, shell: tuple[str, ...]) -> None:
        assert ran(shell, "sh", "-c", "echo out; echo err >&2") == (0, b"out\n", b"err\n")

    def test_a_word_of_the_shell_is_no_program(self, shell: tuple[str, ...]) -> None:
        """An exec without a shell does not know it either."""
        code, out, _ = ran(shell, "exit", "0")

        assert (code, out) == (127, b"")

    def test_the_program_is_that_of_the_path_and_no_builtin(self, shell: tuple[str, ...]) -> None:
        """Those of dash and bash do not agree on a backslash, the program has its own mind."""
        expected = subprocess.run(["echo", "a\\tb"], check=True, stdout=subprocess.PIPE).stdout  # noqa: S607 - as the script

        assert ran(shell, "echo", "a\\tb")[1] == expected

    def test_it_reads_nothing(self, shell: tuple[str, ...]) -> None:
        """As a command of Kanister: one that reads its input finds the end of it at once."""
        assert ran(shell, "cat") == (0, b"", b"")

    def test_no_other_file_is_open_to_it(self, shell: tuple[str, ...]) -> None:
        """One more would hold the end of the input, and so the end of the command."""
        _, out, _ = ran(shell, "sh", "-c", "ls /proc/self/fd")

        # `ls` has opened the folder itself.
        assert out.split() == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize("shell", SHELLS)
class TestEnd:
    """The end of the input is the end of the command, and of all that it has started."""

    @pytest.mark.parametrize(
        "last",
        [
            pytest.param(b"", id="the connection is lost"),
            pytest.param(shellscript.END, id="it is asked for"),
            pytest.param(shellscript.ALIVE * 3 + shellscript.END, id="after signs of life"),
            pytest.param(b".", id="half a sign of life"),
        ],
    )
    def test_the_command_ends_with_its_children(
        self, shell: tuple[str, ...], tmp_path: Path, last: bytes
    ) -> None:
        child = f"sleep 1000 & echo $! > {tmp_path}/child; echo ready; wait; sleep 1000"
        with started(shell, "sh", "-c", child) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.stdin.write(last)
            if last != shellscript.END:
                process.stdin.close()
                process.stdin = None
            else:
                process.stdin.flush()

            code = process.wait(STUCK_AFTER)

        assert code in (128 + signal.SIGTERM, -signal.SIGTERM)
        number = int((tmp_path / "child").read_text())
        assert has_ended(number)

    def test_signs_of_life_do_not_end_it(self, shell: tuple[str, ...], tmp_path: Path) -> None:
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        with started(shell, "sh", "-c", f"echo ready; cat {fifo}") as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.readline()
            process.stdin.write(shellscript.ALIVE * 5)
            process.stdin.flush()
            fifo.write_bytes(b"to the end\n")

            assert process.stdout.read() == b"to the end\n"
            assert process.wait(STUCK_AFTER) == 0

    @pytest.mark.parametrize("kept", [0, 10, 40, -1])
    def test_a_command_that_is_cut_on_its_way_does_not_run(
        self, shell: tuple[str, ...], tmp_path: Path, kept: int
    ) -> None:
        head = shellscript.head(["touch", str(tmp_path / "made")])[:kept].rstrip(b"\n")
        finished = subprocess.run(  # noqa: S603 - a shell of this machine
            [*shell, *shellscript.ARGV[1:]],
            check=False,
            input=head[:-1],
            capture_output=True,
            timeout=STUCK_AFTER,
        )

        assert finished.returncode == shellscript.EXIT_CUT
        assert shellscript.CUT in finished.stderr.decode()
        assert not (tmp_path / "made").exists()


def has_ended(number: int) -> bool:
    """Return whether a process has ended, once that is certain."""
    for _ in range(int(STUCK_AFTER / 0.01)):
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return True
        with contextlib.suppress(FileNotFoundError):
            state = open(f"/proc/{number}/stat").read().rpartition(")")[2].split()[0]  # noqa: SIM115, PTH123
            if state == "Z":
                return True
        __import__("threading").Event().wait(0.01)
    return False


def test_what_is_in_the_url_says_nothing_of_the_command() -> None:
    assert "secret" not in " ".join(shellscript.ARGV)
    assert shellscript.ARGV[:2] == ("sh", "-c")


@pytest.mark.parametrize(
    ("message", "missing"),
    [
        pytest.param(
            'OCI runtime exec failed: exec failed: unable to start container process: exec: "sh": '
            "executable file not found in $PATH",
            True,
            id="runc",
        ),
        pytest.param("executable file `sh` not found in $PATH: No such file", True, id="crun"),
        pytest.param('exec: "pg_dump": executable file not found', False, id="another program"),
        pytest.param("sh: 1: exec: pg_dump: not found", False, id="a shell misses another program"),
        pytest.param('pods "sh" is forbidden', False, id="a pod called sh"),
    ],
)
def test_a_container_without_a_shell_is_known_by_its_runtimes_words(
    message: str, missing: bool
) -> None:
    assert shellscript.is_shell_missing(message) is missing
