"""Streams in kando's shape."""

from __future__ import annotations

import json

import pytest

from fakes.kopiaclient import Content, FakeRepository
from reconcilers.datafunctions.errors import Refused
from reconcilers.datafunctions.program.streams import StreamPath, path_of, render, snapshot_id

ID = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "directory", "name"),
    [
        pytest.param("/a/b/dump.gz", "/a/b", "dump.gz", id="folder and file"),
        pytest.param("dump.gz", "/kanister-backups", "dump.gz", id="no folder: kando's default"),
        pytest.param("/dump.gz", "/kanister-backups", "dump.gz", id="the root: the same"),
        pytest.param("a/b/dump.gz", "/a/b", "dump.gz", id="a path as Blueprints write it"),
        pytest.param("a//b/./dump.gz", "/a/b", "dump.gz", id="cleaned"),
    ],
)
def test_a_path_names_a_folder_and_a_file(text: str, directory: str, name: str) -> None:
    assert path_of(text) == StreamPath(directory, name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "names no file", id="empty"),
        pytest.param("a/", "names no file", id="a folder"),
        pytest.param("a/../dump.gz", "leads upwards", id="upwards"),
    ],
)
def test_a_path_that_names_none(text: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        path_of(text)


def test_what_is_put_out_is_what_kando_puts_out() -> None:
    snapshot = FakeRepository().add("/a", {}, {"dump.gz": Content(b"12345", 0)})

    assert json.loads(render(snapshot)) == {
        "id": snapshot.id,
        "logicalSize": 5,
        "physicalSize": 0,
    }


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f'{{"id":"{ID}","logicalSize":5,"physicalSize":0}}', id="of kando"),
        pytest.param(ID, id="an id alone"),
        pytest.param(f" {ID}\n", id="with white space"),
    ],
)
def test_a_snapshot_is_taken_from_what_was_put_out(text: str) -> None:
    assert snapshot_id(text) == ID


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param('{"id":', "it is not JSON", id="cut"),
        pytest.param("{}", "it has no id", id="no id"),
        pytest.param('{"id":7}', "it has no id", id="a number"),
        pytest.param("a" * 64, "restic has made", id="restic's"),
        pytest.param("", "is not the id of a snapshot", id="empty, of an artifact that has none"),
    ],
)
def test_what_is_no_snapshot_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Refused, match=f"--kopia-snapshot is neither .*{reason}"):
        snapshot_id(text)
