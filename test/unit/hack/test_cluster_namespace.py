"""The control groups of a node, on a made-up hierarchy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clusterlib import namespace
from clusterlib.state import State

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("own_directories")


@pytest.fixture
def hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    groups = tmp_path / "cgroup"
    (groups / "memory").mkdir(parents=True)
    (groups / "memory" / "cgroup.procs").touch()
    monkeypatch.setattr(namespace, "_GROUPS", groups)
    return groups / "memory"


def test_removing_takes_a_node_s_groups_however_deep_and_leaves_those_of_others(
    hierarchy: Path,
) -> None:
    ours = hierarchy / namespace.group_of(State("one")).strip("/")
    theirs = hierarchy / namespace.group_of(State("two")).strip("/")
    (ours / "kubepods" / "besteffort" / "pod1").mkdir(parents=True)
    theirs.mkdir(parents=True)

    namespace.remove(State("one"))

    assert not ours.exists()
    assert theirs.exists()


def test_the_last_node_takes_the_common_group_with_it(hierarchy: Path) -> None:
    ours = hierarchy / namespace.group_of(State("one")).strip("/")
    ours.mkdir(parents=True)

    namespace.remove(State("one"))

    assert not ours.parent.exists()


def test_removing_where_nothing_is_does_nothing(hierarchy: Path) -> None:
    namespace.remove(State("one"))

    assert [path.name for path in hierarchy.iterdir()] == ["cgroup.procs"]
