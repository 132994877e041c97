"""What one session of the end-to-end tests has seen comes whole to the one that searches it."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from e2e.evidence import Evidence, keep, kept

if TYPE_CHECKING:
    from pathlib import Path

SEEN = Evidence(
    "tests-1",
    objects={"Pod a, version 1": '{"kind": "Pod"}'},
    logs={"a containerd://1": "zeile ü\n"},
    metrics="up 1\n",
    confidential={"password (0)": "secret &%+=/é"},
)
OTHER = Evidence("tests-2", objects={}, logs={}, metrics="", confidential={})


def test_what_is_kept_comes_back_by_namespace(tmp_path: Path) -> None:
    keep(OTHER, tmp_path)
    keep(SEEN, tmp_path)

    assert kept(tmp_path) == [SEEN, OTHER]


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    keep(SEEN, tmp_path)

    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_it_is_not_shown_by_a_test_that_fails() -> None:
    assert "secret" not in repr(SEEN)
