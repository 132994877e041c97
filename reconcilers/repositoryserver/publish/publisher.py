"""Publishing how clients connect to a server: a Secret, and a Profile of Kanister's.

What is published describes the server that the Service routes to, as the status does. A fault here
keeps nobody from connecting: what the resource says wrong is a fault beside the server, and what
the cluster lacks a warning.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen

from controller.errors import BadRequest, Forbidden, Invalid, NotFound, WebhookFailed
from reconcilers import resources
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver import connection
from reconcilers.repositoryserver.caches import INDEX_OWNER, owner_uids
from reconcilers.repositoryserver.children import compare, names
from reconcilers.repositoryserver.publish import desired, profileuser
from reconcilers.repositoryserver.users.userfile import UserFile
from reconcilers.repositoryserver.verdict import SERVER_SETUP, Problem, RetryLater
from reconcilers.secrets import certificates
from reconcilers.secrets import data as secrets
from reconcilers.secrets.reader import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from controller.errors import ApiError
    from controller.resource import Object, Resource
    from reconcilers.repositoryserver.caches import Cache, Caches
    from reconcilers.repositoryserver.children.applier import ChildApplier
    from reconcilers.repositoryserver.children.recordkeeper import RecordKeeper
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.repositoryserver.perobject import States
    from reconcilers.repositoryserver.publish.profileuser import ProfileUser
    from reconcilers.repositoryserver.users.source import UserSource
    from reconcilers.secrets.certificates import ServerCertificate
    from reconcilers.secrets.reader import SecretReader

    _Make = Callable[[ReconcileContext, ServerCertificate], dict[str, str]]

#: Seconds until what was refused, or what the API server does not serve, is tried again.
AGAIN_SECONDS: Final = 30.0
#: Seconds until it is looked again whether the Profiles are listed.
UNLISTED_SECONDS: Final = 1.0

#: Names in `status.serverInfo` of what is published.
CONNECTION_SECRET: Final = "connectionSecretName"  # noqa: S105 - a field's name
PROFILE: Final = "kanisterProfileName"

FIELD_CONNECTION: Final = "spec.publish.connection"
FIELD_PROFILE: Final = "spec.publish.kanisterProfile"

REFUSED: Final = "{kind} {name}, which {field} asks for, is not in place: {message}"
STAYS: Final = "{kind} {name}, which spec.publish does not ask for, cannot be deleted: {message}"
NOT_SERVED: Final = (
    "spec.publish.kanisterProfile asks for a Profile, which the API server does not know: install "
    "Kanister, or its CRD profiles.cr.kanister.io alone, or remove the field"
)
NOT_ALLOWED: Final = (
    "spec.publish.kanisterProfile asks for a Profile, which the controller may not write: add "
    "manifests/kanister-profiles to the components of your kustomization, or remove the field"
)
NO_LONGER_WANTED: Final = "spec.publish does not ask for it any more"

#: What the API server may answer about one object. The others are published all the same.
_REFUSALS: Final = (Invalid, BadRequest, Forbidden, WebhookFailed)


@frozen
class Published:
    """What has come of publishing.

    Args:
        problem: What the resource says wrong; None if nothing.
        warning: What is not in place, and why; empty if everything is, None if that is not known.
        names: Names of what is published, by field of `status.serverInfo`; empty for what is not.
            What is not known is left out.
    """

    problem: Problem | None = None
    warning: str | None = ""
    names: Mapping[str, str] = field(factory=dict)


@frozen
class _Step:
    """One object that is published, or taken back.

    Args:
        act: Does it; returns a warning, empty for none.
        template: The warning if the API server refuses it.
        resource: Of the object.
        name: Of the object.
        field_: The field that asks for it; empty if none does any more.
    """

    act: Callable[[], str]
    template: str
    resource: Resource
    name: str
    field_: str = ""

    def refused(self, error: ApiError) -> str:
        """Return the warning of a refusal."""
        words = {"kind": self.resource.kind, "name": self.name, "field": self.field_}
        return self.template.format(message=error.message, **words)


@define
class _Known:
    """What is remembered of a resource, so that a steady one costs no request.

    Args:
        refused: By name of a Secret what it would be made of, and why that cannot be.
        users: What the user was chosen from: the state of the users, and the generation.
        user: Who was chosen, or why nobody could be.
    """

    refused: dict[str, tuple[str, InvalidInput]] = field(factory=dict)
    users: tuple[str, int] = ("", 0)
    user: ProfileUser | InvalidInput | None = None


class Publisher:
    """Keeps what is published of servers as the resources ask for it.

    Args:
        applier: Writes the children.
        secret_reader: Reads the Secret of a revision, and that of the user's certificate.
        users: Reads who may connect.
        records: Knows which Secrets are as they were written.
        caches: What is there.
        states: Holds what is known of each resource.
    """

    def __init__(
        self,
        *,
        applier: ChildApplier,
        secret_reader: SecretReader,
        users: UserSource,
        records: RecordKeeper,
        caches: Caches[Cache],
        states: States,
    ) -> None:
        self._applier = applier
        self._secrets = secret_reader
        self._users = users
        self._records = records
        self._caches = caches
        self._known = states.per_object(lambda _: _Known())

    def ensure(
        self, current: ReconcileContext, shown: Mapping[str, Any] | None, *, in_effect: bool
    ) -> Published:
        """Publish what the resource asks for, and take back what it does not ask for any more.

        Args:
            current: The reconcile.
            shown: The pod whose certificate clients see; None if there is none. What was published
                stays then.
            in_effect: Whether it is of the update revision, whose certificate is in the Secret that
                the resource names.

        Raises:
            Conflict: Somebody was faster.
            ClientError: The API server could not be reached.
        """
        wanted = current.server.publish
        if wanted.profile or self._has_profile(current):
            self._caches.profiles.demand()
        # Empty also while the removed controller's pod serves.
        hash_ = "" if shown is None else names.hash_of(shown)
        steps = [*self._superfluous(current)]
        if hash_:
            steps += self._wanted(current, hash_, in_effect=in_effect)
        problem: Problem | None = None
        warnings: list[str] = []
        for step in steps:
            try:
                warnings.append(step.act())
            except _REFUSALS as error:
                warnings.append(step.refused(error))
            except InvalidInput as error:
                found = Problem(SERVER_SETUP, error.reason, error.message, blocks=False)
                problem = problem or found
            except RetryLater:
                current.look_again(AGAIN_SECONDS)
        warning = "; besides, ".join(filter(None, warnings))
        if warning:
            current.look_again(AGAIN_SECONDS)
        is_known = hash_ or not wanted
        return Published(problem, warning if is_known else None, self._names(current))

    def _wanted(self, current: ReconcileContext, hash_: str, *, in_effect: bool) -> Iterator[_Step]:
        """Yield how each object that the resource asks for is published.

        Args:
            current: The reconcile.
            hash_: Of the revision that clients see.
            in_effect: As for `ensure`.
        """
        server = current.server

        def secret(name: str, field_: str, make: _Make) -> _Step:
            act = functools.partial(
                self._ensure_secret, current, name, hash_, make, in_effect=in_effect
            )
            return _Step(act, REFUSED, resources.SECRETS, name, field_)

        if server.publish.connection:
            yield secret(names.connection_name(server), FIELD_CONNECTION, self._connection)
        if server.publish.profile:
            yield secret(names.profile_certificate_name(server), FIELD_PROFILE, _certificate_alone)
            act = functools.partial(self._ensure_profile, current)
            name = names.stable_name(server)
            yield _Step(act, REFUSED, resources.PROFILES, name, FIELD_PROFILE)

    def _superfluous(self, current: ReconcileContext) -> Iterator[_Step]:
        """Yield how each object goes that is published and not asked for any more."""
        server = current.server
        asked_for = {
            (resources.SECRETS, names.connection_name(server)): server.publish.connection,
            (resources.SECRETS, names.profile_certificate_name(server)): server.publish.profile,
            (resources.PROFILES, names.stable_name(server)): server.publish.profile,
        }
        secrets_ = self._caches.secrets.by_index(INDEX_OWNER, server.uid)
        profiles = self._caches.profiles.by_index(INDEX_OWNER, server.uid)
        published = [(resources.SECRETS, secret) for secret in secrets_ if _mark_of(secret)]
        published += [(resources.PROFILES, profile) for profile in profiles]
        for resource, obj in published:
            name = obj["metadata"]["name"]
            is_going = "deletionTimestamp" in obj["metadata"]
            if names.is_ours(obj) and not is_going and not asked_for.get((resource, name)):
                act = functools.partial(self._delete, current, resource, obj)
                yield _Step(act, STAYS, resource, name)

    def _delete(self, current: ReconcileContext, resource: Resource, obj: Object) -> str:
        self._applier.delete(current, resource, obj, NO_LONGER_WANTED)
        return ""

    def _ensure_secret(
        self, current: ReconcileContext, name: str, hash_: str, make: _Make, *, in_effect: bool
    ) -> str:
        """Apply a Secret, unless it is known to be as it should be.

        Its content is not in the cache. It is marked with what it was made of, and is not as it was
        left once it has another version than the controller has written last.
        """
        server, known = current.server, self._known.of(current)
        mark = self._mark(current, hash_)
        observed = self._caches.secrets.get(server.namespace, name)
        if observed is not None:
            self._applier.refuse_foreign(current, resources.SECRETS, observed)
            as_left = self._records.is_as_written(current, observed)
            wanted = names.metadata(server, name)
            # The Secret that the certificate came from may have the next one by now.
            fits = _mark_of(observed).startswith(mark if in_effect else desired.mark(hash_))
            if (
                as_left
                and fits
                and not compare.differs(wanted, observed["metadata"], ("metadata",))
            ):
                return ""
        refusal = known.refused.get(name)
        if refusal is not None and refusal[0] == mark:
            raise InvalidInput(refusal[1].reason, refusal[1].message)
        certificate = self._certificate(current, hash_)
        if certificate is None:
            return ""
        try:
            obj = desired.secret(server, name, make(current, certificate), mark)
        except InvalidInput as error:
            # The error itself would hold the Secrets that were read, by its traceback.
            known.refused[name] = (mark, InvalidInput(error.reason, error.message))
            raise
        applied = self._applier.ensure(current, resources.SECRETS, obj, changed=True)
        self._records.note_written(current, applied)
        return ""

    def _ensure_profile(self, current: ReconcileContext) -> str:
        """Apply the Profile; return a warning if the API server knows of none."""
        profiles = self._caches.profiles
        refusal = profiles.refusal()
        if refusal is not None:
            return NOT_SERVED if isinstance(refusal, NotFound) else NOT_ALLOWED
        if not profiles.has_synced():
            # One of somebody else's may have the name.
            current.look_again(UNLISTED_SECONDS)
            return ""
        obj = desired.profile(current.server, self._user(current))
        try:
            self._applier.ensure(current, resources.PROFILES, obj)
        except NotFound:
            # The CRD has gone, and the watch has not shown it yet.
            return NOT_SERVED
        return ""

    def _connection(
        self, current: ReconcileContext, certificate: ServerCertificate
    ) -> dict[str, str]:
        authority = self._authority(current, certificate)
        return desired.connection_data(current.server, certificate, authority)

    def _user(self, current: ReconcileContext) -> ProfileUser:
        """Return as whom the Profile connects.

        Raises:
            InvalidInput: Nobody can be chosen.
            ClientError: The users could not be read.
        """
        server, known = current.server, self._known.of(current)
        state = (self._users.users_version(server), server.generation)
        if known.user is None or known.users != state:
            stored = self._users.stored_users(current)
            users = UserFile.parse("" if stored is None else stored.users)
            try:
                known.user = profileuser.choose(server, users)
            except InvalidInput as error:
                known.user = InvalidInput(error.reason, error.message)
            known.users = state
        if isinstance(known.user, InvalidInput):
            raise InvalidInput(known.user.reason, known.user.message)
        return known.user

    def _mark(self, current: ReconcileContext, hash_: str) -> str:
        """Return what a Secret is marked with that is made now."""
        tls = connection.certificate(current.server)
        version = self._secrets.version(tls.namespace, tls.name)
        return desired.mark(hash_, versions([version]))

    def _certificate(self, current: ReconcileContext, hash_: str) -> ServerCertificate | None:
        """Return the certificate of a revision; None if it cannot be known.

        Raises:
            ClientError: The Secret of the revision could not be read.
        """
        server = current.server
        ref = secrets.SecretRef("", server.namespace, names.versioned_name(server, hash_))
        obj = self._secrets.get(current.reads, ref.namespace, ref.name)
        try:
            return certificates.server_certificate(secrets.read(ref, obj, (secrets.TYPE_OPAQUE,)))
        except InvalidInput:
            # It was deleted by hand, and is made again.
            return None

    def _authority(self, current: ReconcileContext, certificate: ServerCertificate) -> str:
        """Return who has signed a certificate, in PEM; empty if that is not known.

        Raises:
            InvalidInput: What the Secret of the certificate holds of that is none.
            ClientError: That Secret could not be read.
        """
        tls = connection.certificate(current.server)
        obj = self._secrets.get(current.reads, tls.namespace, tls.name)
        try:
            secret = secrets.read(tls, obj, (secrets.TYPE_TLS,))
            held = certificates.server_certificate(secret)
        except InvalidInput:
            # The inputs say so.
            return ""
        # The Secret may hold another certificate by now, of another authority.
        return certificates.authority(secret) if held.leaf == certificate.leaf else ""

    def _names(self, current: ReconcileContext) -> dict[str, str]:
        server, profiles = current.server, self._caches.profiles
        found = {}
        for field_, cache, name in (
            (CONNECTION_SECRET, self._caches.secrets, names.connection_name(server)),
            (PROFILE, profiles, names.stable_name(server)),
        ):
            obj = cache.get(server.namespace, name)
            is_there = obj is not None and server.uid in owner_uids(obj)
            found[field_] = name if is_there else ""
        if not profiles.has_synced():
            del found[PROFILE]
        return found

    def _has_profile(self, current: ReconcileContext) -> bool:
        """Return whether there is a Profile by the status, whichever process wrote that."""
        info = (current.obj.get("status") or {}).get("serverInfo") or {}
        return bool(info.get(PROFILE))


def _certificate_alone(
    _current: ReconcileContext, certificate: ServerCertificate
) -> dict[str, str]:
    return desired.profile_data(certificate)


def _mark_of(secret: Mapping[str, Any]) -> str:
    annotations = secret["metadata"].get("annotations") or {}
    mark: str = annotations.get(names.ANNOTATION_PUBLISHED, "")
    return mark
