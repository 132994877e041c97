"""What the API server refuses, in words: the missing right, the wrong field. Never a value.

The messages of the API server may quote values of an object, which come from arguments. So they
are taken apart, and only names are kept. Pure functions.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from controller.errors import ApiError, BadRequest, Forbidden, Invalid

if TYPE_CHECKING:
    from datetime import datetime

#: Seconds for which a phase is tried again while the API server refuses what it asks for. Time to
#: add a Role or to free a quota, and no more: a backup that waits for ever is no backup.
PATIENCE_SECONDS: Final = 600.0
#: Seconds between two tries.
RETRY_SECONDS: Final = 30.0

MISSING_RIGHT: Final = (
    "the engine lacks the right to {verb} {resource} in namespace {namespace}; give it the Role of"
    " manifests/application there"
)
MISSING_RIGHT_EVERYWHERE: Final = (
    "the engine lacks the right to {verb} {resource} in the whole cluster, which it should not"
    " have; name a namespaced object"
)
QUOTA: Final = "quota {quota} of the namespace is exceeded; free some of it or raise it"
POD_SECURITY: Final = (
    "the Pod Security level {level} of the namespace refuses the pod: {why}; change it with"
    " podOverride"
)
POLICY: Final = "policy {policy} refuses what the phase asks for"
REFUSED: Final = "the API server refuses what the phase asks for (403), by admission or policy"
INVALID_FIELDS: Final = "the API server calls these fields wrong: {fields}"
INVALID: Final = "the API server calls what the phase asks for invalid ({status})"
NOT_FOUND: Final = "a namespace, an object or a kind that the phase needs is not there (404)"
GIVEN_UP: Final = "{message} (tried for {minutes} minutes)"

# apiserver pkg/endpoints/handlers/responsewriters/errors.go.
_RIGHT: Final = re.compile(
    r'cannot (?P<verb>\w+) resource "(?P<resource>[\w.-]+(?:/[\w.-]+)?)" in API group "[^"]*"'
    r'(?: in the namespace "(?P<namespace>[\w.-]+)")?'
)
# apiserver pkg/admission/plugin/resourcequota; pod-security-admission admission/response.go.
_QUOTA: Final = re.compile(r"exceeded quota: (?P<quota>[\w.-]+),")
_POD_SECURITY: Final = re.compile(r'violates PodSecurity "(?P<level>[\w.:-]+)": (?P<why>.{1,400})')
_POLICY: Final = re.compile(r"ValidatingAdmissionPolicy '(?P<policy>[\w.-]+)'")
# apimachinery pkg/util/validation/field/errors.go: the path comes before the kind of the error.
_FIELD: Final = re.compile(
    r"([A-Za-z][\w.\[\]-]*): (?:Required|Invalid|Unsupported|Duplicate|Forbidden|Too long|Too many)"
)


def describe(error: ApiError) -> str:
    """Return what is refused, without a value.

    Args:
        error: A `Forbidden`, `Invalid` or `BadRequest`.
    """
    if isinstance(error, Forbidden):
        return _forbidden(error.message)
    fields = list(dict.fromkeys(_FIELD.findall(error.message)))
    if fields:
        return INVALID_FIELDS.format(fields=", ".join(fields))
    return INVALID.format(status=error.status)


def is_final(error: Exception) -> bool:
    """Return whether another try of the same request is of no use."""
    return isinstance(error, Invalid | BadRequest)


def gave_up(message: str) -> str:
    """Return the message of a phase that was refused for too long."""
    return GIVEN_UP.format(message=message, minutes=round(PATIENCE_SECONDS / 60))


def is_over(since: datetime, now: datetime) -> bool:
    """Return whether what is refused since a time has been tried for long enough."""
    return (now - since).total_seconds() >= PATIENCE_SECONDS


def _forbidden(message: str) -> str:
    if right := _RIGHT.search(message):
        words = right.groupdict()
        return (MISSING_RIGHT if words["namespace"] else MISSING_RIGHT_EVERYWHERE).format(**words)
    if quota := _QUOTA.search(message):
        return QUOTA.format(**quota.groupdict())
    if level := _POD_SECURITY.search(message):
        return POD_SECURITY.format(**level.groupdict())
    if policy := _POLICY.search(message):
        return POLICY.format(**policy.groupdict())
    return REFUSED
