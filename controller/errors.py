"""The errors of requests to the API server, and predicates that classify them.

There are two main kinds: no HTTP answer came (`TransportError`), or the answer is an error
(`ApiError`, with a subclass for each answer that code branches on). The predicates follow
apimachinery pkg/api/errors/errors.go and client-go tools/cache/reflector.go.

The module imports nothing of Kubernetes, so that decision modules may use it.
"""

import contextlib
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from controller.jsonvalue import decoded

#: The cause of a timeout while the server's cache is older than the version in the request.
CAUSE_RESOURCE_VERSION_TOO_LARGE: Final = "ResourceVersionTooLarge"

REASON_ALREADY_EXISTS: Final = "AlreadyExists"
REASON_EXPIRED: Final = "Expired"
REASON_GONE: Final = "Gone"
REASON_INTERNAL_ERROR: Final = "InternalError"

#: The first words of the answer to a server-side apply with an unknown field or a wrong type. It is
#: a 500 without a reason (apimachinery managedfields/internal/structuredmerge.go).
UNTYPED_PATCH: Final = "failed to create typed patch object"

#: Seconds that a server can make a client wait at most. An API server that sheds load asks for a
#: few. A proxy that asks for an hour would make a thread look as if it hung.
MAX_RETRY_AFTER: Final = 60.0

#: Part of the answer to a write if an admission webhook could not be called. It is a 500
#: (apiserver pkg/admission/plugin/webhook/errors.go).
WEBHOOK_FAILED: Final = "failed calling webhook"

#: Characters that are kept of an answer that is no Status, the error page of a proxy for example.
_MAX_MESSAGE_LENGTH: Final = 1024


class ConfigError(ValueError):
    """No usable configuration for an API server. The message says what to set."""


class ClientError(Exception):
    """A request to the API server failed."""


class TransportError(ClientError):
    """No HTTP answer, or an incomplete one: refused, reset, timed out, TLS, broken JSON.

    Whether the server acted on the request is unknown.

    Args:
        message: What failed.
        refused: True if nothing listens at the address. Then the request had no effect.
    """

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        #: True if nothing listens at the address.
        self.refused = refused


class Stopped(ClientError):
    """The request was cut by the stop. Whether the server acted on it is unknown."""


class NotLeading(ClientError):
    """The request was not sent: another process may lead."""


