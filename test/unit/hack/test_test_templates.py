"""What `hack/test` gets ready for the tests of templates."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import pytest

from clusterlib import paths
from testlib import templates

if TYPE_CHECKING:
    from pathlib import Path


def test_blueprints_are_named_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path / "main")
    assert templates.blueprints() == {}

    folder = tmp_path / "shared" / "blueprints"
    folder.mkdir(parents=True)

    assert templates.blueprints() == {templates.BLUEPRINTS: str(folder)}


@pytest.mark.usefixtures("own_directories")
def test_without_go_it_says_what_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with redirect_stdout(io.StringIO()) as printed:
        templates.build()

    assert printed.getvalue() == f"{templates.WITHOUT_GO}\n"


@pytest.mark.usefixtures("own_directories")
def test_a_program_that_is_there_needs_no_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    templates.program().parent.mkdir(parents=True)
    templates.program().touch()

    with redirect_stdout(io.StringIO()) as printed:
        templates.build()

    assert printed.getvalue() == ""
