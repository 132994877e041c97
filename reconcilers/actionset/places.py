"""Where a phase may act, and which names may stand in the path of a request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from reconcilers.actionset.api import ObjectReference
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from controller.resource import Object
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

_KIND_NAMESPACE: Final = "namespace"
_OF_REFERENCE: Final = ("kind", "name", "namespace")

# A DNS label.
_NAMESPACE: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
# The rule of apimachinery pkg/api/validation/path/name.go. A name is a part of a path: `..` would
# be another path, and none at all the whole collection.
_NAME: Final = re.compile(r"[^/%\s]{1,253}")
_NO_NAMES: Final = frozenset({".", ".."})


def of_object(run: PhaseRun) -> str:
    """Return the namespace of an action's object; of a namespace, itself."""
    return _of_reference(run.action.object, run.request.namespace)


def namespaces_of(run: PhaseRun) -> tuple[str, ...]:
    """Return the namespaces in which a phase may act, the ActionSet's first."""
    return tuple(dict.fromkeys((run.request.namespace, of_object(run))))


def namespaces_of_all(action_set: Object) -> set[str]:
    """Return the namespaces in which phases of an ActionSet may have acted, by its status.

    That may be written by anybody: what is no name is left out.
    """
    own = action_set["metadata"]["namespace"]
    actions = (action_set.get("status") or {}).get("actions") or ()
    found = {own}
    for one in actions:
        target = one.get("object") or {}
        named = {name: target.get(name) or "" for name in _OF_REFERENCE}
        found.add(_of_reference(ObjectReference(**named), own))
    return {one for one in found if _NAMESPACE.fullmatch(one)}


def check_namespace(run: PhaseRun, namespace: str, *, argument: str) -> None:
    """Refuse a namespace in which a phase may not act.

    Args:
        run: The phase.
        namespace: Where it would act.
        argument: Who says so, for the message.

    Raises:
        InvalidInput: It is another one.
    """
    if namespace in namespaces_of(run):
        return
    of, own = of_object(run), run.request.namespace
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


def _of_reference(target: ObjectReference, own: str) -> str:
    if target.kind.lower() == _KIND_NAMESPACE:
        return target.name
    return target.namespace or own
