"""Who refuses an object that the API server could have taken: a policy or a webhook. Pure."""

from __future__ import annotations

import re
from typing import Final

POLICY: Final = "policy {name}"
WEBHOOK: Final = "admission webhook {name}"

# What follows may have a value of the object. Each of them has any status: a policy that says no
# reason answers 422, as a wrong field does, and a webhook that says none 400 (apiserver
# pkg/admission/plugin/policy/validating/dispatcher.go, plugin/webhook/errors/statuserror.go).
_REFUSERS: Final = (
    (re.compile(r"ValidatingAdmissionPolicy '(?P<name>[\w.-]+)'.* denied request"), POLICY),
    (re.compile(r'admission webhook "(?P<name>[\w.-]+)" denied the request'), WEBHOOK),
)


def refuser(message: str) -> str:
    """Return who refuses, such as `policy no-root`; empty if it is none of them.

    Args:
        message: Of the API server.
    """
    for pattern, words in _REFUSERS:
        if found := pattern.search(message):
            return words.format(name=found["name"])
    return ""
