"""What Kopia prints reaches the log without the signature of a SAS token."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from reconcilers.kopia import logfilter

URL = 'Get "https://a.blob.example/c?comp=list&sig={sig}&sv=2020": dial tcp: no such host'


def start(directory: Path, script: str) -> subprocess.Popen[str]:
    """Run a script in the place of Kopia, behind the filter."""
    kopia = directory / "kopia"
    kopia.write_text(f"#!/bin/sh\n{script}\n")
    kopia.chmod(0o700)
    return subprocess.Popen(  # noqa: S603 - ours
        [*logfilter.command(str(kopia)), "server", "start"],
        env={**os.environ, "TMPDIR": str(directory)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        pytest.param(
            URL.format(sig="token-51d0%3D"), URL.format(sig="..."), id="a signature in a URL"
        ),
        pytest.param(
            "sig=token-51d0%2B&se=1 and sig=token-51d0",
            "sig=...&se=1 and sig=...",
            id="two of them",
        ),
        pytest.param("  a\\b %s  ", "  a\\b %s  ", id="anything else, as it is"),
        pytest.param("", "", id="an empty line"),
    ],
)
def test_a_line(tmp_path: Path, printed: str, shown: str) -> None:
    (tmp_path / "line").write_text(printed + "\n")

    with start(tmp_path, f"cat {tmp_path}/line >&2") as process:
        out, err = process.communicate()

    assert (out, err, process.returncode) == ("", shown + "\n", 0)


def test_the_last_line_and_the_exit_code_are_kopias(tmp_path: Path) -> None:
    with start(tmp_path, 'echo "$@"; printf "the end, sig=token-51d0" >&2; exit 3') as process:
        _, err = process.communicate()

    assert err.splitlines() == ["server start", "the end, sig=..."]
    assert process.returncode == 3


def test_a_container_that_starts_again_finds_the_pipe_of_before(tmp_path: Path) -> None:
    for _ in range(2):
        with start(tmp_path, "echo hello") as process:
            assert process.communicate()[1] == "hello\n"


def test_who_is_told_to_end_tells_kopia_and_waits_for_it(tmp_path: Path) -> None:
    script = 'trap "echo ended; exit 5" TERM; echo started; while :; do read -r _ <&3; done'
    os.mkfifo(tmp_path / "never")

    with start(tmp_path, f'exec 3<>"{tmp_path}/never"\n{script}') as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "started\n"
        process.send_signal(signal.SIGTERM)
        assert process.stderr.read() == "ended\n"
        process.wait()

    assert process.returncode == 5
