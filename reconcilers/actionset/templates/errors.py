"""Why a template could not be rendered."""

from __future__ import annotations

from typing import Final

from reconcilers.errors import InvalidInput

TEMPLATE_FAILED: Final = "TemplateFailed"


class TemplateError(InvalidInput):
    """A template cannot be rendered, or a condition cannot be evaluated.

    The message names the place of the template, and has no value of a parameter.
    """

    def __init__(self, message: str, *, permanent: bool = True) -> None:
        """Set the message.

        Args:
            message: The place, the reason and the fix.
            permanent: False if it may work with another state of the object that is waited for.
        """
        super().__init__(TEMPLATE_FAILED, message)
        #: False if it may work with another state of the object that is waited for.
        self.permanent = permanent


class RendererUnavailable(Exception):
    """The program that renders is missing, does not start, or is being shut down."""


class NoAnswer(Exception):
    """A renderer was asked and has not answered.

    The message says why, and has no value of a parameter.
    """

    def __init__(self, message: str, *, limit: bool) -> None:
        """Set the message.

        Args:
            message: Why.
            limit: True for a limit: another renderer would reach it as well.
        """
        super().__init__(message)
        #: True for a limit.
        self.limit = limit
