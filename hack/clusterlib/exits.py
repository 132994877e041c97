"""How a command ends: its exit code, and what it prints of an error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


def code_of(run: Callable[[], int]) -> int:
    """Run a command, and print the error that it ends with.

    Returns:
        The exit code: what the command returns; 1 for an error that its user can act on; 130 after
        an interruption.
    """
    try:
        return run()
    except ClusterError as error:
        print(error.report(), file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
