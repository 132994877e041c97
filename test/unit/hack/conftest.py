"""Makes `clusterlib` importable, which lives beside the commands and is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "hack"))

from clusterlib import paths


@pytest.fixture
def own_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the machine's clusters and cache out of the test; return the clusters' directory."""
    clusters = tmp_path / "clusters"
    monkeypatch.setattr(paths, "clusters", lambda: clusters)
    monkeypatch.setattr(paths, "cache", lambda: tmp_path / "cache")
    return clusters
