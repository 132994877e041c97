"""Where things are: the checkout, the cache of what was built, the state of the clusters."""

from __future__ import annotations

import os
from pathlib import Path

HACK = Path(__file__).resolve().parent.parent
CHECKOUT = HACK.parent
COMPONENTS = HACK / "components.toml"
TOOLS = HACK / "tools"

_PROJECT = "repository-server-controller"


def cache() -> Path:
    """Return the directory for what can be built again: programs, images, downloads."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / _PROJECT


def clusters() -> Path:
    """Return the directory that holds one state directory for each cluster of this user."""
    if os.geteuid() == 0:
        return Path("/var/lib") / _PROJECT
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(base) / _PROJECT
