"""Makes and renews the controller's own certificates, each in a Secret of its server's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog

from controller.conditions import timestamp
from controller.errors import AlreadyExists, ApiError, Conflict, NotFound
from reconcilers import resources
from reconcilers.repositoryserver.children.secrets import certificate_secret
from reconcilers.repositoryserver.inputs import selfsigned
from reconcilers.secrets import data as secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.clock import Clock
    from controller.rest.client import Client
    from reconcilers.repositoryserver.caches import Cache, Caches
    from reconcilers.repositoryserver.children.applier import ChildApplier, RecordEvent
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.repositoryserver.perobject import States

EVENT_ISSUED: Final = "CertificateIssued"
ISSUED: Final = "created a certificate that is valid until {when}, in Secret {name}: {why}"

# A renewal that is refused is tried again so often: it has months until it matters.
RETRY_SECONDS: Final = 600.0

_log = structlog.get_logger()


class CertificateIssuer:
    """Makes and renews the certificates of the servers that name no Secret with one.

    Args:
        client: Reads and writes the Secrets.
        caches: The resources and their children.
        applier: Refuses Secrets of others.
        record_event: Records the events about certificates.
        states: Holds when a renewal that was refused is tried again.
        clock: The time.
    """

    def __init__(
        self,
        *,
        client: Client,
        caches: Caches[Cache],
        applier: ChildApplier,
        record_event: RecordEvent,
        states: States,
        clock: Clock,
    ) -> None:
        self._client = client
        self._caches = caches
        self._applier = applier
        self._record_event = record_event
        self._clock = clock
        # In monotonic seconds; None if no renewal was refused.
        self._next_try = states.per_object(_at_once)

    def ensure(self, current: ReconcileContext) -> None:
        """Make a certificate if there is none that will do for some time.

        One that is only due stays as it is when its renewal is refused.

        Raises:
            InvalidInput: The Secret's name is taken by one that the resource does not own.
            RetryLater: It belongs to a deleted namesake of the resource.
            Conflict: Somebody has changed the Secret meanwhile.
            ClientError: It could not be read, or not be created.
        """
        try:
            observed = self._read(current)
        except NotFound:
            observed = self._create(current)
        self._applier.refuse_foreign(current, resources.SECRETS, observed)
        ref = selfsigned.reference(current.server)
        stored = secrets.read(ref, observed, (secrets.TYPE_TLS,))
        why = selfsigned.why_another(stored, self._clock.now())
        if why and not self.is_put_off(current):
            self._renew(current, observed, why)

    def is_put_off(self, current: ReconcileContext) -> bool:
        """Return whether a renewal was refused lately, and the next try is still to come.

        Args:
            current: The reconcile, which is asked to be followed by one at that time.
        """
        at = self._next_try.of(current)
        left = 0.0 if at is None else at - self._clock.monotonic()
        if left > 0:
            current.look_again(left)
        return left > 0

    def _read(self, current: ReconcileContext) -> dict[str, Any]:
        ref = selfsigned.reference(current.server)
        return self._client.get(
            resources.SECRETS, ref.namespace, ref.name, deadline=current.deadline
        )

    def _create(self, current: ReconcileContext) -> dict[str, Any]:
        """Make a certificate, unless somebody was faster, and return the Secret that there is."""
        issued = selfsigned.issue(current.server, self._clock.now())
        try:
            # No apply: of two that find none, the second must not replace what the first has made.
            created = self._client.create(
                resources.SECRETS,
                current.server.namespace,
                certificate_secret(current.server, issued),
                deadline=current.deadline,
            )
        except AlreadyExists:
            return self._read(current)
        self._written(current, created, timestamp(issued.not_after), selfsigned.MISSING)
        return created

    def _renew(self, current: ReconcileContext, observed: Mapping[str, Any], why: str) -> None:
        issued = selfsigned.issue(current.server, self._clock.now())
        desired = certificate_secret(current.server, issued)
        metadata = observed["metadata"]
        try:
            renewed = self._client.merge_patch(
                resources.SECRETS,
                metadata["namespace"],
                metadata["name"],
                # The version turns the second of two renewals into a conflict.
                {
                    "metadata": {"resourceVersion": metadata["resourceVersion"]},
                    "data": desired["data"],
                },
                deadline=current.deadline,
            )
        except (Conflict, NotFound):
            raise
        except ApiError as error:
            _log.warning("certificate not renewed", secret_name=metadata["name"], error=str(error))
            self._next_try.set(current, self._clock.monotonic() + RETRY_SECONDS)
            current.look_again(RETRY_SECONDS)
            return
        self._next_try.set(current, None)
        self._written(current, renewed, timestamp(issued.not_after), why)

    def _written(
        self, current: ReconcileContext, secret: Mapping[str, Any], when: str, why: str
    ) -> None:
        note = ISSUED.format(when=when, name=secret["metadata"]["name"], why=why)
        self._record_event(current, EVENT_ISSUED, note, "Issue")


def _at_once(_: ReconcileContext) -> float | None:
    return None
