"""BackupAllInfo, as BackupDataAll puts it out and the others take it."""

import json

import pytest

from reconcilers.datafunctions.backupinfo import PodBackup, parse, render
from reconcilers.datafunctions.errors import Refused

BACKUPS = [PodBackup("db-0", "1" * 32, "abc"), PodBackup("db-1", "2" * 32)]


def test_it_has_the_names_that_kanister_s_has() -> None:
    assert json.loads(render(BACKUPS)) == {
        "db-0": {"PodName": "db-0", "BackupID": "1" * 32, "BackupTag": "abc"},
        "db-1": {"PodName": "db-1", "BackupID": "2" * 32, "BackupTag": ""},
    }


def test_it_is_read_as_it_was_written() -> None:
    assert list(parse(render(BACKUPS)).values()) == BACKUPS


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("db-0", "it is not JSON", id="no JSON"),
        pytest.param("[]", "it has no pod", id="a list"),
        pytest.param("{}", "it has no pod", id="of no pod: Kanister refuses it as well"),
        pytest.param('{"db-0":"1"}', "pod db-0 has no map", id="an id alone"),
        pytest.param('{"db-0":{}}', "pod db-0 has no BackupID", id="no id"),
        pytest.param('{"db-0":{"BackupID":1}}', "pod db-0 has no BackupID", id="a number"),
        pytest.param('{"db-0":{"BackupID":""}}', "pod db-0 has no BackupID", id="an empty id"),
    ],
)
def test_what_is_something_else_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Refused, match=f"backupInfo .*: {reason}; pass that output on as it is"):
        parse(text)
