"""Asks the API server for what an action names, by name, and says plainly what is in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from attrs import define, field, frozen

from controller.cache.trim import default_trim
from controller.errors import Forbidden, NotFound
from reconcilers import resources
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from controller.clock import Deadline
    from controller.resource import Object, Resource
    from reconcilers.secrets.data import SecretRef

REASON_MISSING: Final = "ObjectMissing"
MISSING: Final = "there is no {kind} {which}, which {field} names; correct {field}"
REASON_NO_RESOURCE: Final = "ResourceUnknown"
NO_RESOURCE: Final = (
    "the API server has no {resource} at version {version}, which {field} names; correct {field}"
)
NOT_OF_CLUSTER: Final = (
    "the API server has no {resource} at version {version} outside namespaces, which {field} names "
    "without a namespace; set {field}.namespace, or correct {field}"
)
REASON_RIGHT: Final = "RightMissing"
RIGHT_MISSING: Final = (
    "the controller may not {verb} {resource} in namespace {namespace}, which {field} needs; allow "
    "it in a Role there, such as that of manifests/application (in the chart: "
    "actionsets.applications)"
)
RIGHT_MISSING_IN_CLUSTER: Final = (
    "the controller may not {verb} {resource} outside namespaces, which {field} needs; name an "
    "object of a namespace, or allow it in a ClusterRole"
)
REASON_FOREIGN: Final = "ReferenceInOtherNamespace"
FOREIGN: Final = (
    "{field} names {kind} {which}, but an action reads only what is in the namespace of "
    "its ActionSet or of its object ({allowed}), so that nobody reads by it what they have no "
    "right to; copy the {kind} to one of these and correct {field}"
)

REASON_NAME: Final = "NameInvalid"
NOT_A_NAME: Final = (
    "{field} names {kind} by a text that cannot be the name of an object or a namespace; check what"
    " its template renders"
)

# Of a path that nothing serves: of a group without such a resource (apimachinery pkg/api/errors
# NewGenericServerResponse), and of no such group (net/http NotFound). All else is about the object.
_NOTHING_SERVES: Final = ("could not find the requested resource", "404 page not found")


class Api(Protocol):
    """The part of `controller.rest.client.Client` that reads."""

    def get(
        self, resource: Resource, namespace: str, name: str, *, deadline: Deadline | None = None
    ) -> Object:
        """Return one object."""

    def list(
        self,
        resource: Resource,
        namespace: str,
        *,
        label_selector: str = "",
        deadline: Deadline | None = None,
    ) -> Object:
        """Return a list object."""


class RightMissing(InvalidInput):
    """The controller may not read something. Whoever may can mend it while the action waits.

    Args:
        verb: What it may not do.
        resource: With what, such as `deployments.apps`.
        namespace: Where; empty for an object of no namespace.
        field: What needs it.
    """

    def __init__(self, *, verb: str, resource: str, namespace: str, field: str) -> None:
        words = {"verb": verb, "resource": resource, "namespace": namespace, "field": field}
        message = RIGHT_MISSING if namespace else RIGHT_MISSING_IN_CLUSTER
        super().__init__(REASON_RIGHT, message.format(**words))
        #: What the controller may not do.
        self.verb = verb
        #: With what.
        self.resource = resource
        #: Where.
        self.namespace = namespace


@frozen
class Reference:
    """An object that something names.

    Args:
        resource: Of which kind.
        namespace: Its namespace.
        name: Its name.
        field: What names it, for messages, such as `spec.actions[0].profile`.
    """

    resource: Resource
    namespace: str
    name: str
    field: str


@define
class Lookup:
    """Reads objects for one use, each of them once.

    Args:
        api: Reads the objects.
        allowed: The namespaces that objects may be of: the ActionSet's, and that of the action's
            object.
        deadline: Until when requests may go on.
    """

    api: Api
    allowed: tuple[str, ...]
    deadline: Deadline
    _held: dict[tuple[Resource, str, str], Object] = field(init=False, factory=dict, repr=False)

    def get(self, reference: Reference) -> Object:
        """Return an object, which must not be changed.

        Raises:
            InvalidInput: It is of another namespace, or it is not there.
            RightMissing: The controller may not read it.
            ClientError: The API server has not answered.
        """
        # Before a message repeats it.
        if not (_is_segment(reference.name) and _is_segment(reference.namespace)):
            raise InvalidInput(REASON_NAME, self._words(NOT_A_NAME, reference))
        self._check(reference)
        key = (reference.resource, reference.namespace, reference.name)
        if key not in self._held:
            self._held[key] = self._get(reference)
        return self._held[key]

    def select(self, reference: Reference, label_selector: str = "") -> list[Object]:
        """Return the objects of a kind and namespace.

        Args:
            reference: Kind and namespace; its name is not looked at.
            label_selector: As on the command line. Default: all.

        Raises:
            InvalidInput: The namespace is another one.
            RightMissing: The controller may not list them.
            ClientError: The API server has not answered.
        """
        self._check(reference)
        resource = reference.resource
        try:
            found = self.api.list(
                resource,
                reference.namespace,
                label_selector=label_selector,
                deadline=self.deadline,
            )
        except Forbidden as error:
            raise _right_missing("list", reference) from error
        items: list[Object] = found.get("items") or []
        return items

    def _check(self, reference: Reference) -> None:
        """Refuse what is of another namespace."""
        if reference.namespace not in self.allowed:
            raise InvalidInput(REASON_FOREIGN, self._words(FOREIGN, reference))

    def _get(self, reference: Reference) -> Object:
        resource = reference.resource
        try:
            obj = self.api.get(
                resource, reference.namespace, reference.name, deadline=self.deadline
            )
        except NotFound as error:
            if not any(words in error.message for words in _NOTHING_SERVES):
                raise InvalidInput(REASON_MISSING, self._words(MISSING, reference)) from error
            message = NO_RESOURCE if resource.namespaced else NOT_OF_CLUSTER
            raise InvalidInput(REASON_NO_RESOURCE, self._words(message, reference)) from error
        except Forbidden as error:
            raise _right_missing("get", reference) from error
        return default_trim(obj)

    def _words(self, message: str, reference: Reference) -> str:
        resource, name, namespace = reference.resource, reference.name, reference.namespace
        return message.format(
            kind=resource.kind,
            resource=resource.full_name,
            version=resource.version,
            namespace=namespace,
            name=name,
            which=f"{namespace}/{name}" if resource.namespaced else name,
            field=reference.field,
            allowed=" or ".join(dict.fromkeys(self.allowed)),
        )


def secret(ref: SecretRef) -> Reference:
    """Return the reference to a Secret that a resource refers to."""
    return Reference(resources.SECRETS, ref.namespace, ref.name, ref.field)


def _is_segment(name: str) -> bool:
    """Return whether a name can be a part of a path, as apimachinery IsValidPathSegmentName."""
    return name not in ("", ".", "..") and "/" not in name and "%" not in name


def _right_missing(verb: str, reference: Reference) -> RightMissing:
    return RightMissing(
        verb=verb,
        resource=reference.resource.full_name,
        namespace=_where(reference),
        field=reference.field,
    )


def _where(reference: Reference) -> str:
    """Return the namespace whose Role allows to read an object; empty if none does."""
    if reference.resource == resources.NAMESPACES:
        # A Role of a namespace may allow to read that namespace (apiserver pkg/endpoints/request,
        # requestinfo.go).
        return reference.name
    return reference.namespace if reference.resource.namespaced else ""
