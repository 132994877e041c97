"""Gathering: the user's Secrets, read by name and only when they have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from reconcilers.repositoryserver import (
    api,
    certificates,
    children,
    kopia,
    podstatus,
    record,
    repository_config,
    secrets,
    selfsigned,
    users,
)
from reconcilers.repositoryserver.context import KnownInputs, KnownRefusal, Versions
from reconcilers.repositoryserver.errors import InvalidInput
from reconcilers.repositoryserver.secretreader import SecretReader, version_of
from reconcilers.repositoryserver.storage import kinds
from reconcilers.repositoryserver.storage.model import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from controller.clock import Clock
    from controller.rest.client import Client
    from reconcilers.repositoryserver.caches import Cache, Caches
    from reconcilers.repositoryserver.context import Pass
    from reconcilers.repositoryserver.issuer import CertificateIssuer


@frozen
class StoredUsers:
    """The Secret with the users, as the server has them.

    Attributes:
        obj: The Secret.
        users: The users, as Kopia reads them.
        version: Their version.
    """

    obj: dict[str, Any] = field(repr=False)
    users: str = field(repr=False)
    version: str


class InputReader:
    """Reads and checks what a RepositoryServer refers to.

    The caches hold no Secret's data. What is read is forgotten with the pass; what is remembered is
    not secret.
    """

    def __init__(
        self,
        *,
        client: Client,
        caches: Caches[Cache],
        issuer: CertificateIssuer,
        clock: Clock,
        image: str,
    ) -> None:
        """Take the dependencies.

        Args:
            client: Reads Secrets.
            caches: Tell whether a Secret has changed.
            issuer: Makes the certificates that are asked for.
            clock: Tells whether a certificate has expired.
            image: Image with Kopia for the server pods.
        """
        self._secrets = SecretReader(client=client, cache=caches.secrets)
        self._caches = caches
        self._issuer = issuer
        self._clock = clock
        self._image = image

    def known_inputs(self, current: Pass) -> KnownInputs | None:
        """Return what is known of a server's inputs; None if they are to be read.

        Raises:
            InvalidInput: They are known to be such as cannot work, or the certificate has expired
                since.
        """
        known, refusal, server = current.memory.inputs, current.memory.refusal, current.server
        versions = self._input_versions(server)
        if refusal is not None and refusal.versions == versions:
            raise InvalidInput(refusal.reason, refusal.message)
        if known is None or known.versions != versions or self._is_due(server, known):
            return None
        self._check_expiry(current, known)
        return known

    def server_inputs(
        self, current: Pass, known: KnownInputs | None
    ) -> tuple[KnownInputs, children.ServerInputs | None]:
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
            full = self._read(current)
            known = memory.inputs = self._known(server, versions, full)
        except InvalidInput as error:
            memory.refusal = KnownRefusal(versions, error.reason, error.message)
            raise
        self._check_expiry(current, known)
        return known, full

    def user_sources(self, server: api.RepositoryServer) -> Versions:
        """Return what the users depend on: another value means other users, perhaps."""
        accesses = server.accesses
        return self._versions(
            (access.secret for access in accesses), *(access.username for access in accesses)
        )

    def passwords(self, current: Pass) -> Mapping[str, str]:
        """Return the password of each user that may connect.

        Raises:
            InvalidInput: A Secret is missing, or Kopia would refuse one of its users.
            ClientError: One could not be read.
        """

        def read(access: api.UserAccess) -> secrets.SecretData:
            obj = self._secret(current, access.secret)
            return secrets.read(access.secret, obj, (secrets.TYPE_USERS,))

        return users.all_users((access, read(access)) for access in current.server.accesses)

    def stored_users(self, current: Pass) -> StoredUsers | None:
        """Return the users as they were written for the server last; None if they never were.

        Raises:
            ClientError: They could not be read.
        """
        server = current.server
        # Unlike a Secret of the user's it is nobody's but ours to write, and own writes are in the
        # cache at once: a new server needs not ask.
        if not self.users_version(server):
            return None
        obj = self._secrets.get(current, server.namespace, children.users_name(server))
        if obj is None:
            return None
        data = obj.get("data") or {}
        return StoredUsers(
            obj,
            secrets.decoded(data.get(kopia.USERS_FILE)),
            secrets.decoded(data.get(kopia.USERS_VERSION_FILE)),
        )

    def users_version(self, server: api.RepositoryServer) -> str:
        """Return what tells one state of the Secret with the users from another."""
        return self._version_of(server.namespace, children.users_name(server))

    def _read(self, current: Pass) -> children.ServerInputs:
        server = current.server

        def read(ref: api.SecretRef, type_: str) -> secrets.SecretData:
            return secrets.read(ref, self._secret(current, ref), (type_,))

        location = read(server.location, secrets.TYPE_LOCATION)
        kind = kinds.kind_of(location)
        # One that a file store names is of no use, and need not exist.
        credential = (
            read(server.credential, kind.credential_type)
            if server.credential is not None and kind.credential_type
            else None
        )
        storage = kind.storage(Source(server, location, credential))
        return children.ServerInputs(
            storage=storage,
            config=repository_config.repository_config(server, storage),
            password=secrets.repository_password(read(server.password, secrets.TYPE_PASSWORD)),
            admin=secrets.admin(read(server.admin, secrets.TYPE_ADMIN)),
            certificate=certificates.server_certificate(read(_tls(server), secrets.TYPE_TLS)),
            image=self._image,
        )

    def _known(
        self, server: api.RepositoryServer, versions: Versions, full: children.ServerInputs
    ) -> KnownInputs:
        return KnownInputs(
            versions=versions,
            digest=children.digest(server, full),
            not_after=full.certificate.not_after,
            pod=podstatus.PodContext.of(
                server, storage=full.storage.label, claim=full.storage.claim
            ),
        )

    def _is_due(self, server: api.RepositoryServer, known: KnownInputs) -> bool:
        return server.self_signed and selfsigned.is_due(known.not_after, self._clock.now())

    def _check_expiry(self, current: Pass, known: KnownInputs) -> None:
        tls, now = _tls(current.server), self._clock.now()
        self_signed = current.server.self_signed
        if known.not_after <= now:
            raise certificates.expired(tls, known.not_after, self_signed=self_signed)
        current.expiring = certificates.expiring(tls, known.not_after, now, self_signed=self_signed)
        turns = [known.not_after, known.not_after - certificates.NOTICE]
        if self_signed:
            turns.append(known.not_after - selfsigned.RENEW_BEFORE)
        current.look_again(min((turn - now).total_seconds() for turn in turns if turn > now))

    def _snapshot_stands(self, server: api.RepositoryServer, digest: str) -> bool:
        """Return whether snapshot and pod are there and found, so that neither is written."""
        name = children.versioned_name(server, digest)
        return all(
            obj is not None and children.is_found(server, obj, digest)
            for obj in (
                self._caches.pods.get(server.namespace, name),
                self._caches.secrets.get(server.namespace, name),
            )
        )

    def _input_versions(self, server: api.RepositoryServer) -> Versions:
        return self._versions((*server.inputs, _tls(server)), str(server.generation))

    def _versions(self, refs: Iterable[api.SecretRef], *besides: str) -> Versions:
        """Return the state of Secrets, and of what else is told of it."""
        states = [(str(ref), self._version_of(ref.namespace, ref.name)) for ref in refs]
        digest = record.versions([*besides, *states])
        return Versions(digest, complete=all(version for _, version in states))

    def _version_of(self, namespace: str, name: str) -> str:
        obj = self._caches.secrets.get(namespace, name)
        return "" if obj is None else version_of(obj)

    def _secret(self, current: Pass, ref: api.SecretRef) -> dict[str, Any] | None:
        # Asked for even if the cache has none: the watch of Secrets can lag behind the one that has
        # brought the resource, and who makes both at once must not be told that one is missing.
        return self._secrets.get(current, ref.namespace, ref.name)


def _tls(server: api.RepositoryServer) -> api.SecretRef:
    """Return where the certificate of a server stands, whoever has made it."""
    return selfsigned.reference(server) if server.tls is None else server.tls
