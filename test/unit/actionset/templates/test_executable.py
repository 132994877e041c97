"""Where the program is looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconcilers.actionset.templates.errors import RendererUnavailable
from reconcilers.actionset.templates.executable import PROGRAM, renderer_path

if TYPE_CHECKING:
    from pathlib import Path


def make(folder: Path, name: str = PROGRAM) -> Path:
    """Make a program."""
    path = folder / name
    path.touch(mode=0o700)
    return path


def test_it_is_on_the_path(tmp_path: Path) -> None:
    program = make(tmp_path)

    assert renderer_path("", {"PATH": f"/nowhere:{tmp_path}"}) == program


def test_one_that_is_named_comes_first(tmp_path: Path) -> None:
    make(tmp_path)
    other = make(tmp_path, "other")

    assert renderer_path(str(other), {"PATH": str(tmp_path)}) == other


@pytest.mark.parametrize(
    ("named", "message"),
    [
        pytest.param("", "a wheel does not contain it; use the image", id="nowhere, as in a wheel"),
        pytest.param("/nowhere/it", "--template-renderer: /nowhere/it is no program", id="named"),
        pytest.param("/etc/passwd", "/etc/passwd is no program", id="named, and no program"),
    ],
)
def test_where_it_is_lacking_one_line_says_so(tmp_path: Path, named: str, message: str) -> None:
    with pytest.raises(RendererUnavailable) as missing:
        renderer_path(named, {"PATH": str(tmp_path)})

    assert message in str(missing.value)
    assert "\n" not in str(missing.value)
