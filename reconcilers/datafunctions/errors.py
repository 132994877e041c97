"""What is refused or has failed before Kopia is asked, in words for who called."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Refused(Exception):
    """What was asked for cannot be done as it was asked; nothing was done.

    The message names the argument or option and the fix, and never has the value of a credential.
    """


class PartlyFailed(Exception):
    """Of several pods' data some could be handled and some not.

    Args:
        outputs: The function's outputs, with what succeeded.
        failures: Why the others failed, by the pod's name.
    """

    def __init__(self, outputs: Mapping[str, str], failures: Mapping[str, BaseException]) -> None:
        """Keep both."""
        reasons = "; ".join(f"{pod}: {failure}" for pod, failure in sorted(failures.items()))
        super().__init__(f"failed for {len(failures)} of the pods: {reasons}")
        self.outputs = outputs
        self.failures = failures
