"""Where a phase may act, and which names may stand in the path of a request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from reconcilers.actionset.function import PhaseRun

REASON_ELSEWHERE: Final = "NamespaceNotAllowed"
REASON_BAD_NAME: Final = "InvalidName"

ELSEWHERE: Final = (
    "{argument} is {namespace}: a phase acts only in the namespace of the action's object, {of},"
    " and in that of the ActionSet, {own}; use one of them"
)
BAD_NAMESPACE: Final = (
    "{argument} is no name of a namespace; use that of the action's object, {of}, or that of the"
    " ActionSet, {own}"
)
BAD_NAME: Final = "{argument} is no name that an object can have; check what its template renders"

# A DNS label.
_NAMESPACE: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
# The rule of apimachinery pkg/api/validation/path/name.go. A name is a part of a path: `..` would
# be another path, and none at all the whole collection.
_NAME: Final = re.compile(r"[^/%\s]{1,253}")
_NO_NAMES: Final = frozenset({".", ".."})


def of_object(run: PhaseRun) -> str:
    """Return the namespace of an action's object."""
    return run.action.object.namespace or run.request.namespace


def check_namespace(run: PhaseRun, namespace: str, *, argument: str) -> None:
    """Refuse a namespace in which a phase may not act.

    Args:
        run: The phase.
        namespace: Where it would act.
        argument: Who says so, for the message.

    Raises:
        InvalidInput: It is another one.
    """
    of, own = of_object(run), run.request.namespace
    if namespace in (of, own):
        return
    template = ELSEWHERE if _NAMESPACE.fullmatch(namespace) else BAD_NAMESPACE
    message = template.format(argument=argument, namespace=namespace, of=of, own=own)
    raise InvalidInput(REASON_ELSEWHERE, message)


def check_name(name: str, *, argument: str) -> None:
    """Refuse what is no name of an object.

    Args:
        name: The name.
        argument: Who says so, for the message.

    Raises:
        InvalidInput: It is none.
    """
    if not _NAME.fullmatch(name) or name in _NO_NAMES:
        raise InvalidInput(REASON_BAD_NAME, BAD_NAME.format(argument=argument))
