"""What can be wrong with a RepositoryServer, as the user is told of it."""

from attrs import frozen


@frozen
class Problem:
    """A fault that keeps a server from being Ready, in the user's words.

    Attributes:
        step: Type of the condition that fails, one of `status.STEPS`.
        reason: CamelCase word for the Ready condition and the event.
        message: Names the object, the key or field, and the fix; never a secret value.
    """

    step: str
    reason: str
    message: str


class InvalidInput(Exception):
    """The custom resource or one of its Secrets cannot work as it stands."""

    def __init__(self, reason: str, message: str) -> None:
        """Take the reason and message of the Problem that this becomes."""
        super().__init__(message)
        self.reason = reason
        self.message = message

    def problem(self, step: str) -> Problem:
        """Return what a status tells of it.

        Args:
            step: Type of the condition that fails by it.
        """
        return Problem(step, self.reason, self.message)


class Unsettled(Exception):
    """Something has to go before work can go on; nobody has to do anything about it."""
