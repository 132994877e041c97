"""docs/plugin.md shows what the plugin prints, the rights that it needs, and its exit codes.

`RSC_TEST_WRITE_PAGE=1` has what is printed written into the page.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from fakes import plugin
from reconcilers.plugin import advice, exits, options

if TYPE_CHECKING:
    from re import Match

PAGE = Path(__file__).parents[3] / "docs" / "plugin.md"
WRITE = "RSC_TEST_WRITE_PAGE"
BLOCK = re.compile(r"^```console\n\$ kubectl reposerver (?P<command>.*)\n[^`]*^```$", re.MULTILINE)
TEXT = PAGE.read_text()


def shown(block: Match[str]) -> str:
    """Return a block of the page with what its command prints now."""
    printed = plugin.world().run(*shlex.split(block["command"]))
    said = "".join(f"{line}\n" for line in printed.stderr.splitlines())
    return f"```console\n$ kubectl reposerver {block['command']}\n{printed.stdout}{said}```"


def test_each_command_is_shown_with_what_it_prints() -> None:
    commands = {shlex.split(block["command"])[0] for block in BLOCK.finditer(TEXT)}
    expected = BLOCK.sub(shown, TEXT)
    if os.environ.get(WRITE):
        PAGE.write_text(expected)

    assert commands == set(options.COMMANDS)
    assert expected == TEXT


def rights() -> dict[str, set[str]]:
    """Return the rights that the page says each command needs."""
    found = {}
    for commands, needed in re.findall(r"^\| (`[a-z`, ]+`) \| (.*) \|$", TEXT, re.MULTILINE):
        verbs = re.findall(r"\b(get|list|patch|create) ([a-z/]+)", needed)
        for command in re.findall(r"`(\w+)`", commands):
            found[command] = {f"{verb} {resource}" for verb, resource in verbs}
    return found


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("list", id="list"),
        pytest.param("status files", id="status"),
        pytest.param("connect files", id="connect"),
        pytest.param("logs files", id="logs"),
        pytest.param("restart files", id="restart"),
        pytest.param("backup --blueprint=postgres --pvc=a/b --server=files", id="backup"),
        pytest.param("restore --from=backup-x7k2p", id="restore"),
        pytest.param("delete --from=backup-x7k2p", id="delete"),
        pytest.param("wait backup-x7k2p", id="wait"),
    ],
)
def test_a_command_asks_for_no_more_than_the_page_says(command: str) -> None:
    world = plugin.world()

    assert world.run(*shlex.split(command)).code == exits.DONE

    asked = {f"{verb} {plural}" for verb, plural, _ in world.client.asked}
    asked |= {"get pods/log" for _ in world.logs.opened}
    assert asked == rights()[command.split(maxsplit=1)[0]]


def test_the_role_has_all_of_these_rights() -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    granted = {
        f"{verb} {resource}"
        for rule in yaml.safe_load(block)["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }

    assert granted == set().union(*rights().values())


def test_each_exit_code_and_each_state_is_told() -> None:
    codes = {value for name, value in vars(exits).items() if name.isupper()}

    assert {int(code) for code in re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)} == codes
    assert [one.value for one in advice.State if f"`{one.value}`" not in TEXT] == []
