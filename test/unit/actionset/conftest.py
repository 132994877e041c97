"""The real renderer of templates, shared by the tests that need it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.clock import SystemClock
from reconcilers.actionset.templates.child import Limits
from reconcilers.actionset.templates.program import ProgramRenderer
from testlib import templates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOT_BUILT = "no template-renderer: `hack/cluster build template-renderer` builds it"


@pytest.fixture(scope="session")
def program() -> Path:
    """Return the program that renders."""
    path = templates.program()
    if not path.exists():
        pytest.skip(NOT_BUILT)
    return path


@pytest.fixture(scope="session")
def renderer(program: Path) -> Iterator[ProgramRenderer]:
    """Return a renderer that keeps one process for all tests."""
    # A machine that is busy takes its time.
    shared = ProgramRenderer.of(program, SystemClock(), limits=Limits(seconds=60.0))
    yield shared
    shared.close()
