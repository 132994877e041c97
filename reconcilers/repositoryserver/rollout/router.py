"""Acting on a rollout: the Service moves to the pod that serves best, the others drain and go."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from controller.errors import NotFound
from reconcilers import resources
from reconcilers.repositoryserver.caches import INDEX_OWNER, INDEX_SERVICE
from reconcilers.repositoryserver.children import names, network
from reconcilers.repositoryserver.children.owners import is_of_removed_controller
from reconcilers.repositoryserver.rollout import endpoints, plan, podstatus
from reconcilers.repositoryserver.rollout.plan import Rollout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.clock import Clock
    from controller.rest.client import Client
    from reconcilers.repositoryserver import api
    from reconcilers.repositoryserver.caches import Cache, Caches
    from reconcilers.repositoryserver.children.applier import ChildApplier, Teller
    from reconcilers.repositoryserver.context import Pass
    from reconcilers.repositoryserver.rollout.plan import Newest

EVENT_REPLACED_IN_PLACE = "ReplacedInPlace"
REPLACED_IN_PLACE = "pod {pod} is deleted before its replacement is up: {why}"


class ServiceRouter:
    """Decides for each pass which pod clients reach, and what becomes of the others."""

    def __init__(
        self,
        *,
        client: Client,
        caches: Caches[Cache],
        applier: ChildApplier,
        tell: Teller,
        clock: Clock,
    ) -> None:
        """Take the dependencies.

        Args:
            client: Reads claims.
            caches: What is there.
            applier: Writes the Service, marks and deletes pods.
            tell: Tells of a replacement in place.
            clock: The time.
        """
        self._client = client
        self._caches = caches
        self._applier = applier
        self._tell = tell
        self._clock = clock

    def place(self, server: api.RepositoryServer, newest: Newest, users: str) -> Rollout:
        """Return where a server stands between two pods.

        Args:
            server: The resource.
            newest: What it should be.
            users: Version of the users that a pod must have.
        """
        return Rollout(newest.digest, self._routed(server), users)

    def pods(self, server: api.RepositoryServer) -> list[dict[str, Any]]:
        """Return the pods that this controller has made for a server."""
        owned = self._caches.pods.by_index(INDEX_OWNER, server.uid)
        return [pod for pod in owned if names.digest_of(pod)]

    def is_begun(self, server: api.RepositoryServer) -> bool:
        """Return whether a server has a pod or a Service."""
        return bool(self.pods(server) or self._routed(server))

    def pods_beside(
        self, server: api.RepositoryServer, pod: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Return the other pods of a server, those of the removed controller among them."""
        uid = pod["metadata"]["uid"]
        pods = [*self.pods(server), *self._former_pods(server)]
        return [other for other in pods if other["metadata"]["uid"] != uid]

    def roll_out(self, current: Pass, newest: Newest, place: Rollout) -> Mapping[str, Any] | None:
        """Route to the pod that serves best, and retire the others.

        Returns:
            The pod; None if clients reach none.

        Raises:
            ClientError: The API server refused or could not be reached.
        """
        server, now = current.server, self._clock.now()
        pods = self.pods(server)
        serving = place.serves(pods)
        former = self._former_pods(server)
        if any(self._yields(current, newest, pod) for pod in (serving, *former)):
            return None
        # What clients have is not given up for a pod that nobody has seen work.
        settled = serving is not None and newest.is_(serving) and podstatus.is_ready(serving)
        retirement = plan.retire(
            pods,
            former if settled else (),
            place,
            serving,
            drain_seconds=server.drain_seconds,
            now=now,
        )
        # Before the Service moves: who dies between the two must not leave a pod behind that looks
        # as if it had never served.
        for pod in retirement.drain:
            self._applier.drain(current, pod, now + timedelta(seconds=server.drain_seconds))
        selected = place.selects(serving)
        if place.routed and selected != place.routed:
            # Endpoints of a Service that is made before its pod follow the pod alone.
            current.memory.moved_at = self._clock.monotonic()
        desired = network.service(server, selected)
        self._applier.ensure(current, resources.SERVICES, desired)
        for pod, why in retirement.delete:
            self._applier.delete(current, resources.PODS, pod, why)
        if retirement.wait is not None:
            current.look_again(retirement.wait)
        self._prune(current, newest, settled=settled, former=bool(former))
        return serving

    def _prune(self, current: Pass, newest: Newest, *, settled: bool, former: bool) -> None:
        """Delete what no pod uses any more."""
        server = current.server
        if newest.digest:
            used = {names.versioned_name(server, newest.digest)}
            used |= {pod["metadata"]["name"] for pod in self.pods(server)}
            self._applier.prune_snapshots(current, used)
        if settled:
            self._applier.prune_certificate(current)
        if settled and not former:
            self._applier.prune_former_services(current)

    def reached(self, current: Pass, serving: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Return the pod that clients reach through the Service.

        Args:
            current: The pass.
            serving: The pod that the Service selects; None if there is none.

        Returns:
            That pod, or the one before as long as the endpoints have not followed; None if they
            name neither yet, or it is not Ready.
        """
        if serving is None or not podstatus.is_ready(serving):
            return None
        server = current.server
        slices = self._caches.endpoint_slices.by_index(INDEX_SERVICE, names.stable_name(server))
        lag = endpoints.lag(serving, self._clock.now())
        if current.memory.moved_at is not None:
            moved = self._clock.monotonic() - current.memory.moved_at
            lag = max(lag, endpoints.LAG_SECONDS - moved)
        if lag <= 0 or endpoints.is_routed_to(slices, serving):
            return serving
        current.look_again(lag)
        former = (pod for pod in self.pods(server) if endpoints.is_routed_to(slices, pod))
        return next(former, None)

    def _yields(self, current: Pass, newest: Newest, holder: Mapping[str, Any] | None) -> bool:
        """Delete a pod that serves if its successor waits for the claim that it holds."""
        if holder is None or not newest.claim:
            return False
        if not plan.in_each_others_way(newest.pod, holder, self._clock.now()):
            return False
        namespace = current.server.namespace
        try:
            claim = self._client.get(
                resources.PERSISTENT_VOLUME_CLAIMS,
                namespace,
                newest.claim,
                deadline=current.deadline,
            )
        except NotFound:
            return False
        if not plan.one_node(claim["spec"].get("accessModes") or ()):
            return False
        note = REPLACED_IN_PLACE.format(pod=holder["metadata"]["name"], why=plan.WHY_IN_PLACE)
        self._tell(current, EVENT_REPLACED_IN_PLACE, note, "Replace")
        self._applier.delete(current, resources.PODS, holder, plan.WHY_IN_PLACE)
        return True

    def _former_pods(self, server: api.RepositoryServer) -> list[dict[str, Any]]:
        """Return the pods that the removed controller has left."""
        owned = self._caches.pods.by_index(INDEX_OWNER, server.uid)
        return [pod for pod in owned if is_of_removed_controller(resources.PODS, pod)]

    def _routed(self, server: api.RepositoryServer) -> str:
        """Return the digest that the Service selects; empty if there is no Service."""
        service = self._caches.services.get(server.namespace, names.stable_name(server)) or {}
        selector = service.get("spec", {}).get("selector") or {}
        digest: str = selector.get(names.LABEL_DIGEST, "")
        return digest
