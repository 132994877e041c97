"""What the tests of the commands share."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from clusterlib import paths
from demolib.kubectl import Kubectl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def own_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the machine's clusters and cache out of the test; return the clusters' directory."""
    clusters = tmp_path / "clusters"
    monkeypatch.setattr(paths, "clusters", lambda: clusters)
    monkeypatch.setattr(paths, "cache", lambda: tmp_path / "cache")
    return clusters


@pytest.fixture
def scripted_kubectl(tmp_path: Path) -> Callable[[str], Kubectl]:
    """Return a way to make a kubectl of some cluster that is a script, in `tmp_path`."""

    def make(script: str) -> Kubectl:
        program = tmp_path / "kubectl"
        program.write_text(script)
        program.chmod(0o700)
        return Kubectl(str(program), ("--context=mine",))

    return make


@pytest.fixture
def run_script(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a way to run a script of a client, with programs that stand for those of its image.

    They find what they are to do in the folder $HERE, which is `tmp_path`.
    """

    def run(
        script: str, programs: dict[str, str], text: str, *arguments: str
    ) -> subprocess.CompletedProcess[str]:
        for name, program in programs.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{program}")
            (tmp_path / name).chmod(0o700)
        path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
        return subprocess.run(  # noqa: S603 - a script of ours
            ["/bin/sh", "-c", script, "sh", *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env={"PATH": path, "HERE": str(tmp_path)},
        )

    return run
