"""Which tests go to the same process, where several run side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidebyside import SHARING, scope_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("file", sorted(SHARING))
def test_tests_that_share_what_takes_long_to_make_stay_together(file: str) -> None:
    assert (ROOT / file).exists()
    assert scope_of(f"{file}::TestOne::test_a") == scope_of(f"{file}::test_b[c]")


def test_other_tests_of_a_file_do_not() -> None:
    file = "test/e2e/test_access.py"

    assert scope_of(f"{file}::test_a[b]") != scope_of(f"{file}::test_a[c]")
