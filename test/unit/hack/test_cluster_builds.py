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

# Fails as often as told; then makes what it is asked for, in a folder and by Go's names.
GO = """\
import pathlib, sys
tried = pathlib.Path({tried!r})
tried.write_text(tried.read_text() + "x")
if len(tried.read_text()) <= {failures}:
    sys.exit("502 Bad Gateway")
at = sys.argv.index("-o") + 1
names = {{".": "pause", "go.etcd.io/etcd/server/v3": "server"}}
names["go.etcd.io/etcd/etcdctl/v3"] = "etcdctl"
for package in sys.argv[at + 1:]:
    name = names.get(package, package.rpartition("/")[2])
    (pathlib.Path(sys.argv[at]) / name).touch()
"""


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Give a function that builds with a Go that fails so often, and tells how often it was run."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def run(failures: int, *programs: str) -> int:
        tried, go = tmp_path / "tried", tmp_path / "go"
        tried.touch()
        go.write_text(f"#!{sys.executable}\n{GO.format(tried=str(tried), failures=failures)}")
        go.chmod(0o755)
        wanted = programs or (PROGRAM,)
        known = components.load()
        builds.build_missing(known, wanted, Progress(builds.steps(known, wanted)))
        return len(tried.read_text())

    return run


def test_a_download_that_fails_is_tried_again(build: Callable[..., int]) -> None:
    assert build(2) == 3
    assert components.load().program(PROGRAM).exists()


def test_a_program_that_does_not_build_is_given_up(build: Callable[..., int]) -> None:
    with pytest.raises(ClusterError, match="did not build") as caught:
        build(9)

    assert "502 Bad Gateway" in caught.value.report()
    assert not components.load().program(PROGRAM).exists()


def test_what_is_built_is_not_built_again(build: Callable[..., int]) -> None:
    assert build(0) == 1
    assert build(0) == 1


@pytest.mark.parametrize(
    ("programs", "runs"),
    [
        pytest.param(["kube-apiserver", "kubectl", "kubelet"], 1, id="of one module: one"),
        pytest.param(["etcd", "etcdctl"], 1, id="that Go names in another way"),
        pytest.param(["pause", "kubectl", "kubelet"], 2, id="of two modules: two"),
    ],
)
def test_how_often_go_is_run_for_programs(
    build: Callable[..., int], programs: list[str], runs: int
) -> None:
    assert build(0, *programs) == runs
    known = components.load()
    assert builds.missing(known, programs) == []
