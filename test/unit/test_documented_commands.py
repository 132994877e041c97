"""Each command of the documentation is run by a test, or stands in the list of the others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from e2e import documented
from e2e.documented import NOT_RUN, RUN_BY, TUTORIAL

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    str(page.relative_to(ROOT))
    for pattern in ("*.md", "docs/**/*.md", "manifests/**/*.md", "charts/**/*.md")
    for page in ROOT.glob(pattern)
)
RUN = {
    command
    for page in PAGES
    for command in documented.all_commands_of(page)
    if any(page == of and command.startswith(begin) for of, begin in RUN_BY)
}


@pytest.mark.parametrize("page", PAGES)
def test_a_command_is_run_or_listed(page: str) -> None:
    commands = documented.all_commands_of(page)

    assert [one for one in commands if one not in RUN and one not in NOT_RUN] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_command_in_a_sentence_is_the_beginning_of_one_that_is_run_or_listed(page: str) -> None:
    """Such a command says what to type, too. A longer one is better in a block."""
    known = RUN | NOT_RUN.keys()

    named = documented.named_in(page)
    assert [one for one in named if not any(other.startswith(one) for other in known)] == []


def test_a_command_that_is_listed_stands_on_a_page() -> None:
    there = {
        command
        for page in PAGES
        for command in [*documented.all_commands_of(page), *documented.named_in(page)]
    }

    assert NOT_RUN.keys() - there == set()


@pytest.mark.parametrize("command", NOT_RUN)
def test_a_test_that_does_it_otherwise_is_there(command: str) -> None:
    tests = {path.name for path in (ROOT / "test").rglob("*.py")}

    assert set(re.findall(r"\w+\.py", NOT_RUN[command])) <= tests


@pytest.mark.parametrize(("page", "begin"), RUN_BY)
def test_a_page_has_commands_for_its_test(page: str, begin: str) -> None:
    commands = [one for one in documented.all_commands_of(page) if one.startswith(begin)]

    assert commands
    assert (ROOT / RUN_BY[page, begin]).is_file()


def test_the_first_screen_of_the_readme_is_the_beginning_of_the_tutorial() -> None:
    tutorial = dict.fromkeys(documented.all_commands_of(TUTORIAL))

    first = documented.all_commands_of("README.md")[:6]
    assert [command for command in tutorial if command in first] == first


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("    kubectl get pods   # all\n", ["kubectl get pods"], id="a comment goes"),
        pytest.param(
            "    kubectl get pods > pods\n", ["kubectl get pods"], id="so does a redirection"
        ),
        pytest.param(
            "    kubectl exec pod -- sh -c 'echo > a'\n",
            ["kubectl exec pod -- sh -c 'echo > a'"],
            id="but not one within quotes",
        ),
        pytest.param(
            "    helm install a \\\n      b\n", ["helm install a b"], id="lines that go on are one"
        ),
        pytest.param(
            "```console\n$ kubectl get pods\npod-0\n```\n",
            ["kubectl get pods"],
            id="of a session on a terminal the prompt goes",
        ),
        pytest.param("```yaml\nkubectl: get\n```\n", [], id="a block in another language has none"),
        pytest.param("    Status:\n      Ready\n", [], id="what a command prints is none"),
        pytest.param("kubectl get pods\n", [], id="a sentence is none"),
        pytest.param(
            "    PASSWORD=x hack/test unit\n",
            ["PASSWORD=x hack/test unit"],
            id="a variable may stand before it",
        ),
    ],
)
def test_the_commands_of_a_page(text: str, found: list[str], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)

    assert documented.all_commands_of(str(page)) == found
