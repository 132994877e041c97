"""Makes and renews the controller's own certificates, and what signs them: a Secret for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from controller.conditions import timestamp
from controller.errors import AlreadyExists, ApiError, Conflict, NotFound
from reconcilers import resources
from reconcilers.repositoryserver.children.secrets import authority_secret, certificate_secret
from reconcilers.repositoryserver.inputs import authority, selfsigned
from reconcilers.secrets import data as secrets

if TYPE_CHECKING:
    from datetime import datetime

    from controller.clock import Clock
    from controller.resource import Object
    from controller.rest.client import Client
    from reconcilers.repositoryserver.children.applier import ChildApplier, RecordEvent
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.repositoryserver.inputs.authority import Authority
    from reconcilers.repositoryserver.perobject import States
    from reconcilers.secrets.certificates import ServerCertificate
    from reconcilers.secrets.data import SecretData, SecretRef

EVENT_ISSUED: Final = "CertificateIssued"
ISSUED: Final = "created a certificate that is valid until {when}, in Secret {name}: {why}"
EVENT_AUTHORITY: Final = "AuthorityIssued"
AUTHORITY: Final = (
    "created an authority for the server's certificates that is valid until {when}, in Secret "
    "{name}: {why}"
)

# A renewal that is refused is tried again so often: it has months until it matters.
RETRY_SECONDS: Final = 600.0

_log = structlog.get_logger()


class CertificateIssuer:
    """Makes and renews the certificates of the servers that name no Secret with one.

    Args:
        client: Reads and writes the Secrets.
        applier: Refuses Secrets of others.
        record_event: Records the events about certificates.
        states: Holds when a renewal that was refused is tried again.
        clock: The time.
    """

    def __init__(
        self,
        *,
        client: Client,
        applier: ChildApplier,
        record_event: RecordEvent,
        states: States,
        clock: Clock,
    ) -> None:
        self._client = client
        self._applier = applier
        self._record_event = record_event
        self._clock = clock
        # In monotonic seconds; None if no renewal was refused.
        self._next_try = states.per_object(_at_once)

    def ensure(self, current: ReconcileContext) -> None:
        """Make a certificate and its authority if there are none that will do for some time.

        What is only due stays as it is when its renewal is refused.

        Raises:
            InvalidInput: A Secret's name is taken by one that the resource does not own.
            RetryLater: It belongs to a deleted namesake of the resource.
            Conflict: Somebody has changed a Secret meanwhile.
            ClientError: One could not be read, or not be created.
        """
        ref = selfsigned.reference(current.server)
        observed = self._find(current, ref)
        if observed is not None and selfsigned.stands_alone(
            self._own(current, ref, observed), self._clock.now()
        ):
            return
        signer = self._authority(current)
        if observed is None:
            observed = self._create_certificate(current, signer)
        stored = self._own(current, ref, observed)
        why = selfsigned.why_another(stored, signer, self._clock.now())
        if why and not self._is_put_off(current):
            self._renew_certificate(current, observed, signer, why)

    def is_due(self, current: ReconcileContext, not_after: datetime) -> bool:
        """Return whether `ensure` has to look again, although nothing has changed.

        Args:
            current: The reconcile, which is asked to be followed by one when a renewal that was
                refused lately is tried again.
            not_after: When the certificate expires.
        """
        if self._next_try.of(current) is None:
            return selfsigned.is_due(not_after, self._clock.now())
        return not self._is_put_off(current)

    def _is_put_off(self, current: ReconcileContext) -> bool:
        """Return whether a renewal was refused lately, and the next try is still to come."""
        at = self._next_try.of(current)
        left = 0.0 if at is None else at - self._clock.monotonic()
        if left > 0:
            current.look_again(left)
        return left > 0

    def _authority(self, current: ReconcileContext) -> Authority:
        """Return the authority of the server, made or renewed if that was due."""
        ref, now = authority.reference(current.server), self._clock.now()
        observed = self._find(current, ref)
        if observed is None:
            made = authority.create(current.server, now)
            observed, is_new = self._create(current, ref, _secret(current, made))
            if is_new:
                self._record_authority(current, made, authority.MISSING)
        found = authority.parse(self._own(current, ref, observed))
        if found is None:
            made = authority.create(current.server, now)
            self._replace(current, observed, _secret(current, made))
            self._record_authority(current, made, authority.UNUSABLE)
            return made
        if found.is_due(now) and not self._is_put_off(current):
            made = authority.renewed(found, current.server, now)
            if self._is_replaced(current, observed, _secret(current, made)):
                why = authority.DUE.format(when=timestamp(found.not_after))
                self._record_authority(current, made, why)
                return made
        return found

    def _create_certificate(self, current: ReconcileContext, signer: Authority) -> Object:
        """Make a certificate, unless somebody was faster, and return the Secret that there is."""
        issued = selfsigned.issue(current.server, signer, self._clock.now())
        desired = certificate_secret(current.server, issued, signer.text)
        created, is_new = self._create(current, selfsigned.reference(current.server), desired)
        if is_new:
            self._record_certificate(current, issued, selfsigned.MISSING)
        return created

    def _renew_certificate(
        self, current: ReconcileContext, observed: Object, signer: Authority, why: str
    ) -> None:
        issued = selfsigned.issue(current.server, signer, self._clock.now())
        desired = certificate_secret(current.server, issued, signer.text)
        if self._is_replaced(current, observed, desired):
            self._record_certificate(current, issued, why)

    def _record_authority(self, current: ReconcileContext, made: Authority, why: str) -> None:
        name = authority.reference(current.server).name
        note = AUTHORITY.format(when=timestamp(made.not_after), name=name, why=why)
        self._record_event(current, EVENT_AUTHORITY, note, "Issue")

    def _record_certificate(
        self, current: ReconcileContext, issued: ServerCertificate, why: str
    ) -> None:
        name = selfsigned.reference(current.server).name
        note = ISSUED.format(when=timestamp(issued.not_after), name=name, why=why)
        self._record_event(current, EVENT_ISSUED, note, "Issue")

    def _find(self, current: ReconcileContext, ref: SecretRef) -> Object | None:
        try:
            return self._client.get(
                resources.SECRETS, ref.namespace, ref.name, deadline=current.deadline
            )
        except NotFound:
            return None

    def _own(self, current: ReconcileContext, ref: SecretRef, observed: Object) -> SecretData:
        """Return what is in a Secret, unless it is somebody else's."""
        self._applier.refuse_foreign(current, resources.SECRETS, observed)
        return secrets.read(ref, observed, (secrets.TYPE_TLS,))

    def _create(
        self, current: ReconcileContext, ref: SecretRef, desired: Object
    ) -> tuple[Object, bool]:
        """Create a Secret; return the one that there is, and whether it is the new one."""
        try:
            # No apply: of two that find none, the second must not replace what the first has made.
            created = self._client.create(
                resources.SECRETS, ref.namespace, desired, deadline=current.deadline
            )
        except AlreadyExists:
            there = self._client.get(
                resources.SECRETS, ref.namespace, ref.name, deadline=current.deadline
            )
            return there, False
        return created, True

    def _is_replaced(self, current: ReconcileContext, observed: Object, desired: Object) -> bool:
        """Replace what is in a Secret; return False if that is refused, to be tried again."""
        try:
            self._replace(current, observed, desired)
        except (Conflict, NotFound):
            raise
        except ApiError as error:
            name = observed["metadata"]["name"]
            _log.warning("certificate not renewed", secret_name=name, error=str(error))
            self._next_try.set(current, self._clock.monotonic() + RETRY_SECONDS)
            current.look_again(RETRY_SECONDS)
            return False
        self._next_try.set(current, None)
        return True

    def _replace(self, current: ReconcileContext, observed: Object, desired: Object) -> None:
        metadata = observed["metadata"]
        self._client.merge_patch(
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


def _secret(current: ReconcileContext, made: Authority) -> Object:
    return authority_secret(current.server, made.text, made.key_text)


def _at_once(_: ReconcileContext) -> float | None:
    return None
