"""Every action of every public Blueprint is played, in the real engine with the real renderer.

The tools of the containers are replaced: each command is recorded, and puts out what the templates
of later phases name. docs/blueprints.md has the table of what came of it. This writes it anew:

    RSC_TEST_BLUEPRINTS_PAGE=docs/blueprints.md pytest -q test/unit/actionset/blueprints
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import yaml
from structlog.testing import capture_logs

from fakes import publicblueprints
from fakes.blueprintplay import Play, Played
from fakes.publicblueprints import VARIABLE, Case

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconcilers.actionset.templates.renderer import Renderer

PAGE: Final = Path("docs/blueprints.md")
WRITE: Final = "RSC_TEST_BLUEPRINTS_PAGE"
BEGIN, END = "<!-- played: begin -->\n", "<!-- played: end -->\n"

CASES: Final = publicblueprints.cases()
FILES: Final = {
    file: list(cases) for file, cases in itertools.groupby(CASES, lambda one: one.blueprint)
}
#: Shells that a command may begin with.
SHELLS: Final = ("bash", "sh")

pytestmark = pytest.mark.skipif(not CASES, reason=f"{VARIABLE} names no folder with Blueprints")


@pytest.fixture(scope="module")
def played(renderer: Renderer) -> dict[str, list[Played]]:
    """Return what came of all actions, by the file of their Blueprint."""
    with capture_logs():
        return {file: Play(renderer, blueprint(file), cases).run() for file, cases in FILES.items()}


@pytest.mark.parametrize("file", FILES)
def test_an_action_runs_to_its_end_with_all_phases_or_says_why_not(
    played: dict[str, list[Played]], file: str
) -> None:
    for one in played[file]:
        states = {phase.rpartition(" ")[2] for phase in one.phases}
        if one.state == "complete":
            assert states == {"complete"}, one
            assert len(one.phases) == len(one.case.phases)
            assert one.error == ""
        else:
            assert one.state == "failed", one
            assert one.error.startswith(f"action {one.case.action_name}, phase "), one.error


@pytest.mark.parametrize("file", FILES)
def test_what_containers_are_asked_is_rendered(played: dict[str, list[Played]], file: str) -> None:
    texts = [word for one in played[file] for command in one.asked for word in command]
    texts += [str(one.artifacts) for one in played[file] if one.state == "complete"]

    assert [text for text in texts if "{{" in text] == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize("file", FILES)
def test_a_shell_can_read_each_script(played: dict[str, list[Played]], file: str) -> None:
    for script in scripts([command for one in played[file] for command in one.asked]):
        # -n: it is read, and not run.
        done = subprocess.run(["bash", "-n", "-c", script], capture_output=True, check=False)  # noqa: S603, S607
        assert done.returncode == 0, done.stderr


def test_the_page_has_what_came_of_them(played: dict[str, list[Played]]) -> None:
    written = table([one for some in played.values() for one in some])
    page = os.environ.get(WRITE)
    if page:
        before, _, rest = Path(page).read_text().partition(BEGIN)
        Path(page).write_text(before + BEGIN + written + END + rest.partition(END)[2])

    _, begin, rest = PAGE.read_text().partition(BEGIN)
    assert begin
    assert rest.partition(END)[0] == written


def blueprint(file: str) -> dict[str, object]:
    """Return a Blueprint of the folder."""
    found: dict[str, object] = yaml.safe_load((Path(os.environ[VARIABLE]) / file).read_text())
    return found


def scripts(commands: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the scripts of commands that are for a shell."""
    return [one[-1] for one in commands if one and one[0] in SHELLS and "-c" in one]


def table(played: Sequence[Played]) -> str:
    """Return the lines of the page: how many of how many, a table of all, and why not."""
    ended = [one for one in played if one.state == "complete"]
    whole = [
        file
        for file, some in itertools.groupby(played, lambda one: one.case.blueprint)
        if all(one.state == "complete" for one in some)
    ]
    counted = f"{len(ended)} of {len(played)} actions run to their end, "
    counted += f"all actions of {len(whole)} of {len(FILES)} Blueprints."
    lines = [
        counted,
        "",
        "| Blueprint | actions that run to their end | phases | commands |",
        "|---|---|---|---|",
    ]
    for file, group in itertools.groupby(played, lambda one: one.case.blueprint):
        good = [one for one in group if one.state == "complete"]
        names = ", ".join(one.case.action_name for one in good) or "none"
        phases = sum(len(one.phases) for one in good)
        commands = sum(len(one.asked) for one in good)
        lines.append(f"| {file} | {names} | {phases} | {commands} |")
    lines += ["", "| Blueprint | action | what it says |", "|---|---|---|"]
    for one in played:
        if one.state != "complete":
            reason = one.error.partition("; there are:")[0].replace("|", "\\|")
            lines.append(f"| {one.case.blueprint} | {one.case.action_name} | {reason} |")
    return "\n".join([*lines, ""])


def test_each_action_is_played_once(played: dict[str, list[Played]]) -> None:
    found: list[Case] = [one.case for some in played.values() for one in some]

    assert sorted(case.name for case in found) == sorted(case.name for case in CASES)
