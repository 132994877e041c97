"""What the commands `list` and `describe` print."""

from __future__ import annotations

import shlex
import textwrap
from typing import TYPE_CHECKING, Final

from reconcilers.datafunctions import units
from reconcilers.datafunctions.arguments import Need, arguments_of
from reconcilers.datafunctions.old import OLD_ARGUMENTS, Fate
from reconcilers.datafunctions.program.options import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconcilers.datafunctions.arguments import Argument
    from reconcilers.datafunctions.function import AnyFunction
    from reconcilers.datafunctions.registry import Registry
    from reconcilers.kopia.client.model import Snapshot

_WIDTH: Final = 100

_OLD: Final = {
    Fate.WARNED: "has no effect; accepted with a warning",
    Fate.REFUSED: "refused: the pod runs already",
}


def listed(functions: Registry[AnyFunction]) -> str:
    """Return a line for each function: name, version and what it does."""
    rows = [(one.name, one.version, one.summary) for one in functions]
    return _table(rows)


def snapshots(found: Iterable[Snapshot]) -> str:
    """Return a line for each snapshot: its id, when it was begun, its size and its tags."""
    rows = [
        (
            one.id,
            one.start.strftime("%Y-%m-%dT%H:%M:%SZ"),
            units.decimal(one.size),
            " ".join(f"{name}={value}" for name, value in sorted(one.tags.items())),
        )
        for one in found
    ]
    return "".join(f"{'  '.join(row)}\n" for row in rows)


def described(function: AnyFunction) -> str:
    """Return what a function takes and puts out, and an example of a command."""
    arguments = arguments_of(function.arguments).values()
    parts = [
        f"{function.name} {function.version}\n{function.summary}\n",
        "Arguments:\n" + _table([(one.name, _described(one)) for one in arguments]),
    ]
    if function.outputs:
        outputs = [(one.name, one.description) for one in function.outputs]
        parts.append("Outputs:\n" + _table(outputs))
    else:
        parts.append("It has no outputs.\n")
    parts.append(f"Example:\n  {example(function)}\n")
    return "\n".join(parts)


def example(function: AnyFunction) -> str:
    """Return a command that runs a function, as one types it."""
    arguments = [
        f"--arg {shlex.quote(f'{name}={value}')}" for name, value in function.example.items()
    ]
    return " ".join([PROGRAM, "run", function.name, *arguments])


def _described(argument: Argument) -> str:
    old = {one.name: one for one in OLD_ARGUMENTS}.get(argument.name)
    if old is not None:
        return _OLD[old.fate]
    needed = f" ({argument.need.value})" if argument.need is not Need.NEVER else ""
    default = f" (default {argument.default})" if argument.default else ""
    return f"{argument.description}{needed}{default}"


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    """Return rows in columns, the last one broken into lines that fit a terminal."""
    held = list(rows)
    widths = [max(len(row[column]) for row in held) for column in range(len(held[0]) - 1)]
    indent = " " * (2 + sum(widths) + 2 * len(widths))
    lines = []
    for row in held:
        first = "".join(f"{text:<{width}}  " for text, width in zip(row, widths, strict=False))
        lines += textwrap.wrap(
            row[-1],
            _WIDTH,
            initial_indent=f"  {first}",
            subsequent_indent=indent,
            break_on_hyphens=False,
        )
    return "\n".join(lines) + "\n"
