"""Grafana can read the dashboard, by the types that it generates from its own schemas."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest

from e2e.monitored import DASHBOARD
from e2e.release import program

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.resource import Object

#: A panel with a query, and one whose type has options of its own.
QUERY: Final = 0
BARS: Final = 2


def dashboard() -> Object:
    found: Object = json.loads(DASHBOARD.read_text())
    return found


def complaints(content: Object) -> str:
    """Return what is wrong with a dashboard, nothing if all is well."""
    ran = subprocess.run(  # noqa: S603 - a program of this project's list
        [program("dashboard-check")],
        input=json.dumps(content),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode != 0) == bool(ran.stderr)
    return ran.stderr


def without_annotations(content: Object) -> None:
    del content["annotations"]


def misspelt(content: Object) -> None:
    content["panels"][QUERY]["tilte"] = "Servers"


def of_another_type(content: Object) -> None:
    content["panels"][QUERY]["gridPos"]["h"] = "6"


def in_options(content: Object) -> None:
    content["panels"][BARS]["options"] = {"rainbow": True}


def in_a_query(content: Object) -> None:
    content["panels"][QUERY]["targets"][0]["expression"] = "up"


def test_it_is_as_the_schema_says() -> None:
    assert complaints(dashboard()) == ""


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        pytest.param(without_annotations, "annotations", id="a field that is missing"),
        pytest.param(misspelt, "tilte", id="a field that there is not"),
        pytest.param(of_another_type, "h", id="a number that is a text"),
        pytest.param(in_a_query, "expression", id="a field of a query that there is not"),
        pytest.param(in_options, "rainbow", id="an option that the type of a panel has not"),
    ],
)
def test_what_is_wrong_is_found(spoil: Callable[[Any], None], named: str) -> None:
    content = dashboard()

    spoil(content)

    assert named in complaints(content)
