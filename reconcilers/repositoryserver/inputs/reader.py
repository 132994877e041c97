"""Reads what a server is started with: the user's Secrets, by name and only when they changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import define, frozen

from reconcilers.errors import InvalidInput
from reconcilers.kopia import failures, repository_config
from reconcilers.kopia.storage import authorities, kinds
from reconcilers.kopia.storage.identity import identity
from reconcilers.kopia.storage.model import Source
from reconcilers.repositoryserver.children import generation, names, revision
from reconcilers.repositoryserver.children.known import KnownInputs
from reconcilers.repositoryserver.children.secrets import ServerInputs
from reconcilers.repositoryserver.inputs import authority, selfsigned
from reconcilers.repositoryserver.verdict import PodContext
from reconcilers.secrets import certificates
from reconcilers.secrets import data as secrets

if TYPE_CHECKING:
    from datetime import datetime

    from controller.clock import Clock
    from reconcilers.repositoryserver import api
    from reconcilers.repositoryserver.caches import Cache, Caches
    from reconcilers.repositoryserver.children.recordkeeper import RecordKeeper
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.repositoryserver.inputs.issuer import CertificateIssuer
    from reconcilers.repositoryserver.inputs.permissions import Permissions
    from reconcilers.repositoryserver.perobject import States
    from reconcilers.secrets.reader import SecretReader, Versions
    from reconcilers.settings import Settings

#: What messages name of a server whose inputs have been wrong since the process began.
UNKNOWN_SETTING: Final = failures.Setting(
    storage="its storage", location="", credential="", password="", user=0
)


@frozen
class _Refusal:
    """Why inputs cannot work, so that they are not read again before they change.

    Args:
        versions: Generation of the resource and versions of the Secrets.
        reason: As of the InvalidInput.
        message: As of the InvalidInput.
    """

    versions: Versions
    reason: str
    message: str


@define
class _State:
    """What is remembered of the inputs of one resource.

    Args:
        inputs: What the server is started with; None if that is to be read.
        refusal: Why what it would be started with cannot work; None if it can.
        setting: What messages about Kopia name, of the last inputs that were right.
    """

    inputs: KnownInputs | None
    refusal: _Refusal | None = None
    setting: failures.Setting = UNKNOWN_SETTING


@frozen
class Expiry:
    """What to report of the end of a certificate.

    Args:
        warning: What to say of one that is about to expire, or has expired; empty if neither.
        is_over: Whether it has expired.
    """

    warning: str
    is_over: bool


class InputReader:
    """Reads and checks what a RepositoryServer refers to.

    The caches hold no Secret's data. What is read leaves the memory with the reconcile; what is
    remembered is not secret.

    Args:
        secret_reader: Reads Secrets.
        caches: Show whether snapshot and ReplicaSet are there.
        issuer: Makes the certificates that are asked for.
        permissions: Refuses what a resource may not ask for.
        records: Holds what an earlier process has known.
        states: Holds what is known of each resource.
        clock: The time, for certificates that expire.
        settings: Defaults for all servers.
    """

    def __init__(
        self,
        *,
        secret_reader: SecretReader,
        caches: Caches[Cache],
        issuer: CertificateIssuer,
        permissions: Permissions,
        records: RecordKeeper,
        states: States,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._secrets = secret_reader
        self._caches = caches
        self._issuer = issuer
        self._permissions = permissions
        self._clock = clock
        self._settings = settings
        self._state = states.per_object(lambda current: _State(records.recall(current).inputs))

    def known_inputs(self, current: ReconcileContext) -> KnownInputs | None:
        """Return what is known of a server's inputs; None if they are to be read.

        Raises:
            InvalidInput: They are known to be such as cannot work, or the resource asks for what it
                may not have.
        """
        self._permissions.check(current.server)
        state = self._state.of(current)
        known, refusal, versions = state.inputs, state.refusal, self._versions(current.server)
        if refusal is not None and refusal.versions == versions:
            raise InvalidInput(refusal.reason, refusal.message)
        if known is None or known.versions != versions or self._is_due(current, known.not_after):
            return None
        return known

    def server_inputs(
        self, current: ReconcileContext, known: KnownInputs | None
    ) -> tuple[KnownInputs, ServerInputs | None]:
        """Return what is known of a server's inputs, and themselves if they had to be read.

        Args:
            current: The reconcile.
            known: What `known_inputs` returned.

        Raises:
            InvalidInput: A Secret is missing or holds what cannot work.
            ClientError: A Secret could not be read.
        """
        server, state = current.server, self._state.of(current)
        full = None
        if known is None or not self._snapshot_stands(server, known.hash):
            # First, so that a refusal leaves no inputs of before for the next reconcile.
            state.inputs = state.refusal = None
            if server.self_signed:
                self._issuer.ensure(current)
            # With a certificate that was written just now.
            versions = self._versions(server)
            try:
                full = self.read(current)
                known = state.inputs = self._known(server, versions, full)
            except InvalidInput as error:
                state.refusal = _Refusal(versions, error.reason, error.message)
                raise
        state.setting = known.pod.setting
        return known, full

    def drop_known(self, current: ReconcileContext) -> None:
        """Drop what is known of the inputs: the next reconcile reads them."""
        self._state.of(current).inputs = None

    def setting(self, current: ReconcileContext) -> failures.Setting:
        """Return what messages about Kopia name, also of a server whose inputs are wrong by now."""
        return self._state.of(current).setting

    def expiry(self, current: ReconcileContext, known: KnownInputs) -> Expiry:
        """Return what to report of the certificate's end.

        Args:
            current: The reconcile, which is followed by one when that changes.
            known: What is known of the inputs.
        """
        tls, now = _tls(current.server), self._clock.now()
        self_signed = current.server.self_signed
        changes = [known.not_after, known.not_after - certificates.NOTICE]
        if self_signed:
            changes.append(known.not_after - selfsigned.RENEW_BEFORE)
        ahead = [(change - now).total_seconds() for change in changes if change > now]
        if ahead:
            current.look_again(min(ahead))
        return Expiry(
            certificates.expiring(tls, known.not_after, now, self_signed=self_signed),
            is_over=known.not_after <= now,
        )

    def read(self, current: ReconcileContext) -> ServerInputs:
        """Read all inputs of a server.

        Raises:
            InvalidInput: A Secret is missing or holds what cannot work, or the resource asks for
                what it may not have.
            ClientError: A Secret could not be read.
        """
        server = current.server
        # Who makes an object of the inputs need not have asked for what is known of them.
        self._permissions.check(server)

        def read(ref: secrets.SecretRef, type_: str) -> secrets.SecretData:
            return secrets.read(ref, self._secret(current, ref), (type_,))

        location = read(server.location, secrets.TYPE_LOCATION)
        kind = kinds.kind_of(location)
        # One that a file store names is of no use, and need not exist.
        credential = (
            read(server.credential, kind.credential_type)
            if server.credential is not None and kind.credential_type
            else None
        )
        found = kind.storage(
            Source(
                location,
                credential,
                namespace=server.namespace,
                root_path=server.root_path,
                read_only=server.read_only,
                point_in_time=server.point_in_time,
            )
        )
        if found.needs_token:
            self._permissions.check_token(server, (credential or location).ref)
        storage = authorities.trusting(found, self._settings.storage.ca_bundle)
        return ServerInputs(
            storage=storage,
            config=repository_config.repository_config(
                storage,
                username=server.username,
                hostname=server.hostname,
                content_cache_mb=server.content_cache_mb,
                metadata_cache_mb=server.metadata_cache_mb,
                read_only=server.read_only,
            ),
            password=secrets.repository_password(read(server.password, secrets.TYPE_PASSWORD)),
            admin=secrets.admin(read(server.admin, secrets.TYPE_ADMIN)),
            certificate=certificates.server_certificate(read(_tls(server), secrets.TYPE_TLS)),
            image=server.image or self._settings.image,
            defaults=self._settings.pod,
        )

    def _known(
        self, server: api.RepositoryServer, versions: Versions, full: ServerInputs
    ) -> KnownInputs:
        return KnownInputs(
            versions=versions,
            hash=revision.revision_hash(server, full),
            not_after=full.certificate.not_after,
            pod=PodContext.of(server, storage=full.storage.label, claim=full.storage.claim),
            repository=identity(full.storage, server.namespace),
            fingerprint=full.certificate.fingerprint,
        )

    def _is_due(self, current: ReconcileContext, not_after: datetime) -> bool:
        return current.server.self_signed and self._issuer.is_due(current, not_after)

    def _snapshot_stands(self, server: api.RepositoryServer, hash_: str) -> bool:
        """Return whether snapshot and ReplicaSet are there, found, and as they were written.

        Neither is written then.
        """
        name = names.versioned_name(server, hash_)
        return all(
            obj is not None and names.is_found(server, obj, hash_) and generation.is_as_written(obj)
            for obj in (
                self._caches.replica_sets.get(server.namespace, name),
                self._caches.secrets.get(server.namespace, name),
            )
        )

    def _versions(self, server: api.RepositoryServer) -> Versions:
        # A namesake begins with the same generation, and may take the ReplicaSet over. Pods mount
        # the users by name.
        besides = [server.uid, str(server.generation), names.users_name(server)]
        # Whether its storage needs a token is known only once that has been read.
        refusal = self._permissions.token_refusal(server)
        besides.append("" if refusal is None else refusal.message)
        if server.self_signed:
            # Not among those that have to be there: a certificate of before authorities has none.
            signer = authority.reference(server)
            besides.append(self._secrets.version(signer.namespace, signer.name))
        return self._secrets.versions((*server.inputs, _tls(server)), *besides)

    def _secret(self, current: ReconcileContext, ref: secrets.SecretRef) -> dict[str, Any] | None:
        return self._secrets.get(current.reads, ref.namespace, ref.name)


def _tls(server: api.RepositoryServer) -> secrets.SecretRef:
    """Return where the certificate of a server stands, whoever has made it."""
    return selfsigned.reference(server) if server.tls is None else server.tls
