"""What the API server refuses, in words: the missing right, the wrong field. Never a value.

The messages of the API server may quote values of an object, which come from arguments. So they
are taken apart, and only names are kept. Pure functions.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from controller.errors import ApiError, BadRequest, Forbidden, Invalid, WebhookFailed
from reconcilers.actionset import denials

if TYPE_CHECKING:
    from datetime import datetime

#: Seconds for which a phase is tried again while the API server refuses what it asks for. Time to
#: add a Role or to free a quota, and no more: a backup that waits for ever is no backup.
PATIENCE_SECONDS: Final = 600.0
#: Seconds before it is stored what is waited for: all pods wait for a moment, and one request may
#: fail.
QUIET_SECONDS: Final = 10.0
#: Seconds between two tries.
RETRY_SECONDS: Final = 30.0

MISSING_RIGHT: Final = (
    "the engine lacks the right to {verb} {resource} in namespace {namespace}; give it the Role of"
    " manifests/application there (in the chart: actionsets.applications)"
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
QUOTA_ASKS: Final = (
    "quota {quota} of the namespace asks for what the pod does not say; set requests and limits"
    " with podOverride"
)
LIMIT_RANGE: Final = (
    "a LimitRange of the namespace refuses the pod by its {rule}; change requests and limits with"
    " podOverride"
)
NO_ACCOUNT: Final = (
    "there is no ServiceAccount {account}, which the pod is to have; create it, or name another one"
)
NO_CLASS: Final = (
    "there is no {kind} {name}, which the pod is to have; create it, or name another one"
)
SECURITY_CONTEXT: Final = (
    "no SecurityContextConstraints lets the pod run as it asks to; let its ServiceAccount use"
    " others, or change it with podOverride"
)
TERMINATING: Final = "namespace {namespace} is being deleted, and takes nothing new"
REFUSED_BY: Final = "{who} refuses what the phase asks for"
REFUSED: Final = "the API server refuses what the phase asks for (403), by admission or policy"
WEBHOOK_AWAY: Final = (
    "admission webhook {name} does not answer, and the API server admits nothing without it; see"
    " whether the Service of the webhook has a pod that is ready"
)
UNNAMED: Final = "(see the log of the controller)"
AWAY: Final = "the API server does not answer, and is asked again"
AWAY_STATUS: Final = "the API server answers with a fault of its own ({status}), and is asked again"
INVALID_FIELDS: Final = "the API server calls these fields wrong: {fields}"
INVALID: Final = "the API server calls what the phase asks for invalid ({status})"
NOT_FOUND: Final = "a namespace, an object or a kind that the phase needs is not there (404)"
UNSTORABLE: Final = (
    "its result cannot be stored: {why}; put out less, and store what is large elsewhere"
)
TOO_LARGE: Final = "the ActionSet would be larger than the API server takes"
GIVEN_UP: Final = "{message} (tried for {minutes} minutes)"

# apiserver pkg/endpoints/handlers/responsewriters/errors.go.
_RIGHT: Final = re.compile(
    r'cannot (?P<verb>\w+) resource "(?P<resource>[\w.-]+(?:/[\w.-]+)?)" in API group "[^"]*"'
    r'(?: in the namespace "(?P<namespace>[\w.-]+)")?'
)
# What refuses pods: apiserver pkg/admission/plugin/resourcequota and namespace/lifecycle;
# pod-security-admission admission/response.go; kubernetes plugin/pkg/admission/limitranger,
# serviceaccount, priority and runtimeclass; openshift apiserver-library-go
# pkg/securitycontextconstraints/sccadmission.
_OF_PODS: Final = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"exceeded quota: (?P<quota>[\w.-]+),", QUOTA),
        (r"failed quota: (?P<quota>[\w.-]+): must specify", QUOTA_ASKS),
        (r'violates PodSecurity "(?P<level>[\w.:-]+)": (?P<why>.{1,400})', POD_SECURITY),
        (r"(?P<rule>(?:minimum|maximum) [\w./-]+ usage per \w+)", LIMIT_RANGE),
        (r"(?P<rule>[\w./-]+ max limit to request ratio per \w+)", LIMIT_RANGE),
        (r"error looking up service account (?P<account>[\w./-]+): serviceaccount", NO_ACCOUNT),
        (r"no (?P<kind>PriorityClass) with name (?P<name>[\w.-]+) was found", NO_CLASS),
        (r'(?P<kind>RuntimeClass) "?(?P<name>[\w.-]+)"? not found', NO_CLASS),
        (r"unable to validate against any security context constraint", SECURITY_CONTEXT),
        (r"new content in namespace (?P<namespace>[\w.-]+) because it is being", TERMINATING),
    )
)
# apimachinery pkg/util/validation/field/errors.go: the path comes before the kind of the error.
_FIELD: Final = re.compile(
    r"([A-Za-z][\w.\[\]-]*): (?:Required|Invalid|Unsupported|Duplicate|Forbidden|Too long|Too many)"
)
# apiserver pkg/util/webhook/error.go. What follows has the address of the webhook.
_WEBHOOK: Final = re.compile(r'failed calling webhook "(?P<name>[\w.-]+)"')
# etcd api/v3rpc/rpctypes/error.go, ErrRequestTooLarge; rpc_util.go of grpc-go, for its client.
_TOO_LARGE: Final = ("request is too large", "message larger than max")


def describe(error: ApiError) -> str:
    """Return what is refused, without a value.

    Args:
        error: A `Forbidden`, `Invalid`, `BadRequest` or `WebhookFailed`.
    """
    if isinstance(error, WebhookFailed):
        found = _WEBHOOK.search(error.message)
        return WEBHOOK_AWAY.format(name=found["name"] if found else UNNAMED)
    if who := denials.refuser(error.message):
        return REFUSED_BY.format(who=who)
    if isinstance(error, Forbidden):
        return _forbidden(error.message)
    fields = list(dict.fromkeys(_FIELD.findall(error.message)))
    if fields:
        return INVALID_FIELDS.format(fields=", ".join(fields))
    return INVALID.format(status=error.status)


def away(error: Exception) -> str:
    """Return what is told of an API server that is away, without a value.

    Args:
        error: What a client has raised.
    """
    return AWAY_STATUS.format(status=error.status) if isinstance(error, ApiError) else AWAY


def is_final(error: Exception) -> bool:
    """Return whether another try of the same request is of no use."""
    return isinstance(error, Invalid | BadRequest)


def unstorable(error: ApiError) -> str:
    """Return why the API server will never take a result; empty if it may take it later."""
    if is_final(error):
        return UNSTORABLE.format(why=describe(error))
    is_too_large = error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or any(
        words in error.message for words in _TOO_LARGE
    )
    return UNSTORABLE.format(why=TOO_LARGE) if is_too_large else ""


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
    for pattern, template in _OF_PODS:
        if found := pattern.search(message):
            return template.format(**found.groupdict())
    return REFUSED
