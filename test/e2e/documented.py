"""The commands and the programs that the documentation gives to its readers."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Whose kubectl commands the tests run, but for those that take the controller away.
# Those of a line share a server, in this order: the last one deletes what belongs to it.
PAGES = (
    (
        "docs/operations.md",
        "docs/installation.md",
        "docs/maintenance.md",
        "docs/disaster-recovery.md",
    ),
    ("docs/migration.md",),
    ("docs/decisions/users-by-htpasswd.md",),
)
REMOVAL = "kubectl delete -k "

_COMMAND = re.compile(r"^ {4,}(kubectl .*)$", re.MULTILINE)
# What follows is for the reader's shell.
_END = re.compile(r"\s+(?:#|> ).*$")


def commands_of(page: str) -> list[str]:
    """Return the kubectl commands of a page, without comments and redirections.

    Args:
        page: Its path in the checkout.
    """
    return [_END.sub("", line) for line in _COMMAND.findall((ROOT / page).read_text())]


def code_blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a page that are in a language, in their order.

    Args:
        page: Its path in the checkout.
        language: The word that follows the fence.
    """
    fenced = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return fenced.findall((ROOT / page).read_text())


def as_typed(command: str, words: dict[str, str]) -> list[str]:
    """Return a command's arguments, as a reader would have them.

    Args:
        command: One of `commands_of`.
        words: What stands for the placeholders of the documentation.
    """
    for placeholder, word in words.items():
        command = re.sub(rf"(?<!\w){placeholder}\b", word, command)
    return shlex.split(command)[1:]
