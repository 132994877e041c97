"""The NetworkPolicy of a server, which a peer that cannot be does not take from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, frozen

from controller.errors import Invalid
from reconcilers import resources
from reconcilers.repositoryserver.children import names, network
from reconcilers.repositoryserver.verdict import SERVER_SETUP, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.repositoryserver.caches import Cache, Caches
    from reconcilers.repositoryserver.children.applier import ChildApplier
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.repositoryserver.perobject import States

REASON_NETWORK_POLICY: Final = "NetworkPolicyInvalid"
REFUSED: Final = (
    "spec.server.networkPolicy makes no NetworkPolicy: {message}; correct it (until then "
    "{meanwhile})"
)
PREVIOUS_STAYS: Final = "the NetworkPolicy of before stays in effect"
NAMESPACE_ONLY: Final = "only pods of namespace {namespace} can connect"


@frozen
class _Refused:
    """A NetworkPolicy that the API server has refused.

    Args:
        peers: The peers that it had.
        message: Why, in the words of the API server.
    """

    peers: tuple[Mapping[str, Any], ...]
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
        the server has the policy of before, or one without peers: never none.

        Args:
            current: The reconcile.

        Returns:
            What is wrong with the peers, which keeps nothing else from its course.

        Raises:
            InvalidInput: The name is taken by an object that the resource does not own.
            RetryLater: It belongs to a deleted namesake of the resource.
            ClientError: The API server could not be reached, or refused for another reason.
        """
        server, refused = current.server, self._refused.of(current)
        if refused is None or refused.peers != server.peers:
            try:
                self._applier.ensure(
                    current, resources.NETWORK_POLICIES, network.network_policy(server)
                )
            except Invalid as error:
                refused = _Refused(server.peers, error.message)
                self._refused.set(current, refused)
            else:
                self._refused.set(current, None)
                return None
        policies, name = self._caches.network_policies, names.stable_name(server)
        observed = policies.get(server.namespace, name)
        bare = network.network_policy(evolve(server, peers=()))
        if observed is None or observed["spec"].get("ingress") == bare["spec"]["ingress"]:
            meanwhile = NAMESPACE_ONLY.format(namespace=server.namespace)
            self._applier.ensure(current, resources.NETWORK_POLICIES, bare)
        else:
            meanwhile = PREVIOUS_STAYS
        message = REFUSED.format(message=refused.message, meanwhile=meanwhile)
        return Problem(SERVER_SETUP, REASON_NETWORK_POLICY, message, blocks=False)


def _none(_: ReconcileContext) -> _Refused | None:
    return None
