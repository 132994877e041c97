"""Go programs are built once, and again where a download fails; a script stands for Go."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from clusterlib import builds, components
from clusterlib.errors import ClusterError
from clusterlib.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("own_directories")

PROGRAM = "pause"

# Fails as often as told; then makes what it is asked for.
GO = """\
import pathlib, sys
tried = pathlib.Path({tried!r})
tried.write_text(tried.read_text() + "x")
if len(tried.read_text()) <= {failures}:
    sys.exit("502 Bad Gateway")
pathlib.Path(sys.argv[sys.argv.index("-o") + 1]).touch()
"""


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], int]:
    """Give a function that builds with a Go that fails so often, and tells how often it was run."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def run(failures: int) -> int:
        tried, go = tmp_path / "tried", tmp_path / "go"
        tried.touch()
        go.write_text(f"#!{sys.executable}\n{GO.format(tried=str(tried), failures=failures)}")
        go.chmod(0o755)
        builds.build_missing(components.load(), [PROGRAM], Progress(1))
        return len(tried.read_text())

    return run


def test_a_download_that_fails_is_tried_again(build: Callable[[int], int]) -> None:
    assert build(2) == 3
    assert components.load().program(PROGRAM).exists()


def test_a_program_that_does_not_build_is_given_up(build: Callable[[int], int]) -> None:
    with pytest.raises(ClusterError, match="did not build") as caught:
        build(9)

    assert "502 Bad Gateway" in caught.value.report()
    assert not components.load().program(PROGRAM).exists()


def test_what_is_built_is_not_built_again(build: Callable[[int], int]) -> None:
    assert build(0) == 1
    assert build(0) == 1
