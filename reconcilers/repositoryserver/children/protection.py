"""The NetworkPolicy of a server, which a peer that cannot be does not take from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from controller.errors import BadRequest, Forbidden, Invalid, WebhookFailed
from reconcilers import resources
from reconcilers.repositoryserver.children import names, network
from reconcilers.repositoryserver.verdict import SERVER_SETUP, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.repositoryserver.api import RepositoryServer
    from reconcilers.repositoryserver.caches import Cache, Caches
    from reconcilers.repositoryserver.children.applier import ChildApplier
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.repositoryserver.perobject import States

REASON_NETWORK_POLICY: Final = "NetworkPolicyInvalid"
REFUSED: Final = (
    "the peers of {fields} make no NetworkPolicy: {message}; correct them (until then {meanwhile})"
)
#: A webhook or a right may be there later.
REASON_DENIED: Final = "ApiRequestRefused"
DENIED: Final = (
    "the API server rejects NetworkPolicy {name}: {message}; correct the peers in spec.server, the "
    "webhook, or the controller's Role (until then {meanwhile})"
)
POLICY: Final = "spec.server.networkPolicy"
METRICS: Final = "spec.server.metrics.from"
PREVIOUS_STAYS: Final = "the NetworkPolicy of before stays in effect"
NAMESPACE_ONLY: Final = "only pods of namespace {namespace} can connect"


@frozen
class _Refused:
    """A NetworkPolicy that the API server has refused.

    Args:
        policy: What was sent.
        message: Why, in the words of the API server.
    """

    policy: Mapping[str, Any]
    message: str


class Protection:
    """Keeps a server behind a NetworkPolicy.

    Args:
        caches: Show whether there is one.
        applier: Writes it.
        states: Holds which one was refused.
    """

    def __init__(self, *, caches: Caches[Cache], applier: ChildApplier, states: States) -> None:
        self._caches = caches
        self._applier = applier
        self._refused = states.per_object(_none)

    def ensure(self, current: ReconcileContext) -> Problem | None:
        """Apply the NetworkPolicy that the resource asks for.

        One that the API server finds invalid is not sent again before its peers change. Without it
        the server has the policy of before, or one without peers: never none. One that it refuses
        for another reason is sent again each time.

        Args:
            current: The reconcile.

        Returns:
            What is wrong with the peers, which keeps nothing else from its course.

        Raises:
            InvalidInput: The name is taken by an object that the resource does not own.
            RetryLater: It belongs to a deleted namesake of the resource.
            ClientError: The API server could not be reached, or refused one without peers as well.
        """
        server, refused = current.server, self._refused.of(current)
        wanted = network.network_policy(server)
        policies, name = self._caches.network_policies, names.stable_name(server)
        observed = policies.get(server.namespace, name)
        if refused is None or refused.policy != wanted:
            try:
                self._applier.ensure(current, resources.NETWORK_POLICIES, wanted)
            except Invalid as error:
                refused = _Refused(wanted, error.message)
                self._refused.set(current, refused)
            except (BadRequest, Forbidden, WebhookFailed) as error:
                meanwhile = self._meanwhile(current, observed)
                message = DENIED.format(name=name, message=error.message, meanwhile=meanwhile)
                return Problem(SERVER_SETUP, REASON_DENIED, message, blocks=False)
            else:
                self._refused.set(current, None)
                return None
        message = REFUSED.format(
            fields=_fields_of(server),
            message=refused.message,
            meanwhile=self._meanwhile(current, observed),
        )
        return Problem(SERVER_SETUP, REASON_NETWORK_POLICY, message, blocks=False)

    def _meanwhile(self, current: ReconcileContext, observed: Mapping[str, Any] | None) -> str:
        """Return who can connect until the peers are right, and have one without peers in place.

        Args:
            current: The reconcile.
            observed: The policy of before, which stays if it has peers; None if there is none.
        """
        server = current.server
        bare = network.without_peers(server)
        if observed is None or observed["spec"].get("ingress") == bare["spec"]["ingress"]:
            self._applier.ensure(current, resources.NETWORK_POLICIES, bare)
            return NAMESPACE_ONLY.format(namespace=server.namespace)
        return PREVIOUS_STAYS


def _fields_of(server: RepositoryServer) -> str:
    """Return the fields that have peers; the API server's message says which of them is wrong."""
    fields = {POLICY: server.peers, METRICS: server.metrics and server.metrics.peers}
    return " and ".join(field for field, peers in fields.items() if peers)


def _none(_: ReconcileContext) -> _Refused | None:
    return None
