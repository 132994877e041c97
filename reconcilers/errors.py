"""What can be wrong with what a user has written, as it is reported to the user."""


class InvalidInput(Exception):
    """The custom resource or one of its Secrets cannot work as it stands."""

    def __init__(self, reason: str, message: str) -> None:
        """Set the reason and message of the Problem that this becomes."""
        super().__init__(message)
        self.reason = reason
        self.message = message
