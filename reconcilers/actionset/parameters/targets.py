"""What an action is about: which resource of the API its object is. Pure functions."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Final

from attrs import frozen

from controller.resource import Resource
from reconcilers import resources
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.actionset.api import Action, ObjectReference

DEPLOYMENT_CONFIGS: Final = Resource(
    "apps.openshift.io", "v1", "deploymentconfigs", "DeploymentConfig"
)

REASON_OBJECT: Final = "ObjectInvalid"
NOT_A_NAME: Final = (
    "{field}.{part} is {value!r}, which the API cannot have; write {expected}, such as {example}"
)
BY_KIND: Final = (
    "{field}.resource is namespaces; write {field}.kind namespace alone, for which an action acts "
    "in that namespace"
)
OTHER_NAMESPACE: Final = (
    "{field} names Namespace {name} and the namespace {namespace}; give both the same value"
)


class Known(Enum):
    """What is known of a kind of object: the key of the document that it fills."""

    STATEFUL_SET = "StatefulSet"
    DEPLOYMENT = "Deployment"
    DEPLOYMENT_CONFIG = "DeploymentConfig"
    CLAIM = "PVC"
    NAMESPACE = "Namespace"
    #: Nothing but the object itself.
    OTHER = ""


# They become parts of a path. What else stood in one could lead to another namespace.
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_GROUP: Final = re.compile(rf"({_LABEL.pattern}(\.{_LABEL.pattern})*)?")

# The words are Kanister's (pkg/param/param.go); it compares them in any letters.
_KINDS: Final[Mapping[str, tuple[Known, Resource]]] = {
    "statefulset": (Known.STATEFUL_SET, resources.STATEFUL_SETS),
    "deployment": (Known.DEPLOYMENT, resources.DEPLOYMENTS),
    "deploymentconfig": (Known.DEPLOYMENT_CONFIG, DEPLOYMENT_CONFIGS),
    "pvc": (Known.CLAIM, resources.PERSISTENT_VOLUME_CLAIMS),
    "namespace": (Known.NAMESPACE, resources.NAMESPACES),
}


@frozen
class Target:
    """The object of an action.

    Args:
        known: What is known of its kind.
        resource: What the API has it under.
        namespace: The namespace that the action is about: that of the object; of a Namespace its
            own name; for other objects without a namespace that of the ActionSet.
        name: Its name.
        field: The field that names it, for messages.
    """

    known: Known
    resource: Resource
    namespace: str
    name: str
    field: str

    @property
    def is_secret(self) -> bool:
        """Whether it is a Secret, which must not be stored anywhere else."""
        core = self.resource.group == resources.SECRETS.group
        return core and self.resource.plural == resources.SECRETS.plural


def target_of(action: Action, namespace: str) -> Target:
    """Return the object of an action.

    Args:
        action: The action, as `parse` returns it.
        namespace: Of the ActionSet.

    Raises:
        InvalidInput: What says where the API has it cannot be that, or a Namespace is named by two
            names.
    """
    obj = action.object
    field = f"spec.actions[{action.index}].object"
    known, resource = _KINDS.get(obj.kind.lower(), (Known.OTHER, None))
    # Kanister fetches a Namespace by its name and calls its namespace `.Namespace.Name`.
    if known is Known.NAMESPACE and obj.name != obj.namespace:
        message = OTHER_NAMESPACE.format(field=field, name=obj.name, namespace=obj.namespace)
        raise InvalidInput(REASON_OBJECT, message)
    if resource is None:
        resource = _resource(obj, field)
    return Target(known, resource, obj.namespace or namespace, obj.name, field)


def _resource(obj: ObjectReference, field: str) -> Resource:
    """Return where the API has an object of a kind that is not known."""
    for part, value, pattern, expected, example in (
        ("group", obj.group, _GROUP, "the group alone", "apps"),
        ("apiVersion", obj.api_version, _LABEL, "the version without its group", "v1"),
        ("resource", obj.resource, _LABEL, "the plural in small letters", "statefulsets"),
    ):
        if not pattern.fullmatch(value):
            message = NOT_A_NAME.format(
                field=field, part=part, value=value, expected=expected, example=example
            )
            raise InvalidInput(REASON_OBJECT, message)
    # It would be about one namespace and act in another one.
    if (obj.group, obj.resource) == (resources.NAMESPACES.group, resources.NAMESPACES.plural):
        raise InvalidInput(REASON_OBJECT, BY_KIND.format(field=field))
    kind = obj.kind or obj.resource
    return Resource(obj.group, obj.api_version, obj.resource, kind, namespaced=bool(obj.namespace))
