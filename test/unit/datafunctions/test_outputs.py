"""Outputs, as Kanister reads them from a log and others from a file."""

import json
from pathlib import Path

import pytest

from reconcilers.datafunctions.outputs import MARKER, lines, write


def test_each_output_is_a_line_of_its_own() -> None:
    printed = lines({"backupID": "1", "BackupAllInfo": '{"a":\n"b"}'}).splitlines()

    assert printed[0] == '###Phase-output###: {"key": "backupID", "value": "1"}'
    assert [json.loads(line.removeprefix(MARKER))["value"] for line in printed] == [
        "1",
        '{"a":\n"b"}',
    ]


@pytest.mark.parametrize("key", ["", "a-b", "a b", "a.b", "ü"])
def test_a_key_that_no_template_can_use_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="is no name of an output"):
        lines({key: "1"})


def test_a_file_has_all_of_them(tmp_path: Path) -> None:
    file = tmp_path / "outputs.json"
    file.write_text("of a run before")

    write(file, {"backupID": "1", "size": "2 MB"})

    assert json.loads(file.read_text()) == {"backupID": "1", "size": "2 MB"}
    assert list(tmp_path.iterdir()) == [file]
