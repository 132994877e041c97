"""What is judged to be wrong after many backups."""

import random
from pathlib import Path
from typing import Any

import pytest

from soaklib.functions import Backup, Soak, checksums, judged

KEPT = Backup("1" * 32, "db-0", {"file": "x"})


def soak(tmp_path: Path) -> Soak:
    server: Any = None
    made = Soak(server, tmp_path, random.Random(1))  # noqa: S311 - what is changed is not secret
    made.kept[KEPT.snapshot] = KEPT
    made.deleted.add("2" * 32)
    return made


@pytest.mark.parametrize(
    ("listed", "different", "sentences"),
    [
        pytest.param({"1" * 32}, [], [], id="what was kept is there and what was deleted is not"),
        pytest.param(
            set(),
            [],
            [f"1 backups that were reported done are not there: {'1' * 32}"],
            id="one is lost",
        ),
        pytest.param(
            {"1" * 32, "2" * 32},
            [],
            [f"1 backups that were deleted twice are there: {'2' * 32}"],
            id="one came back",
        ),
        pytest.param(
            {"1" * 32, "3" * 32},
            [],
            [f"1 snapshots are there that nobody has reported: {'3' * 32}"],
            id="one too many",
        ),
        pytest.param(
            {"1" * 32},
            [KEPT],
            [f"1 backups restore to something else: {'1' * 32}"],
            id="one has other files",
        ),
    ],
)
def test_what_is_wrong(
    tmp_path: Path, listed: set[str], different: list[Backup], sentences: list[str]
) -> None:
    assert judged(soak(tmp_path), listed, different) == sentences


def test_each_pod_has_files_of_the_same_names_and_other_contents(tmp_path: Path) -> None:
    made = soak(tmp_path)
    made.prepare()

    one, other = (checksums(tmp_path / pod / "data") for pod in ("db-0", "db-1"))

    assert one.keys() == other.keys()
    assert not set(one.values()) & set(other.values())
