"""What the plugin writes to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, BinaryIO, Final, TextIO

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

PROGRAM: Final = "kubectl-reposerver"


@frozen
class Streams:
    """What the plugin writes to.

    Args:
        stdout: Standard output.
        stderr: Standard error: what is said beside.
    """

    stdout: BinaryIO
    stderr: TextIO

    def put_out(self, lines: Iterable[str]) -> None:
        """Print lines."""
        self.stdout.write("".join(f"{line}\n" for line in lines).encode())
        self.stdout.flush()

    def put_out_json(self, document: Any) -> None:  # noqa: ANN401 - any JSON
        """Print a document."""
        self.put_out([json.dumps(document, indent=2)])

    def say(self, sentence: str) -> None:
        """Print a sentence beside, on one line."""
        self.stderr.write(f"{PROGRAM}: {' '.join(sentence.split())}\n")
        self.stderr.flush()
