"""Answers of the API server become the errors that code branches on."""

import json
from typing import Any

import pytest

from controller import errors


def status(**fields: object) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", **fields}


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        pytest.param(400, "BadRequest", errors.BadRequest, id="400 is a bad request"),
        pytest.param(401, "Unauthorized", errors.Unauthorized, id="401 is unauthorized"),
        pytest.param(403, "Forbidden", errors.Forbidden, id="403 is forbidden"),
        pytest.param(404, "NotFound", errors.NotFound, id="404 is not found"),
        pytest.param(409, "AlreadyExists", errors.AlreadyExists, id="409 on create: it exists"),
        pytest.param(409, "Conflict", errors.Conflict, id="409 otherwise is a conflict"),
        pytest.param(410, "Gone", errors.Gone, id="410 is gone"),
        pytest.param(410, "Expired", errors.Gone, id="410 of newer servers says Expired"),
        pytest.param(0, "Expired", errors.Gone, id="the reason alone is enough"),
        pytest.param(0, "Gone", errors.Gone, id="so is that of older servers"),
        pytest.param(422, "Invalid", errors.Invalid, id="422 is invalid"),
        pytest.param(429, "TooManyRequests", errors.TooManyRequests, id="429 sheds load"),
        pytest.param(500, "InternalError", errors.ServerUnavailable, id="500 is the server's"),
        pytest.param(503, "", errors.ServerUnavailable, id="so is every other 5xx"),
        pytest.param(418, "", errors.ApiError, id="a status nobody branches on stays general"),
    ],
)
def test_the_status_chooses_the_class(
    code: int, reason: str, expected: type[errors.ApiError]
) -> None:
    error = errors.from_status(code, status(reason=reason, message="no"))

    assert type(error) is expected
    assert (error.status, error.reason, error.message) == (code, reason, "no")


def test_an_apply_of_a_field_that_there_is_not_is_invalid_whatever_the_code() -> None:
    message = "failed to create typed patch object (backup/a; /v1, Kind=Pod): .spec.foo: field not "

    error = errors.from_status(500, status(message=f"{message}declared in schema"))

    assert isinstance(error, errors.Invalid)


def test_a_webhook_that_does_not_answer_is_told_from_an_api_server_that_does_not() -> None:
    message = 'Internal error occurred: failed calling webhook "a.example": connection refused'

    error = errors.from_status(500, status(reason="InternalError", message=message))

    assert isinstance(error, errors.WebhookFailed)


def test_the_words_name_message_status_and_reason() -> None:
    error = errors.from_status(404, status(reason="NotFound", message='pods "a" not found'))

    assert str(error) == 'pods "a" not found (404 NotFound)'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"<h1>Bad gateway</h1>", "<h1>Bad gateway</h1>", id="a proxy's page"),
        pytest.param(b"", "Bad Gateway", id="nothing: the standard phrase"),
        pytest.param(b"[1, 2]", "[1, 2]", id="JSON that is no object"),
        pytest.param(
            b'{"message": "no", "details": "upstream"}',
            '{"message": "no", "details": "upstream"}',
            id="a gateway's own JSON, whose fields mean something else",
        ),
        pytest.param(b"\xff\xfe", "��", id="bytes that are no text"),
        pytest.param(b"x" * 5000, "x" * 1024, id="a long page is cut"),
        pytest.param(
            b'{"kind": "Status", "details": {"retryAfterSeconds": NaN}}',
            '{"kind": "Status", "details": {"retryAfterSeconds": NaN}}',
            id="a Status with a number that JSON lacks",
        ),
        pytest.param(b"[" * 5000, "[" * 1024, id="JSON that is nested too deep and does not end"),
    ],
)
def test_a_body_that_is_no_status_is_kept_as_message(body: bytes, message: str) -> None:
    error = errors.from_status(502, body)

    assert isinstance(error, errors.ServerUnavailable)
    assert error.message == message


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"details": "upstream"}, id="details that are a text"),
        pytest.param({"details": {"causes": "none"}}, id="causes that are a text"),
        pytest.param({"details": {"causes": ["none", None]}}, id="causes that are texts"),
        pytest.param({"details": {"causes": 5}}, id="a number of causes"),
        pytest.param({"details": {"retryAfterSeconds": "soon"}}, id="a pause in words"),
        pytest.param({"details": {"retryAfterSeconds": [3]}}, id="a pause in a list"),
        pytest.param({"details": {"retryAfterSeconds": -1e300}}, id="a pause before now"),
        pytest.param({"details": {"retryAfterSeconds": True}}, id="a pause that is true"),
    ],
)
def test_a_status_of_strange_contents_still_makes_an_error(changes: dict[str, Any]) -> None:
    """What a proxy writes need not fit Kubernetes' types."""
    error = errors.from_status(502, json.dumps(status(message="no", **changes)).encode())

    assert error.message == "no"
    assert (error.causes, error.fields) == ((), ())
    assert errors.pause_asked_for(error) == 0.0


