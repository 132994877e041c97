"""Exit codes of the plugin, and the error that ends it with one of them."""

from __future__ import annotations

from typing import Final

#: Done.
DONE: Final = 0
#: It could not be done: something is missing, may not be read or does not answer.
FAILED: Final = 1
#: Wrong usage: an option or an argument that cannot be as it was given.
USAGE: Final = 2
#: Done, and the news is bad: clients cannot connect to the server, or the ActionSet has failed.
BAD_NEWS: Final = 3
#: The ActionSet has not ended in time.
NOT_IN_TIME: Final = 4
#: Interrupted at the keyboard, as shells have it: 128 and the number of the signal.
INTERRUPTED: Final = 130


class PluginError(Exception):
    """What ends the plugin, in one sentence with the fix.

    Args:
        message: The sentence.
        code: The exit code. Default: `FAILED`.
    """

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        #: The exit code.
        self.code = code
