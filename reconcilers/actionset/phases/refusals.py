"""Why the API server refuses a pod, without a value of its fields. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from controller.errors import NotFound
from reconcilers.actionset import denials

if TYPE_CHECKING:
    from controller.errors import ApiError

NO_NAMESPACE: Final = "namespace {namespace} does not exist; correct the argument namespace"
INVALID: Final = (
    "the API server does not take the pod: {fields}; correct the arguments of the phase, or "
    "podOverride"
)
DENIED: Final = "{who} refuses the pod; change it with podOverride"
NO_FIELD: Final = "its specification is invalid"

# As k8s.io/pod-security-admission writes it, for any version of the profile.
_RESTRICTED: Final = 'violates PodSecurity "restricted:'
# A field and what is wrong with it (apimachinery pkg/util/validation/field, Error.Error). What
# follows may have its value.
_FIELD: Final = re.compile(
    r"((?:spec|metadata)[\w.\[\]/-]*): "
    r"(Invalid value|Required value|Unsupported value|Duplicate value|Forbidden|Not found|Too long"
    r"|Too many)"
)


def asks_for_restricted(error: ApiError) -> bool:
    """Return whether a namespace asks for the restricted Pod Security profile."""
    return _RESTRICTED in error.message


def explain(error: ApiError, namespace: str) -> str:
    """Return why a pod can never be created.

    Args:
        error: `Invalid` or `NotFound`.
        namespace: Of the pod.
    """
    if isinstance(error, NotFound):
        return NO_NAMESPACE.format(namespace=namespace)
    if who := denials.refuser(error.message):
        return DENIED.format(who=who)
    fields = dict.fromkeys(f"{path}: {what}" for path, what in _FIELD.findall(error.message))
    return INVALID.format(fields=", ".join(fields) or NO_FIELD)
