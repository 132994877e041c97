"""The state directory: what `down` must understand, however a cluster was left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clusterlib.errors import ClusterError
from clusterlib.state import Record, State, all_names, taken_slots

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("own_directories")


def test_a_record_is_read_as_it_was_written() -> None:
    state, record = State("one"), Record(node=True, slot=3)

    state.write_record(record)

    assert state.read_record() == record


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="there is none"),
        pytest.param("", id="it is empty"),
        pytest.param('{"node": tr', id="it is torn"),
        pytest.param('{"name": "x"}', id="it is of another version"),
    ],
)
def test_a_broken_record_counts_as_no_cluster(own_directories: Path, content: str | None) -> None:
    directory = own_directories / "one"
    directory.mkdir(parents=True)
    if content is not None:
        (directory / "cluster.json").write_text(content)

    assert State("one").read_record() is None
    assert taken_slots(node=True) == set()


def test_slots_are_counted_by_kind() -> None:
    State("one").write_record(Record(node=True, slot=0))
    State("two").write_record(Record(node=False, slot=5))

    assert taken_slots(node=True) == {0}
    assert taken_slots(node=False) == {5}
    assert all_names() == ["one", "two"]


def test_removing_deletes_everything_and_is_no_error_again() -> None:
    state = State("one")
    state.write_record(Record(node=True, slot=0))

    state.remove()
    state.remove()

    assert all_names() == []


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param("..", id="would leave the directory"),
        pytest.param("a/b", id="would be a directory deeper"),
        pytest.param("A", id="no host name"),
        pytest.param("a-", id="ends with a dash"),
        pytest.param("a" * 33, id="too long"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(ClusterError, match="--name"):
        State(name)
