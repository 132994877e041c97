"""Acting on a rollout: the Service moves to the pod that serves best, the others drain and go."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from controller.conditions import timestamp
from controller.errors import NotFound
from reconcilers import resources
from reconcilers.repositoryserver.caches import (
    INDEX_INSTANCE,
    INDEX_OWNER,
    INDEX_SERVICE,
)
from reconcilers.repositoryserver.children import names, network
from reconcilers.repositoryserver.children.loaded import WrittenUsers
from reconcilers.repositoryserver.children.owners import is_of_removed_controller
from reconcilers.repositoryserver.rollout import endpoints, handover, plan, podstatus
from reconcilers.repositoryserver.rollout.plan import Rollout
from reconcilers.repositoryserver.rollout.revisions import Revision, by_digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.clock import Clock
    from controller.rest.client import Client
    from reconcilers.repositoryserver import api
    from reconcilers.repositoryserver.caches import Cache, Caches
    from reconcilers.repositoryserver.children.applier import ChildApplier, Teller
    from reconcilers.repositoryserver.context import Pass
    from reconcilers.repositoryserver.rollout.plan import Newest
    from reconcilers.repositoryserver.rollout.strays import Strays

EVENT_REPLACED_IN_PLACE: Final = "ReplacedInPlace"
REPLACED_IN_PLACE: Final = "pod {pod} is deleted before its replacement is up: {why}"
EVENT_GAVE_BACK: Final = "FormerRevisionRestored"
GAVE_BACK: Final = (
    "ReplicaSet {former} gets its pod back: the one that took its claim has not become Ready "
    "within {seconds:.0f} s"
)


class ServiceRouter:
    """Decides for each pass which pod clients reach, and what becomes of the others.

    Args:
        client: Reads claims.
        caches: What is there.
        strays: Finds pods that nobody owns.
        applier: Writes the Service, marks pods, scales and deletes ReplicaSets.
        tell: Records the events of a replacement in place.
        clock: The time.
    """

    def __init__(
        self,
        *,
        client: Client,
        caches: Caches[Cache],
        strays: Strays,
        applier: ChildApplier,
        tell: Teller,
        clock: Clock,
    ) -> None:
        self._client = client
        self._caches = caches
        self._strays = strays
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
        secret = self._caches.secrets.get(server.namespace, names.users_name(server))
        # Whoever owns them: a cache may not show yet that one was adopted.
        labelled = self._caches.replica_sets.by_index(
            INDEX_INSTANCE, names.instance_label(server.name)
        )
        revisions = (
            Revision(one, ())
            for one in labelled
            if one["metadata"]["namespace"] == server.namespace
        )
        kept = frozenset(one.digest for one in revisions if one.is_kept)
        return Rollout(newest.digest, self._routed(server), WrittenUsers.of(users, secret), kept)

    def revisions(self, server: api.RepositoryServer) -> list[Revision]:
        """Return the revisions of a server."""
        owned = self._caches.replica_sets.by_index(INDEX_OWNER, server.uid)
        return [self._revision(one) for one in owned if names.versioned_digest(server, one)]

    def _revision(self, replica_set: Mapping[str, Any]) -> Revision:
        owned = self._caches.pods.by_index(INDEX_OWNER, replica_set["metadata"]["uid"])
        return Revision(replica_set, tuple(pod for pod in owned if names.digest_of(pod)))

    def revision(self, server: api.RepositoryServer, digest: str) -> Revision | None:
        """Return the revision with a digest; None if there is none."""
        return by_digest(self.revisions(server), digest)

    def pods(self, server: api.RepositoryServer) -> list[Mapping[str, Any]]:
        """Return the pods of a server's revisions."""
        return [pod for revision in self.revisions(server) for pod in revision.pods]

    def pods_of(self, uid: str) -> list[Mapping[str, Any]]:
        """Return the pods of a resource, those of the removed controller among them.

        Args:
            uid: Of the resource, which may be one that cannot be read.
        """
        owned = self._caches.replica_sets.by_index(INDEX_OWNER, uid)
        made = [pod for one in owned for pod in self._revision(one).pods]
        return [*self._caches.pods.by_index(INDEX_OWNER, uid), *made]

    def is_begun(self, server: api.RepositoryServer) -> bool:
        """Return whether a server has a ReplicaSet or a Service."""
        return bool(self.revisions(server) or self._routed(server))

    def pods_beside(
        self, server: api.RepositoryServer, pod: Mapping[str, Any]
    ) -> list[Mapping[str, Any]]:
        """Return the other pods of a server, those of the removed controller among them."""
        uid = pod["metadata"]["uid"]
        pods = [*self.pods(server), *self._former_pods(server)]
        return [other for other in pods if other["metadata"]["uid"] != uid]

    def ensure_intact(self, current: Pass) -> None:
        """Put back what others have changed of ReplicaSets and pods, and bring pods up to date.

        What a template says by now is written on the pods that have been made of it before.
        A pod that has lost a label of the selector is not its ReplicaSet's any more: with the label
        it becomes so again, and the one that was made in its place goes.

        Raises:
            Conflict: A pod has changed meanwhile.
            ClientError: The API server refused or could not be reached.
        """
        for revision in self.revisions(current.server):
            if revision.is_deleted:
                continue
            if revision.replica_set["spec"].get("replicas", 1) > 1:
                # Two pods of one revision would drain and fail together.
                self._applier.scale(current, revision.replica_set, 1)
            owned = self._caches.pods.by_index(INDEX_OWNER, revision.replica_set["metadata"]["uid"])
            released = [
                pod
                for pod in self._strays.released(current.request)
                if names.maker_of(pod) == revision.name
            ]
            for pod in (*owned, *released):
                if not plan.is_over(pod):
                    self._applier.ensure_pod_metadata(current, revision.replica_set, pod)

    def roll_out(self, current: Pass, newest: Newest, place: Rollout) -> Mapping[str, Any] | None:
        """Route to the pod that serves best, and retire the others.

        Returns:
            The pod; None if clients reach none.

        Raises:
            ClientError: The API server refused or could not be reached.
        """
        server, now = current.server, self._clock.now()
        if newest.digest:
            # One of them may hold the claim that the newest waits for.
            self._strays.ensure_gone(current.request, current.deadline, newest=newest.digest)
        revisions = self.revisions(server)
        pods = [pod for revision in revisions for pod in revision.pods]
        serving = place.serves(pods)
        former = self._former_pods(server)
        if any(self._yields(current, newest, pod) for pod in (serving, *former)):
            return None
        # What clients have is not given up for a pod that nobody has seen work.
        settled = serving is not None and newest.is_(serving) and podstatus.is_ready(serving)
        if not settled:
            self._give_back(current, newest, revisions, serving)
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
        selected = place.selects(serving, now)
        if place.routed and selected != place.routed:
            # Endpoints of a Service that is made before its pod follow the pod alone.
            current.memory.moved_at = self._clock.monotonic()
        desired = network.service(server, selected)
        self._applier.ensure(current, resources.SERVICES, desired)
        self._delete(current, retirement)
        if newest.digest:
            stay = {newest.digest, selected} | {names.digest_of(pod) for pod in retirement.stay}
            for revision in revisions:
                if revision.digest not in stay:
                    self._retire(current, revision, retirement, settled=settled)
        self._prune(current, newest, settled=settled, former=bool(former))
        return serving

    def _delete(self, current: Pass, retirement: plan.Retirement) -> None:
        """Delete pods that nobody makes again: those that have ended, and the removed controller's.

        Those of a ReplicaSet go with it.
        """
        for pod, why in retirement.delete:
            if why == plan.WHY_ENDED or not names.digest_of(pod):
                self._applier.delete(current, resources.PODS, pod, why)
        if retirement.wait is not None:
            current.look_again(retirement.wait)

    def _retire(
        self, current: Pass, revision: Revision, retirement: plan.Retirement, *, settled: bool
    ) -> None:
        """Take a revision's pod away, and the ReplicaSet once that has ended."""
        if revision.is_deleted:
            return
        reasons = {names.digest_of(pod): why for pod, why in retirement.delete}
        why = reasons.get(revision.digest, plan.WHY_SUPERSEDED)
        if revision.is_kept:
            self._applier.retire(current, revision.replica_set, why)
        elif not revision.pods and (settled or not revision.time(names.ANNOTATION_YIELDED)):
            self._applier.delete(current, resources.REPLICA_SETS, revision.replica_set, why)

    def _prune(self, current: Pass, newest: Newest, *, settled: bool, former: bool) -> None:
        """Delete what no revision uses any more."""
        server = current.server
        if newest.digest:
            used = {names.versioned_name(server, newest.digest)}
            used |= {revision.name for revision in self.revisions(server)}
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

    def ensure_wanted(self, current: Pass, replica_set: Mapping[str, Any]) -> None:
        """Scale the newest revision to one pod, unless it could not make use of a claim lately.

        Raises:
            ClientError: The API server refused or could not be reached.
        """
        revision = self._revision(replica_set)
        if revision.is_kept or revision.is_deleted:
            return
        left = handover.seconds_until_next_try(revision, self._clock.now())
        if left > 0:
            current.look_again(left)
            return
        annotations = {names.ANNOTATION_YIELDED: None, names.ANNOTATION_GAVE_BACK: None}
        self._applier.scale(current, replica_set, 1, annotations)

    def _yields(self, current: Pass, newest: Newest, holder: Mapping[str, Any] | None) -> bool:
        """Take away a pod that serves if its successor waits for the claim that it holds."""
        if holder is None or not newest.claim:
            return False
        if not plan.in_each_others_way(newest.pod, holder, self._clock.now()):
            return False
        former = self.revision(current.server, names.digest_of(holder))
        if former is not None and not former.is_kept:
            # Its pod is about to go.
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
        if former is None:
            # Nobody makes the removed controller's pods again.
            self._applier.delete(current, resources.PODS, holder, plan.WHY_IN_PLACE)
        else:
            annotations = {names.ANNOTATION_YIELDED: timestamp(self._clock.now())}
            self._applier.scale(current, former.replica_set, 0, annotations)
            current.look_again(handover.GIVE_BACK_SECONDS)
        return True

    def _give_back(
        self,
        current: Pass,
        newest: Newest,
        revisions: Sequence[Revision],
        serving: Mapping[str, Any] | None,
    ) -> None:
        """Scale a former revision back to one pod if none has come up in its place."""
        former, now = handover.yielded(revisions, newest.digest), self._clock.now()
        if former is None or (serving is not None and podstatus.is_ready(serving)):
            return
        others = [one for one in revisions if one.is_kept]
        left = handover.seconds_left(former, others, now)
        if left > 0:
            current.look_again(left)
            return
        note = GAVE_BACK.format(former=former.name, seconds=handover.GIVE_BACK_SECONDS)
        self._tell(current, EVENT_GAVE_BACK, note, "Replace")
        for other in others:
            annotations = {names.ANNOTATION_GAVE_BACK: timestamp(now)}
            self._applier.scale(current, other.replica_set, 0, annotations)
        annotations_off = {names.ANNOTATION_YIELDED: None}
        self._applier.scale(current, former.replica_set, 1, annotations_off)

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
