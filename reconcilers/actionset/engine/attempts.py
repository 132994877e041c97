"""Calls what may fail, and sorts the failures: for ever, for now, or passing by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from attrs import frozen

from controller.clock import DeadlineExceeded
from controller.errors import (
    AlreadyExists,
    ApiError,
    ClientError,
    Conflict,
    Forbidden,
    NotFound,
    NotLeading,
    Stopped,
    WebhookFailed,
)
from reconcilers.actionset.engine import refusals
from reconcilers.actionset.function import Failed
from reconcilers.actionset.parameters.lookup import RightMissing
from reconcilers.actionset.templates.errors import RendererUnavailable
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

T = TypeVar("T")

#: Somebody was faster, or this process ends: nothing to tell.
_SILENT: Final = (AlreadyExists, Conflict, NotLeading, Stopped)

#: The type alone: what else an exception says may be of a Secret.
PANICKED: Final = (
    "a bug in the controller, {type}, which is tried again; report the traceback in its log"
)


@frozen
class Refused:
    """What could not be done for now.

    Args:
        message: Why, for the user; empty if there is nothing to tell.
        error: To be raised, so that the queue tries again and logs it; None if `message` is all.
        away: Whether the API server is away. Nothing of the ActionSet is wrong then, so it is tried
            for as long as the phase may run. Default: False.
    """

    message: str
    error: Exception | None = None
    away: bool = False


def attempt(call: Callable[[], T]) -> T | Failed | Refused:
    """Return what a call returns, or why it could not be made."""
    try:
        return call()
    except (InvalidInput, RendererUnavailable, Forbidden, WebhookFailed) as error:
        return _of_refusal(error)
    except _SILENT as error:
        return Refused("", error)
    except (ClientError, DeadlineExceeded) as error:
        return _of_failure(error)
    except Exception as error:  # noqa: BLE001 - raised once the rest is stored
        return Refused(PANICKED.format(type=type(error).__name__), error)


def given_up(refused: Refused, since: datetime | None, now: datetime) -> Failed | None:
    """Return the failure of what has been refused for too long; None while it has not.

    An API server that is away refuses nothing.

    Args:
        refused: What was refused just now.
        since: Since when it is refused; None if this is the first time.
        now: The time.
    """
    told = refused.message and not refused.away
    if told and since is not None and refusals.is_over(since, now):
        return Failed(refusals.gave_up(refused.message))
    return None


def _of_refusal(
    error: InvalidInput | RendererUnavailable | Forbidden | WebhookFailed,
) -> Failed | Refused:
    if isinstance(error, Forbidden | WebhookFailed):
        return Refused(refusals.describe(error))
    if isinstance(error, RightMissing):
        # Somebody may give the right while the phase waits.
        return Refused(error.message)
    if isinstance(error, InvalidInput):
        return Failed(error.message)
    return Refused(str(error))


def _of_failure(error: ClientError | DeadlineExceeded) -> Failed | Refused:
    if isinstance(error, ApiError) and refusals.is_final(error):
        return Failed(refusals.describe(error))
    if isinstance(error, NotFound):
        # Who asks for what may be gone says so: this is a namespace, or a kind without its CRD.
        return Refused(refusals.NOT_FOUND, error)
    return Refused(refusals.away(error), error, away=True)