def test_a_code_that_is_no_number_still_makes_an_error() -> None:
    """An ERROR event and the Status of a command have theirs in the body."""
    code: Any = "502"

    assert str(errors.from_status(code, status(message="no"))).startswith("no (0")


def test_an_unheard_of_status_code_still_makes_an_error() -> None:
    assert errors.from_status(799, b"").message == "unknown status"


@pytest.mark.parametrize(
    ("details", "header", "expected"),
    [
        pytest.param({}, None, None, id="the server does not say"),
        pytest.param({"retryAfterSeconds": 3}, None, 3.0, id="the Status says"),
        pytest.param({"retryAfterSeconds": 3}, 7.0, 7.0, id="the header wins"),
        pytest.param(None, 7.0, 7.0, id="details may be null"),
    ],
)
def test_retry_after(
    details: dict[str, Any] | None, header: float | None, expected: float | None
) -> None:
    body = json.dumps(status(details=details)).encode()

    assert errors.from_status(429, body, retry_after=header).retry_after == expected


def test_the_fields_of_an_object_that_does_not_fit_are_named() -> None:
    causes = [
        {"reason": "FieldValueInvalid", "field": "spec.replicas", "message": "Invalid value: -1"},
        {"reason": "FieldValueRequired", "field": "spec.selector", "message": "Required value"},
        {"reason": "InternalError", "message": "of no field"},
    ]

    error = errors.from_status(422, status(reason="Invalid", details={"causes": causes}))

    assert error.fields == ("spec.replicas", "spec.selector")


def too_large() -> errors.ApiError:
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return errors.from_status(504, status(reason="Timeout", details={"causes": causes}))


@pytest.mark.parametrize(
    ("error", "true_for"),
    [
        pytest.param(errors.from_status(410, b""), {"expired"}, id="410"),
        pytest.param(too_large(), {"too_large"}, id="a version from the future"),
        pytest.param(errors.from_status(504, b""), set(), id="another timeout"),
        pytest.param(errors.from_status(429, b""), {"retriable"}, id="429"),
        pytest.param(errors.TransportError("x", refused=True), {"retriable"}, id="refused"),
        pytest.param(errors.TransportError("reset"), set(), id="a connection that broke"),
        pytest.param(
            errors.from_status(500, status(reason="InternalError")), {"internal"}, id="500"
        ),
        pytest.param(errors.from_status(500, b"oops"), set(), id="500 of a proxy"),
    ],
)
def test_predicates(error: errors.ClientError, true_for: set[str]) -> None:
    predicates = {
        "expired": errors.is_expired,
        "too_large": errors.is_too_large_resource_version,
        "retriable": errors.is_watch_error_retriable,
        "internal": errors.is_internal_error,
    }

    assert {name for name, holds in predicates.items() if holds(error)} == true_for


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        pytest.param(errors.TransportError("reset"), 0.0, id="nobody answered"),
        pytest.param(errors.from_status(429, b""), 0.0, id="the server does not say"),
        pytest.param(errors.from_status(429, b"", retry_after=7.0), 7.0, id="it asks"),
        pytest.param(errors.from_status(503, b"", retry_after=3600.0), 60.0, id="for too long"),
    ],
)
def test_the_pause_that_is_asked_for(error: errors.ClientError, seconds: float) -> None:
    assert errors.pause_asked_for(error) == seconds
