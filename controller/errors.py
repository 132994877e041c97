"""What can go wrong when talking to the API server, and how to tell it apart.

Two kinds: no HTTP answer came (`TransportError`), or one came and says no
(`ApiError`, with one subclass for each answer that code branches on). The predicates at the
end follow k8s.io/apimachinery `pkg/api/errors` and client-go `tools/cache/reflector.go`. The
module imports nothing of Kubernetes, so that decision code may name its errors.
"""

import contextlib
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

#: Cause of a timeout: the server's cache is older than the version asked for.
CAUSE_RESOURCE_VERSION_TOO_LARGE = "ResourceVersionTooLarge"

REASON_ALREADY_EXISTS = "AlreadyExists"
REASON_EXPIRED = "Expired"
REASON_GONE = "Gone"
REASON_INTERNAL_ERROR = "InternalError"

#: Begins the answer, a 500 without a reason, to a server-side apply of a field that there is not or
#: that has the wrong type (managedfields/internal/structuredmerge.go in k8s.io/apimachinery).
UNTYPED_PATCH = "failed to create typed patch object"

#: Seconds that a server can make a client wait. It asks for one or a few where it sheds load; a
#: proxy's hour would look like a thread that hangs.
MAX_RETRY_AFTER = 60.0

#: In the answer, a 500, to a write that an admission webhook could not be asked about
#: (k8s.io/apiserver pkg/admission/plugin/webhook/errors.go).
WEBHOOK_FAILED = "failed calling webhook"

#: Characters kept of an answer that is no Status: a proxy's error page can be long.
_MAX_MESSAGE_LENGTH = 1024


class ConfigError(ValueError):
    """No usable configuration to reach an API server; the message says what to set."""


class ClientError(Exception):
    """A request to the API server failed."""


class TransportError(ClientError):
    """No HTTP answer, or one cut short: refused, reset, timed out, TLS, broken JSON.

    Whether the server acted on the request is unknown.

    Attributes:
        refused: True if nothing listens at the address, so that the request certainly had no
            effect.
    """

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class Stopped(ClientError):
    """Cut off, since the process ends. Whether the server acted on the request is unknown."""


class NotLeading(ClientError):
    """Not sent, since another process may be at work in this one's place."""


class ApiError(ClientError):
    """The server's answer was an error.

    Attributes:
        status: the HTTP status code.
        reason: the machine-readable reason of the Status object, "" if the answer was none.
        message: the server's words.
        retry_after: seconds the server asks to wait, None if it does not say.
        causes: the reasons in `details.causes` of the Status object.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        retry_after: float | None = None,
        causes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(f"{message} ({status} {reason})" if reason else f"{message} ({status})")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.causes = causes


class BadRequest(ApiError):
    """400: the request makes no sense to the server."""


class Unauthorized(ApiError):
    """401: the credentials are missing, wrong or expired."""


class Forbidden(ApiError):
    """403: the credentials do not allow this."""


class NotFound(ApiError):
    """404: no such object, or no such resource."""


class AlreadyExists(ApiError):
    """409 on a create: an object of that name exists."""


class Conflict(ApiError):
    """409: the object changed in between, or a precondition does not hold."""


class Gone(ApiError):
    """410, or reason Expired or Gone: the resource version asked for is no longer kept."""


class Invalid(ApiError):
    """422, or an apply of a field that there is not: the object breaks a rule of its schema."""


class TooManyRequests(ApiError):
    """429: the server sheds load."""


class ServerUnavailable(ApiError):
    """5xx: the server, or what stands before it, failed."""


class WebhookFailed(ServerUnavailable):
    """500: an admission webhook that must be asked does not answer."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    HTTPStatus.BAD_REQUEST: BadRequest,
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.FORBIDDEN: Forbidden,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.GONE: Gone,
    HTTPStatus.UNPROCESSABLE_ENTITY: Invalid,
    HTTPStatus.TOO_MANY_REQUESTS: TooManyRequests,
}


def from_status(
    status_code: int, body: bytes | Mapping[str, Any], *, retry_after: float | None = None
) -> ApiError:
    """Make the error that stands for an answer.

    Args:
        status_code: the HTTP status; for an ERROR event of a watch, the `code` in its Status.
        body: the body as it came, or a Status object. A body that is no Status (a proxy's page)
            becomes the message.
        retry_after: seconds of the `Retry-After` header; `details.retryAfterSeconds` of the
            Status counts where the header is missing.

    Returns:
        The most specific error, to be raised by the caller.
    """
    status = body if isinstance(body, Mapping) else _parse_status(body)
    details = status.get("details") or {}
    reason = str(status.get("reason") or "")
    message = str(status.get("message") or _phrase(status_code))
    error_type = _error_type(status_code, reason, message)
    if retry_after is None and details.get("retryAfterSeconds"):
        retry_after = float(details["retryAfterSeconds"])
    return error_type(
        status_code,
        reason,
        message,
        retry_after,
        tuple(str(cause.get("reason", "")) for cause in details.get("causes") or ()),
    )


def _error_type(status_code: int, reason: str, message: str) -> type[ApiError]:
    if reason == REASON_ALREADY_EXISTS:
        return AlreadyExists
    if reason in (REASON_EXPIRED, REASON_GONE):
        return Gone
    if message.startswith(UNTYPED_PATCH):
        return Invalid
    if status_code == HTTPStatus.INTERNAL_SERVER_ERROR and WEBHOOK_FAILED in message:
        return WebhookFailed
    if status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerUnavailable
    return _BY_STATUS.get(status_code, ApiError)


def _parse_status(body: bytes) -> Mapping[str, Any]:
    """Read a Status object, or make one of a body that is something else."""
    text = body.decode(errors="replace").strip()
    with contextlib.suppress(ValueError):
        parsed = json.loads(text)
        if isinstance(parsed, dict) and parsed.get("kind") == "Status":
            return parsed
    return {"message": text[:_MAX_MESSAGE_LENGTH]}


def _phrase(status_code: int) -> str:
    try:
        return HTTPStatus(status_code).phrase
    except ValueError:
        return "unknown status"


def pause_asked_for(error: ClientError) -> float:
    """Return the seconds that the server asks to wait before a retry: 0.0 if none, 60.0 at most."""
    asked = error.retry_after if isinstance(error, ApiError) else None
    return min(asked or 0.0, MAX_RETRY_AFTER)


def is_expired(error: ClientError) -> bool:
    """Tell whether the resource version is too old to list or watch from.

    Servers answer with HTTP 410 on a request and with an ERROR event on an open watch, with reason
    Expired or Gone (reflector.go `isExpiredError`).
    """
    return isinstance(error, Gone)


def is_too_large_resource_version(error: ClientError) -> bool:
    """Tell whether the resource version is newer than what this server has seen.

    Happens behind a load balancer, and after etcd was restored from a backup (reflector.go
    `isTooLargeResourceVersionError`; the form of servers before 1.18.6 is left out).
    """
    return isinstance(error, ApiError) and CAUSE_RESOURCE_VERSION_TOO_LARGE in error.causes


def is_watch_error_retriable(error: ClientError) -> bool:
    """Tell whether to open the same watch again after a pause, without a new list.

    Either the server is not up yet or it sheds load; a list would make both worse (reflector.go
    `isWatchErrorRetriable`).
    """
    if isinstance(error, TransportError):
        return error.refused
    return isinstance(error, TooManyRequests)


def is_internal_error(error: ClientError) -> bool:
    """Tell whether the server itself names an internal error (apimachinery `IsInternalError`)."""
    return isinstance(error, ApiError) and error.reason == REASON_INTERNAL_ERROR
