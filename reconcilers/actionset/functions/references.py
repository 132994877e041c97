"""References to objects in arguments: `objectReference` of KubeOps, Wait and WaitV2."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from controller.resource import Resource
from reconcilers.actionset.functions import places
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.actionset.function import PhaseRun

REASON_INVALID: Final = "InvalidObjectReference"
NO_MAP: Final = "{argument} must be a map with apiVersion, resource, name, group and namespace"
MISSING: Final = "{argument}.{field} is missing or empty; set it"
BAD_FIELD: Final = "{argument}.{field} is not {what}; correct it"
CLUSTER_SCOPED: Final = (
    "{argument}.namespace is missing or empty: a phase acts only in the namespaces {of} and {own};"
    " set it to one of them"
)

NAMESPACES: Final = "namespaces"

# Each is a part of a request's path.
_VERSION: Final = re.compile(r"v[0-9a-z]{1,30}")
_GROUP: Final = re.compile(
    r"(?:[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*)?"
)
_RESOURCE: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")


@frozen
class Reference:
    """An object.

    Args:
        api: What it is one of. Its kind is not known.
        name: Its name.
        namespace: Its namespace; empty for a cluster-scoped one.
    """

    api: Resource
    name: str
    namespace: str

    def output(self, name: str = "") -> dict[str, str]:
        """Return it as an output, with all fields of Kanister's ObjectReference.

        Args:
            name: Its name, if that was made by the API server. Default: the one it has.
        """
        return {
            "apiVersion": self.api.version,
            "group": self.api.group,
            "resource": self.api.plural,
            "kind": "",
            "name": name or self.name,
            "namespace": self.namespace,
        }


def read(
    run: PhaseRun,
    tree: Any,  # noqa: ANN401 - any JSON value
    *,
    argument: str,
    namespace: str = "",
) -> Reference:
    """Return the object that an argument refers to, where a phase may act on it.

    Kanister's `apiVersion` is a version alone, with the group beside it (pkg/apis/cr/v1alpha1
    types.go, ObjectReference). `group/version` is understood as well.

    Args:
        run: The phase.
        tree: What was given.
        argument: What it is called, for messages.
        namespace: Where the object is if the reference does not say so. Default: nowhere.

    Raises:
        InvalidInput: It refers to nothing, or to an object that is somewhere else.
    """
    if not isinstance(tree, dict):
        raise InvalidInput(REASON_INVALID, NO_MAP.format(argument=argument))
    group, _, version = _field(tree, "apiVersion", argument).rpartition("/")
    group = _field(tree, "group", argument, optional=True) or group
    plural = _field(tree, "resource", argument)
    name = _field(tree, "name", argument)
    for field, pattern, value, what in (
        ("apiVersion", _VERSION, version, "a version such as v1, with the group beside it"),
        ("group", _GROUP, group, "an API group"),
        ("resource", _RESOURCE, plural, "the plural of a resource in lower case, such as pods"),
    ):
        if not pattern.fullmatch(value):
            message = BAD_FIELD.format(argument=argument, field=field, what=what)
            raise InvalidInput(REASON_INVALID, message)
    places.check_name(name, argument=f"{argument}.name")
    if plural == NAMESPACES and not group:
        places.check_namespace(run, name, argument=f"{argument}.name")
        return Reference(Resource(group, version, plural, "", namespaced=False), name, "")
    where = _field(tree, "namespace", argument, optional=True) or namespace
    if not where:
        message = CLUSTER_SCOPED.format(
            argument=argument, of=places.of_object(run), own=run.request.namespace
        )
        raise InvalidInput(REASON_INVALID, message)
    places.check_namespace(run, where, argument=f"{argument}.namespace")
    return Reference(Resource(group, version, plural, ""), name, where)


def _field(tree: Mapping[str, Any], field: str, argument: str, *, optional: bool = False) -> str:
    value = tree.get(field)
    if value is None or value == "":
        if optional:
            return ""
        raise InvalidInput(REASON_INVALID, MISSING.format(argument=argument, field=field))
    if not isinstance(value, str):
        message = BAD_FIELD.format(argument=argument, field=field, what="a text")
        raise InvalidInput(REASON_INVALID, message)
    return value
