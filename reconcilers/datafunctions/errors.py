"""What is refused or has failed, in words for who called."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class Refused(Exception):
    """What was asked for cannot be done as it was asked; nothing was done.

    The message names the argument or option and the fix, and never has the value of a credential.
    """


class PartlyFailed(Exception):
    """Of several pods some could be handled and some not.

    Args:
        outputs: The function's outputs, with what succeeded.
        done: Names of the pods that could be handled.
        failures: Why the others failed, by the pod's name.
    """

    def __init__(
        self, outputs: Mapping[str, str], done: Collection[str], failures: Mapping[str, Exception]
    ) -> None:
        """Keep them."""
        reasons = "; ".join(f"{pod}: {failure}" for pod, failure in failures.items())
        succeeded = f"; done for {', '.join(done)}" if done else ""
        super().__init__(f"failed for {', '.join(failures)} ({reasons}){succeeded}")
        #: The function's outputs, with what succeeded.
        self.outputs = outputs
        #: Why the others failed, by the pod's name.
        self.failures = failures
