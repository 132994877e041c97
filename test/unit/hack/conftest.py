"""What the tests of the commands share."""

from __future__ import annotations

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
