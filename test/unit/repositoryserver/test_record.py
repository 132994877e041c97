"""What is kept of a server across a restart, and what is not taken for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from fakes import objects
from reconcilers.repositoryserver import record
from reconcilers.repositoryserver.record import Record

if TYPE_CHECKING:
    from pathlib import Path

RECORD = Record(
    program="p",
    inputs="i",
    not_after=datetime(2027, 1, 1, tzinfo=UTC),
    storage="bucket b of s3.example",
    claim="",
    sources="s",
    stored="uid/7",
    users="u",
    names=("a@b", "c@d"),
)


def changed(**fields: Any) -> str:
    """Return what `RECORD` is rendered as, with other fields; those that are None are left out."""
    content = {**json.loads(record.render(RECORD)), **fields}
    return json.dumps({name: value for name, value in content.items() if value is not None})


@given(
    words=st.lists(st.text(max_size=40), min_size=7, max_size=7),
    not_after=st.datetimes(timezones=st.just(UTC)),
    names=st.lists(st.text(max_size=40), max_size=5).map(tuple),
)
def test_what_is_rendered_is_parsed(
    words: list[str], not_after: datetime, names: tuple[str, ...]
) -> None:
    program, inputs, storage, claim, sources, stored, users = words
    known = Record(
        program, inputs, not_after, storage, claim, sources, stored, users=users, names=names
    )

    assert record.parse(record.render(known)) == known


@given(st.text() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_anything_else_is_no_record(text: str) -> None:
    assert record.parse(text) is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param(record.render(RECORD)[:-1], id="one that was cut off"),
        pytest.param("[" * 100_000, id="one that is nested too deep"),
        pytest.param(changed(stored=None), id="one without a field"),
        pytest.param(changed(stored=7), id="one with a number for a word"),
        pytest.param(changed(names="ab"), id="one with a word for the names"),
        pytest.param(changed(names=["a", None]), id="one with a name that is none"),
        pytest.param(changed(not_after="soon"), id="one with a time that is none"),
        pytest.param(changed(not_after="2027-01-01T00:00:00"), id="one with a time without zone"),
    ],
)
def test_what_is_malformed_is_no_record(text: str) -> None:
    assert record.parse(text) is None


def test_a_field_of_a_later_program_is_no_matter() -> None:
    assert record.parse(changed(later="x")) == RECORD


def test_one_that_is_too_long_for_an_annotation_is_none() -> None:
    assert record.render(evolve(RECORD, names=("x" * record.MAX_LENGTH,))) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(["ab", "c"], ["a", "bc"], id="where a part ends"),
        pytest.param([("a", "1"), ("b", "2")], [("a", "2"), ("b", "1")], id="whose version it is"),
        pytest.param(["a", "b"], ["b", "a"], id="the order"),
    ],
)
def test_versions_differ_by(one: list[object], other: list[object]) -> None:
    assert record.versions(one) != record.versions(other)


class TestProgram:
    @pytest.fixture
    def sources(self, tmp_path: Path) -> Path:
        (tmp_path / "storage").mkdir()
        (tmp_path / "children.py").write_text("a = 1\n")
        (tmp_path / "storage" / "s3.py").write_text("b = 1\n")
        return tmp_path

    def test_is_the_same_at_each_start(self, sources: Path) -> None:
        (sources / "children.pyc").write_text("compiled")

        before = record.program(objects.IMAGE, sources=sources)
        (sources / "children.pyc").unlink()

        assert record.program(objects.IMAGE, sources=sources) == before

    def test_is_another_one_with_another_image(self, sources: Path) -> None:
        assert record.program("a", sources=sources) != record.program("b", sources=sources)

    @pytest.mark.parametrize("path", ["children.py", "storage/s3.py", "new.py"])
    def test_is_another_one_with_another_module(self, sources: Path, path: str) -> None:
        before = record.program(objects.IMAGE, sources=sources)

        (sources / path).write_text("a = 2\n")

        assert record.program(objects.IMAGE, sources=sources) != before

    def test_cannot_be_told_without_its_modules(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="no modules in"):
            record.program(objects.IMAGE, sources=tmp_path)
