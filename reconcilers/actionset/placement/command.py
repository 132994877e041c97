"""The command line by which a phase's pod runs a data function."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from reconcilers.datafunctions.arguments import arguments_of
from reconcilers.datafunctions.old import OLD_ARGUMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.datafunctions.registry import Named

PROGRAM: Final = "repository-server-functions"
#: Its command that reads what it is told from standard input.
FROM_STDIN: Final = "from-stdin"

#: Where the pod has the workload's volumes, by the paths that they have there. It is below a folder
#: that can be written to: Kopia writes beside the folder that it restores to.
ROOT: Final = "/workload"

#: Of whoever makes the pod: as whom it connects.
_OF_THE_POD: Final = frozenset({"repositoryServerUserHostname"})
#: What has no effect never is on a command line: `encryptionKey` is a password.
_LEFT_OUT: Final = _OF_THE_POD | {old.name for old in OLD_ARGUMENTS}


@frozen
class Given:
    """Arguments of a data function, as texts.

    Args:
        values: Those that the program takes, by name.
        names: Of all that were given, and are not empty or false.
    """

    values: Mapping[str, str]
    names: frozenset[str]


def given(arguments: Any) -> Given:  # noqa: ANN401 - an object of a function's class
    """Return the arguments of a data function as texts.

    Args:
        arguments: An object of the function's class.
    """
    found = {
        argument.name: getattr(arguments, field)
        for field, argument in arguments_of(type(arguments)).items()
    }
    filled = {name: value for name, value in found.items() if value}
    values = {name: _text(value) for name, value in filled.items() if name not in _LEFT_OUT}
    return Given(values, frozenset(filled))


def line(
    function: Named,
    values: Mapping[str, str],
    *,
    root: str = "",
    mounted: tuple[str, ...] = (),
) -> list[str]:
    """Return the arguments of the program.

    Args:
        function: The function.
        values: Its arguments.
        root: Below which the pod has the workload's volumes; empty if it has none.
        mounted: For a restore, the paths that volumes are mounted at.
    """
    return [
        "run",
        function.name,
        f"--function-version={function.version}",
        *([f"--root={root}"] if root else []),
        *(f"--mounted={path}" for path in mounted),
        *(f"--arg={name}={value}" for name, value in values.items()),
    ]


def literal(text: str) -> str:
    """Return a text that the kubelet hands to the container as it is: it expands `$(NAME)`."""
    return text.replace("$", "$$")


def _text(value: Any) -> str:  # noqa: ANN401 - what `arguments` decodes
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return " ".join(value)
    return json.dumps(value)
