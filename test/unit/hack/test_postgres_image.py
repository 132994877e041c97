"""How the image of PostgreSQL starts, with programs that stand for PostgreSQL's."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from clusterlib import paths

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

START = paths.HACK / "images.d" / "postgres" / "start.sh"
PROGRAMS = {
    "initdb": """
for word; do
  case $word in --pgdata=*) folder=${word#*=} ;; --pwfile=*) password=$(cat "${word#*=}") ;; esac
done
mkdir -p "$folder"
echo "$password" >"$folder/password"
echo 15 >"$folder/PG_VERSION"
exit "$INITDB_FAILS"
""",
    "postgres": 'echo "postgres $*"',
}


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a way to start the image's program on the folder `data` of `tmp_path`."""
    for name, program in PROGRAMS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{program}")
        (tmp_path / name).chmod(0o755)

    def run(
        *arguments: str, superuser: str = "a b", fails: int = 0
    ) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "PGDATA": str(tmp_path / "data"),
            "POSTGRES_PASSWORD": superuser,
            "INITDB_FAILS": str(fails),
        }
        return subprocess.run(  # noqa: S603 - the image's own
            [START, *arguments], env=environment, capture_output=True, text=True, check=False
        )

    return run


def test_an_empty_folder_is_filled_and_served(
    start: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    ran = start("-c", "fsync=off")

    assert ran.stdout == "postgres -c listen_addresses=* -c fsync=off\n"
    assert (tmp_path / "data" / "password").read_text() == "a b\n"
    assert "scram-sha-256" in (tmp_path / "data" / "pg_hba.conf").read_text()


def test_what_is_there_is_served_as_it_is(
    start: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    start()

    start(superuser="another")

    assert (tmp_path / "data" / "password").read_text() == "a b\n"


def test_a_start_that_was_cut_off_leaves_nothing_that_looks_complete(
    start: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """The folder's version is written before its last file."""
    assert start(fails=1).returncode == 1
    assert not (tmp_path / "data").exists()

    start(superuser="another")

    assert (tmp_path / "data" / "password").read_text() == "another\n"
