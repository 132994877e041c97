"""What the tests of the commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clusterlib import paths

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def own_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the machine's clusters and cache out of the test; return the clusters' directory."""
    clusters = tmp_path / "clusters"
    monkeypatch.setattr(paths, "clusters", lambda: clusters)
    monkeypatch.setattr(paths, "cache", lambda: tmp_path / "cache")
    return clusters
