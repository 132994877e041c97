"""What is kept of a server across a restart, and what is not taken for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from controller.conditions import timestamp
from fakes import objects
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import names, record
from reconcilers.repositoryserver.children.known import Known, KnownInputs, KnownUsers
from reconcilers.repositoryserver.children.record import Record, Records
from reconcilers.repositoryserver.verdict import PodContext, Problem
from reconcilers.secrets.reader import Versions

if TYPE_CHECKING:
    from pathlib import Path

    from controller.resource import Object

RECORD = Record(
    program="p",
    inputs="i",
    not_after=datetime(2027, 1, 1, tzinfo=UTC),
    storage="bucket b of s3.example",
    claim="",
    repository="r",
    sources="s",
    stored="uid/7",
    users="u",
    names=("a@b", "c@d"),
    written={"published": "uid/8"},
)


PROGRAM = Records("p")
SERVER = api.parse(objects.repository_server())
KNOWN_INPUTS = KnownInputs(
    versions=Versions("i", complete=True),
    hash=objects.DIGEST,
    not_after=RECORD.not_after,
    pod=PodContext.of(SERVER, storage=RECORD.storage, claim=""),
    repository="r",
)
KNOWN_USERS = KnownUsers(
    sources=Versions("s", complete=True),
    stored="uid/7",
    version="u",
    legacy=frozenset({"a@b", "c@d"}),
)
# What a process knows of which `RECORD` is the record.
KNOWN = Known(inputs=KNOWN_INPUTS, users=KNOWN_USERS, written=RECORD.written)


def changed(**fields: Any) -> str:
    """Return what `RECORD` is rendered as, with other fields; those that are None are left out."""
    content = {**json.loads(record.render(RECORD)), **fields}
    return json.dumps({name: value for name, value in content.items() if value is not None})


def pod(text: str | None = None, *, age: int = 0) -> Object:
    """Build a pod.

    Args:
        text: Its record; it has no annotations at all by default.
        age: Seconds since its creation.
    """
    created = timestamp(objects.NOW - timedelta(seconds=age))
    metadata: Object = {"creationTimestamp": created}
    if text is not None:
        metadata["annotations"] = {names.ANNOTATION_RECORD: text}
    found: Object = objects.merged(objects.pod(), {"metadata": metadata})
    return found


def with_inputs(**fields: Any) -> Known:
    return evolve(KNOWN, inputs=evolve(KNOWN_INPUTS, **fields))


def with_users(**fields: Any) -> Known:
    return evolve(KNOWN, users=evolve(KNOWN_USERS, **fields))


def test_what_is_known_of_a_pod_is_recorded_on_it_and_recalled_from_it() -> None:
    annotations = PROGRAM.annotations(KNOWN, pod())

    assert annotations == {names.ANNOTATION_RECORD: record.render(RECORD)}
    assert PROGRAM.recall(SERVER, [pod(record.render(RECORD))]) == KNOWN


def test_the_same_users_make_the_same_record_in_any_order() -> None:
    names = [f"user-{number}@host" for number in range(9)]

    (text,) = PROGRAM.annotations(with_users(legacy=frozenset(names)), pod()).values()

    assert text == record.render(evolve(RECORD, names=tuple(names)))


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(evolve(KNOWN, inputs=None), id="its inputs are not known"),
        pytest.param(evolve(KNOWN, users=None), id="its users are not known"),
        pytest.param(
            with_users(problem=Problem("ClientUserInitialized", "UserNameInvalid", "x")),
            id="its users are not what the access Secrets have",
        ),
        pytest.param(with_users(warning="no keys"), id="an access Secret is to be warned of"),
        pytest.param(
            with_inputs(versions=Versions("i", complete=False)), id="the cache lacked an input"
        ),
        pytest.param(
            with_users(sources=Versions("s", complete=False)),
            id="the cache lacked an access Secret",
        ),
        pytest.param(with_inputs(hash="9876543210"), id="what is known is of another pod"),
        pytest.param(
            with_users(legacy=frozenset({"x" * record.MAX_LENGTH})), id="it would be too long"
        ),
    ],
)
def test_a_pod_gets_no_record_where(known: Known) -> None:
    assert PROGRAM.annotations(known, pod()) == {}


@pytest.mark.parametrize(
    ("pods", "users"),
    [
        pytest.param(
            [pod(changed(users="new")), pod(changed(users="old"), age=9)],
            "new",
            id="of two the newest counts",
        ),
        pytest.param(
            [pod(), pod(changed(users="old"), age=9)],
            "old",
            id="a pod without annotations tells nothing",
        ),
        pytest.param([pod(changed(program="another"))], None, id="nor does one of another program"),
    ],
)
def test_what_is_recalled(pods: list[Object], users: str | None) -> None:
    for found in (PROGRAM.recall(SERVER, pods), PROGRAM.recall(SERVER, pods[::-1])):
        assert (None if found.users is None else found.users.version) == users


@given(
    words=st.lists(st.text(max_size=40), min_size=8, max_size=8),
    not_after=st.datetimes(timezones=st.just(UTC)),
    names=st.lists(st.text(max_size=40), max_size=5).map(tuple),
    written=st.dictionaries(st.text(max_size=40), st.text(max_size=40), max_size=3),
)
def test_what_is_rendered_is_parsed(
    words: list[str], not_after: datetime, names: tuple[str, ...], written: dict[str, str]
) -> None:
    program, inputs, storage, claim, repository, sources, stored, users = words
    known = Record(
        program=program,
        inputs=inputs,
        not_after=not_after,
        storage=storage,
        claim=claim,
        repository=repository,
        sources=sources,
        stored=stored,
        users=users,
        names=names,
        written=written,
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
        pytest.param(changed(written=["a"]), id="one with a list for the Secrets written"),
        pytest.param(changed(written={"a": 1}), id="one with a number for a version"),
        pytest.param(changed(not_after="soon"), id="one with a time that is none"),
        pytest.param(changed(not_after="2027-01-01T00:00:00"), id="one with a time without zone"),
    ],
)
def test_what_is_malformed_is_no_record(text: str) -> None:
    assert record.parse(text) is None


def test_a_field_of_a_later_program_is_no_matter() -> None:
    assert record.parse(changed(later="x")) == RECORD


def test_one_that_is_too_long_for_an_annotation_is_none() -> None:
    room = record.MAX_LENGTH - len(record.render(evolve(RECORD, names=("",))))

    assert len(record.render(evolve(RECORD, names=("x" * room,)))) == record.MAX_LENGTH
    assert record.render(evolve(RECORD, names=("x" * (room + 1),))) == ""


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
