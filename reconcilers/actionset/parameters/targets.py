"""What an action is about: which resource of the API its object is. Pure functions."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from attrs import frozen

from controller.resource import Resource
from reconcilers import resources
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.actionset.api import Action

DEPLOYMENT_CONFIGS: Final = Resource(
    "apps.openshift.io", "v1", "deploymentconfigs", "DeploymentConfig"
)

REASON_OBJECT: Final = "ObjectInvalid"
NO_NAME: Final = "{field} has no name; say which object the action {action} is about"
UNKNOWN_KIND: Final = (
    "{field}.kind is {kind!r}, which needs {field}.apiVersion and {field}.resource beside it; "
    "kinds that need neither: {known}"
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
        namespace: The namespace that the action is about; for a Namespace its own name.
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
        action: The action.
        namespace: Of the ActionSet, for an object that names none.

    Raises:
        InvalidInput: It has no name, or its kind is not known and nothing says where the API has
            it.
    """
    obj = action.object
    field = f"spec.actions[{action.index}].object"
    known, resource = _KINDS.get(obj.kind.lower(), (Known.OTHER, None))
    if known is Known.NAMESPACE:
        return _namespace(action, field)
    if not obj.name:
        raise InvalidInput(REASON_OBJECT, NO_NAME.format(field=field, action=action.name))
    if resource is None and obj.api_version and obj.resource:
        resource = Resource(obj.group, obj.api_version, obj.resource, obj.kind or obj.resource)
    if resource is None:
        message = UNKNOWN_KIND.format(field=field, kind=obj.kind, known=", ".join(_KINDS))
        raise InvalidInput(REASON_OBJECT, message)
    return Target(known, resource, obj.namespace or namespace, obj.name, field)


def _namespace(action: Action, field: str) -> Target:
    """Return a Namespace, whose own name the reference may have as its name or its namespace."""
    obj = action.object
    name = obj.namespace or obj.name
    if not name:
        raise InvalidInput(REASON_OBJECT, NO_NAME.format(field=field, action=action.name))
    # Kanister fetches the one and calls the other `.Namespace.Name`. An action acts in one.
    if obj.name not in ("", name):
        message = OTHER_NAMESPACE.format(field=field, name=obj.name, namespace=obj.namespace)
        raise InvalidInput(REASON_OBJECT, message)
    return Target(Known.NAMESPACE, resources.NAMESPACES, name, name, field)
