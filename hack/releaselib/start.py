"""Starts `hack/release` with the libraries that it needs.

Runs on the Python standard library alone: it makes the environment that has the libraries.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from clusterlib import exits, paths
from testlib.environment import Environment, variables

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Run `hack/release` in the environment of `hack/test`, which is made if it is not there.

    Returns:
        The exit code, for an error of the environment; else another program has taken over.
    """
    return exits.code_of(lambda: _start(arguments))


def _start(arguments: Sequence[str]) -> int:
    environment = Environment()
    environment.make()
    python = environment.program("python")
    command = [python, "-m", "releaselib.cli", *arguments]
    told = variables(os.environ, environment)
    sys.stdout.flush()
    os.chdir(paths.CHECKOUT)
    os.execve(python, command, told)  # noqa: S606 - a program of our own environment