class ApiError(ClientError):
    """The answer of the server is an error.

    Args:
        status: The HTTP status code.
        reason: The reason of the Status object, for programs. "" if the answer has none.
        message: The message of the server.
        retry_after: Seconds that the server asks to wait. Default: None, it does not ask.
        causes: The reasons in `details.causes` of the Status object. Default: none.
        fields: The fields in them: where an object does not fit its schema. The message of such an
            answer has their values. Default: none.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        retry_after: float | None = None,
        causes: tuple[str, ...] = (),
        *,
        fields: tuple[str, ...] = (),
    ) -> None:
        super().__init__(f"{message} ({status} {reason})" if reason else f"{message} ({status})")
        #: The HTTP status code.
        self.status = status
        #: The reason of the Status object; "" if the answer has none.
        self.reason = reason
        #: The message of the server.
        self.message = message
        #: Seconds that the server asks to wait; None if it does not ask.
        self.retry_after = retry_after
        #: The reasons in `details.causes` of the Status object.
        self.causes = causes
        #: The fields in `details.causes` of the Status object.
        self.fields = fields


class BadRequest(ApiError):
    """400: the server cannot read the request."""


class Unauthorized(ApiError):
    """401: the credentials are missing, wrong or expired."""


class Forbidden(ApiError):
    """403: the credentials do not allow this."""


class NotFound(ApiError):
    """404: the object or the resource does not exist."""


class AlreadyExists(ApiError):
    """409 on a create: an object of this name exists."""


class Conflict(ApiError):
    """409: the object has changed since it was read, or a precondition does not hold."""


class Gone(ApiError):
    """410, or reason Expired or Gone: the server no longer has this resource version."""


class Invalid(ApiError):
    """422, or an apply with an unknown field: the object does not fit its schema."""


class TooManyRequests(ApiError):
    """429: the server sheds load."""


class ServerUnavailable(ApiError):
    """5xx: the server, or a proxy before it, failed."""


class WebhookFailed(ServerUnavailable):
    """500: an admission webhook does not answer, and its failure policy is Fail."""


_BY_STATUS: Final[Mapping[int, type[ApiError]]] = {
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
    status_code: object, body: bytes | Mapping[str, Any], *, retry_after: float | None = None
) -> ApiError:
    """Return the error for an answer, of the most specific type. The caller raises it.

    Args:
        status_code: The HTTP status. For an ERROR event of a watch: the `code` of its Status,
            which counts as 0 if it is no number.
        body: The body as it came, or a Status object. A body that is no Status, the page of a proxy
            for example, becomes the message.
        retry_after: Seconds of the `Retry-After` header. Default: `details.retryAfterSeconds` of
            the Status.
    """
    status = body if isinstance(body, Mapping) else _parse_status(body)
    # A proxy may write anything.
    code = status_code if isinstance(status_code, int) else 0
    details = status.get("details")
    details = details if isinstance(details, dict) else {}
    reason = str(status.get("reason") or "")
    message = str(status.get("message") or _phrase(code))
    error_type = _error_type(code, reason, message)
    if retry_after is None:
        retry_after = _seconds(details.get("retryAfterSeconds"))
    found = details.get("causes")
    causes = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return error_type(
        code,
        reason,
        message,
        retry_after,
        tuple(str(cause.get("reason", "")) for cause in causes),
        fields=tuple(str(cause["field"]) for cause in causes if cause.get("field")),
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
    """Return the Status object of a body, or one whose message is the body."""
    text = body.decode(errors="replace").strip()
    with contextlib.suppress(ValueError):
        parsed = decoded(text.encode())
        if isinstance(parsed, dict) and parsed.get("kind") == "Status":
            return parsed
    return {"message": text[:_MAX_MESSAGE_LENGTH]}


def _seconds(value: object) -> float | None:
    """Return the seconds that a Status asks to wait; None if it does not ask."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    with contextlib.suppress(OverflowError):
        seconds = float(value)
        return seconds if seconds > 0 and math.isfinite(seconds) else None
    return None


def _phrase(status_code: int) -> str:
    try:
        return HTTPStatus(status_code).phrase
    except ValueError:
        return "unknown status"


def pause_asked_for(error: ClientError) -> float:
    """Return the seconds that the server asks to wait before a retry.

    They are 0.0 if it does not ask, and `MAX_RETRY_AFTER` at most.
    """
    asked = error.retry_after if isinstance(error, ApiError) else None
    return min(asked or 0.0, MAX_RETRY_AFTER)


def is_expired(error: ClientError) -> bool:
    """Return whether a resource version is too old for a list or a watch.

    The server answers a request with HTTP 410, and an open watch with an ERROR event. The reason is
    Expired or Gone (reflector.go `isExpiredError`).
    """
    return isinstance(error, Gone)


def is_too_large_resource_version(error: ClientError) -> bool:
    """Return whether a resource version is newer than any that this server has seen.

    This happens behind a load balancer, and after etcd was restored from a backup (reflector.go
    `isTooLargeResourceVersionError`, without the form of servers before 1.18.6).
    """
    return isinstance(error, ApiError) and CAUSE_RESOURCE_VERSION_TOO_LARGE in error.causes


def is_watch_error_retriable(error: ClientError) -> bool:
    """Return whether to open the same watch again after a pause, without a list.

    The server is not up yet, or it sheds load. A list would make both worse (reflector.go
    `isWatchErrorRetriable`).
    """
    if isinstance(error, TransportError):
        return error.refused
    return isinstance(error, TooManyRequests)


def is_internal_error(error: ClientError) -> bool:
    """Return whether the server names an internal error (apimachinery `IsInternalError`)."""
    return isinstance(error, ApiError) and error.reason == REASON_INTERNAL_ERROR
