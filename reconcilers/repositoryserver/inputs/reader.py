"""Reads what a server is started with: the user's Secrets, by name and only when they changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconcilers.errors import InvalidInput
from reconcilers.kopia import repository_config
from reconcilers.kopia.storage import authorities, kinds
from reconcilers.kopia.storage.identity import identity
from reconcilers.kopia.storage.model import Source
from reconcilers.repositoryserver.children import names, revision
from reconcilers.repositoryserver.children.secrets import ServerInputs
from reconcilers.repositoryserver.context import KnownInputs, KnownRefusal
from reconcilers.repositoryserver.inputs import selfsigned
from reconcilers.repositoryserver.verdict import PodContext
from reconcilers.secrets import certificates
from reconcilers.secrets import data as secrets

if TYPE_CHECKING:
    from controller.clock import Clock
    from reconcilers.repositoryserver import api
    from reconcilers.repositoryserver.caches import Cache, Caches
    from reconcilers.repositoryserver.context import Pass
    from reconcilers.repositoryserver.inputs.issuer import CertificateIssuer
    from reconcilers.repositoryserver.inputs.permissions import Permissions
    from reconcilers.secrets.reader import SecretReader, Versions
    from reconcilers.settings import Settings


class InputReader:
    """Reads and checks what a RepositoryServer refers to.

    The caches hold no Secret's data. What is read leaves the memory with the reconcile; what is
    remembered is not secret.
    """

    def __init__(
        self,
        *,
        secret_reader: SecretReader,
        caches: Caches[Cache],
        issuer: CertificateIssuer,
        permissions: Permissions,
        clock: Clock,
        settings: Settings,
    ) -> None:
        """Take the dependencies.

        Args:
            secret_reader: Reads Secrets.
            caches: Show whether snapshot and ReplicaSet are there.
            issuer: Makes the certificates that are asked for.
            permissions: Refuses what a resource may not ask for.
            clock: The time, for certificates that expire.
            settings: Defaults for all servers.
        """
        self._secrets = secret_reader
        self._caches = caches
        self._issuer = issuer
        self._permissions = permissions
        self._clock = clock
        self._settings = settings

    def known_inputs(self, current: Pass) -> KnownInputs | None:
        """Return what is known of a server's inputs; None if they are to be read.

        Raises:
            InvalidInput: They are known to be such as cannot work, or the resource asks for what it
                may not have.
        """
        self._permissions.check(current.server)
        known, refusal, server = current.memory.inputs, current.memory.refusal, current.server
        versions = self._input_versions(server)
        if refusal is not None and refusal.versions == versions:
            raise InvalidInput(refusal.reason, refusal.message)
        if known is None or known.versions != versions or self._is_due(current, known):
            return None
        self._check_expiry(current, known)
        return known

    def server_inputs(
        self, current: Pass, known: KnownInputs | None
    ) -> tuple[KnownInputs, ServerInputs | None]:
        """Return what is known of a server's inputs, and themselves if they had to be read.

        Args:
            current: The pass.
            known: What `known_inputs` returned.

        Raises:
            InvalidInput: A Secret is missing or holds what cannot work.
            ClientError: A Secret could not be read.
        """
        server = current.server
        if known is not None and self._snapshot_stands(server, known.digest):
            return known, None
        # Forgotten first: a refusal must not leave the former inputs for the next pass.
        memory = current.memory
        memory.inputs = memory.refusal = None
        if server.self_signed:
            self._issuer.ensure(current)
        # With a certificate that was written just now.
        versions = self._input_versions(server)
        try:
            full = self.read(current)
            known = memory.inputs = self._known(server, versions, full)
        except InvalidInput as error:
            memory.refusal = KnownRefusal(versions, error.reason, error.message)
            raise
        self._check_expiry(current, known)
        return known, full

    def read(self, current: Pass) -> ServerInputs:
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
            image=self._settings.image,
            defaults=self._settings.pod,
        )

    def _known(
        self, server: api.RepositoryServer, versions: Versions, full: ServerInputs
    ) -> KnownInputs:
        return KnownInputs(
            versions=versions,
            digest=revision.digest(server, full),
            not_after=full.certificate.not_after,
            pod=PodContext.of(server, storage=full.storage.label, claim=full.storage.claim),
            repository=identity(full.storage, server.namespace),
            fingerprint=full.certificate.fingerprint,
        )

    def _is_due(self, current: Pass, known: KnownInputs) -> bool:
        due = selfsigned.is_due(known.not_after, self._clock.now())
        return current.server.self_signed and due and not self._issuer.is_put_off(current)

    def _check_expiry(self, current: Pass, known: KnownInputs) -> None:
        """Set what to report of the certificate's end, and look again when that changes."""
        tls, now = _tls(current.server), self._clock.now()
        self_signed = current.server.self_signed
        current.expiring = certificates.expiring(tls, known.not_after, now, self_signed=self_signed)
        current.expired = known.not_after <= now
        turns = [known.not_after, known.not_after - certificates.NOTICE]
        if self_signed:
            turns.append(known.not_after - selfsigned.RENEW_BEFORE)
        ahead = [(turn - now).total_seconds() for turn in turns if turn > now]
        if ahead:
            current.look_again(min(ahead))

    def _snapshot_stands(self, server: api.RepositoryServer, digest: str) -> bool:
        """Return whether snapshot and ReplicaSet are there and found: neither is written then."""
        name = names.versioned_name(server, digest)
        return all(
            obj is not None and names.is_found(server, obj, digest)
            for obj in (
                self._caches.replica_sets.get(server.namespace, name),
                self._caches.secrets.get(server.namespace, name),
            )
        )

    def _input_versions(self, server: api.RepositoryServer) -> Versions:
        # Pods mount the users by name.
        besides = (str(server.generation), names.users_name(server))
        return self._secrets.versions((*server.inputs, _tls(server)), *besides)

    def _secret(self, current: Pass, ref: secrets.SecretRef) -> dict[str, Any] | None:
        return self._secrets.get(current.reads, ref.namespace, ref.name)


def _tls(server: api.RepositoryServer) -> secrets.SecretRef:
    """Return where the certificate of a server stands, whoever has made it."""
    return selfsigned.reference(server) if server.tls is None else server.tls
