"""Reads the spec of an ActionSet.

What Kanister's operator refuses without a word, or only finds out in the middle (pkg/validate
validate.go, pkg/param param.go), is refused here, before anything runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconcilers.actionset.api import (
    OPTION_REPOSITORY_SERVER,
    Action,
    ObjectReference,
)
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.resource import Object

#: Kinds of targets that need neither apiVersion nor resource (pkg/validate validate.go).
KNOWN_KINDS: Final = frozenset(
    {"statefulset", "deployment", "deploymentconfig", "pvc", "namespace"}
)
#: A kind of Kanister's for any object, by its group, version and resource.
UNSTRUCTURED: Final = "unstructured"

REASON_INVALID: Final = "InvalidActionSet"
NO_ACTIONS: Final = "spec.actions is empty; name at least one action"
NO_NAME: Final = "spec.actions[{index}].name is empty; name an action of the Blueprint"
NO_BLUEPRINT: Final = (
    "spec.actions[{index}].blueprint is empty; name a Blueprint in the namespace of the ActionSet"
)
NO_OBJECT: Final = (
    "spec.actions[{index}].object.{field} is empty; say what the action is about, as"
    " kind, name and namespace"
)
UNKNOWN_KIND: Final = (
    "spec.actions[{index}].object.kind {kind} needs apiVersion (without the group) and resource"
    " (the plural) beside it; only {known} do without"
)
NOT_PVC: Final = (
    "spec.actions[{index}].object.kind {kind} must be written as pvc, or have apiVersion v1 and"
    " resource persistentvolumeclaims beside it"
)
NO_REFERENCE_NAME: Final = "spec.actions[{index}].{field}.name is empty; name the {what}"
BAD_SERVER_OPTION: Final = (
    "spec.actions[{index}].options.repositoryServer is not of the form namespace/name"
)


def parse(obj: Object) -> tuple[Action, ...]:
    """Return the actions of an ActionSet.

    Namespaces that are not given become that of the ActionSet, but for targets that are named by
    their resource: those may be cluster-scoped.

    Args:
        obj: The ActionSet.

    Raises:
        InvalidInput: It cannot run as it is. The message names the field and the fix.
    """
    specs = (obj.get("spec") or {}).get("actions") or []
    if not specs:
        raise InvalidInput(REASON_INVALID, NO_ACTIONS)
    namespace = obj["metadata"]["namespace"]
    return tuple(_action(index, spec or {}, namespace) for index, spec in enumerate(specs))


def reference(spec: Mapping[str, Any]) -> ObjectReference:
    """Return a reference as it is written, empty where it says nothing."""
    return ObjectReference(
        name=spec.get("name") or "",
        namespace=spec.get("namespace") or "",
        kind=spec.get("kind") or "",
        api_version=spec.get("apiVersion") or "",
        group=spec.get("group") or "",
        resource=spec.get("resource") or "",
    )


def _action(index: int, spec: Mapping[str, Any], namespace: str) -> Action:
    if not spec.get("name"):
        raise _invalid(NO_NAME, index)
    if not spec.get("blueprint"):
        raise _invalid(NO_BLUEPRINT, index)
    options = spec.get("options") or {}
    return Action(
        index=index,
        name=spec["name"],
        blueprint=spec["blueprint"],
        object=_target(index, spec.get("object") or {}, namespace),
        artifacts=spec.get("artifacts") or {},
        config_maps=_references(index, spec, "configMaps", "ConfigMap", namespace),
        secrets=_references(index, spec, "secrets", "Secret", namespace),
        profile=_optional(index, spec, "profile", "Profile", namespace),
        repository_server=(
            _optional(index, spec, "repositoryServer", "RepositoryServer", namespace)
            or _server_of_option(index, options, namespace)
        ),
        options=options,
        pod_override=spec.get("podOverride") or {},
        pod_labels=spec.get("podLabels") or {},
        pod_annotations=spec.get("podAnnotations") or {},
        preferred_version=spec.get("preferredVersion") or "",
    )


def _target(index: int, spec: Mapping[str, Any], namespace: str) -> ObjectReference:
    target = reference(spec)
    if not target.kind and not target.resource:
        raise _invalid(NO_OBJECT, index, field="kind")
    kind = target.kind.lower()
    if kind not in KNOWN_KINDS and not (target.api_version and target.resource):
        if kind == "persistentvolumeclaim":
            raise _invalid(NOT_PVC, index, kind=target.kind)
        known = ", ".join(sorted(KNOWN_KINDS))
        raise _invalid(UNKNOWN_KIND, index, kind=target.kind or UNSTRUCTURED, known=known)
    if not target.name:
        raise _invalid(NO_OBJECT, index, field="name")
    if kind == "namespace":
        return reference({**spec, "namespace": target.namespace or target.name})
    if kind in KNOWN_KINDS:
        return reference({**spec, "namespace": target.namespace or namespace})
    return target


def _references(
    index: int, spec: Mapping[str, Any], field: str, what: str, namespace: str
) -> dict[str, ObjectReference]:
    found = {}
    for alias, named in (spec.get(field) or {}).items():
        found[alias] = _named(index, named or {}, f"{field}.{alias}", what, namespace)
    return found


def _optional(
    index: int, spec: Mapping[str, Any], field: str, what: str, namespace: str
) -> ObjectReference | None:
    named = spec.get(field)
    return _named(index, named, field, what, namespace) if named else None


def _named(
    index: int, spec: Mapping[str, Any], field: str, what: str, namespace: str
) -> ObjectReference:
    if not spec.get("name"):
        raise _invalid(NO_REFERENCE_NAME, index, field=field, what=what)
    return reference({**spec, "namespace": spec.get("namespace") or namespace})


def _server_of_option(
    index: int, options: Mapping[str, str], namespace: str
) -> ObjectReference | None:
    text = options.get(OPTION_REPOSITORY_SERVER)
    if not text:
        return None
    parts = text.split("/")
    if not all(parts) or len(parts) > 2:  # noqa: PLR2004 - namespace and name
        raise _invalid(BAD_SERVER_OPTION, index)
    return ObjectReference(name=parts[-1], namespace=parts[0] if len(parts) > 1 else namespace)


def _invalid(message: str, index: int, **words: str) -> InvalidInput:
    return InvalidInput(REASON_INVALID, message.format(index=index, **words))
