"""Keeping a server's users as the access Secrets have them.

The users are in an owned Secret that the pod mounts. A new pod starts with them. A running server
loads changed ones by a command in its pod, also while it drains.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import structlog
from attrs import define, evolve, field, frozen

from controller.conditions import timestamp
from reconcilers import resources
from reconcilers.kopia import failures, htpasswd
from reconcilers.repositoryserver import servercommands, serverexec
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.known import KnownUsers
from reconcilers.repositoryserver.children.secrets import users_secret
from reconcilers.repositoryserver.rollout import podstatus, retry
from reconcilers.repositoryserver.serverexec import UNANSWERED, Unanswered, Unreachable
from reconcilers.repositoryserver.users import access, legacy
from reconcilers.repositoryserver.users.userfile import UserFile, kopia_reads_the_same, origin_of
from reconcilers.repositoryserver.verdict import (
    CLIENT_USER_INITIALIZED,
    REASON_LOADING_USERS,
    SERVER_REFRESHED,
    Problem,
    Waiting,
)
from reconcilers.secrets import data as secrets
from reconcilers.secrets.reader import version_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.clock import Clock
    from reconcilers.errors import InvalidInput
    from reconcilers.repositoryserver.children.applier import ChildApplier, RecordEvent
    from reconcilers.repositoryserver.children.recordkeeper import RecordKeeper
    from reconcilers.repositoryserver.children.workload import WorkloadWriter
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.repositoryserver.perobject import States
    from reconcilers.repositoryserver.serverexec import ServerCommands
    from reconcilers.repositoryserver.users.source import StoredUsers, UserSource

#: Seconds between two tries while the kubelet has not copied the changed Secret into the pod. That
#: mostly takes milliseconds.
LOAD_PAUSE_SECONDS: Final = 1.0
#: Value of a pod's annotation while its server loads the users.
AWAITED: Final = "{version} awaited since {since}"
WAITING_USERS: Final = "the kubelet has not yet copied the changed users into pod {pod}"
LOADING_USERS: Final = "the server in pod {pod} is loading the changed users"

UNREACHABLE: Final = "the users cannot be loaded into the server in pod {pod}: {cause}"

EVENT_USERS_CHANGED: Final = "UsersChanged"

_VERSION_BYTES: Final = 5
#: Values in place of a version, which do not tell one file from another.
_NO_VERSIONS: Final = frozenset({"", names.NO_USERS})

_log = structlog.get_logger()


@frozen
class _End:
    """What came of a try to load users.

    Args:
        fault: Why the server does not have them; None if it has.
        shortest_pause: Seconds until the next try, at least.
    """

    fault: Problem | Waiting | None
    shortest_pause: float = retry.MIN_SECONDS


@frozen
class _Attempt:
    """A try to load users into a server that has failed.

    Args:
        version: Of the users.
        since: When the first try with them failed, in monotonic seconds.
        until: When to try again, in monotonic seconds.
        fault: What came of it.
    """

    version: str
    since: float
    until: float
    fault: Problem | Waiting


@define
class _State:
    """What is remembered of the users of one resource.

    Args:
        users: Who may connect; None before that was written.
        attempts: By uid of a pod the last try to load the users into its server, if it failed.
        loading: By uid of a pod the version of the users that its server is loading.
    """

    users: KnownUsers | None
    attempts: dict[str, _Attempt] = field(factory=dict)
    loading: dict[str, str] = field(factory=dict)


@frozen
class Loaded:
    """What came of loading users into the servers of pods.

    Args:
        fault: What Kopia refused in a pod that matters, or what is being waited for; None if
            neither is.
        pods: The pods whose marks were written, as they are then.
    """

    fault: Problem | Waiting | None
    pods: tuple[Mapping[str, Any], ...] = ()


class UserRegistrar:
    """Keeps a server's users as the access Secrets have them.

    Args:
        commands: Runs Kopia in the server's container.
        reader: Reads the access Secrets, and the users as they are.
        applier: Writes the users.
        workload: Marks the pods that have loaded them.
        records: Holds what an earlier process has known.
        record_event: Records the events about users.
        states: Holds what is known of each resource.
        clock: The time.
    """

    def __init__(
        self,
        *,
        commands: ServerCommands,
        reader: UserSource,
        applier: ChildApplier,
        workload: WorkloadWriter,
        records: RecordKeeper,
        record_event: RecordEvent,
        states: States,
        clock: Clock,
    ) -> None:
        self._commands = commands
        self._reader = reader
        self._applier = applier
        self._workload = workload
        self._record_event = record_event
        self._clock = clock
        self._state = states.per_object(lambda current: _State(records.recall(current).users))

    def ensure_written(self, current: ReconcileContext) -> KnownUsers:
        """Write the users for the server if they are not as the access Secrets have them.

        Returns:
            What is known of them, with what is wrong with the access Secrets. The users of those
            that are wrong stay as they were then; a server that never had any gets none, and can
            start.

        Raises:
            InvalidInput: The name of the Secret is taken.
            RetryLater: It belongs to a deleted namesake of the resource.
            AlreadyExists: It is there, and the cache does not show it yet.
            ClientError: The API server refused or could not be reached.
        """
        server = current.server
        sources = self._reader.user_sources(server)
        state = self._state.of(current)
        known = state.users
        if (
            known is not None
            and known.sources == sources
            and known.stored == self._reader.users_version(server)
        ):
            return known
        stored = self._reader.stored_users(current)
        present = UserFile.parse("" if stored is None else stored.users)
        resolved = access.resolve(self._reader.accesses(current), present)
        marked = present.legacy if stored is not None else _legacy(current, resolved)
        users = UserFile(resolved.sections, marked)
        if len(users.text()) > access.MAX_FILE_BYTES:
            # Users who may connect go first: entries that stay are reported.
            users = evolve(users, legacy=frozenset())
        known = KnownUsers(
            sources,
            stored="",
            version="",
            legacy=users.legacy,
            problem=_problem(resolved.problems),
            warning=resolved.warning,
            short=resolved.short,
        )
        state.users = self._write(current, stored, users, known)
        return state.users

    def clear_pending_purge(self, current: ReconcileContext) -> None:
        """Record that no entry in the repository is to be deleted any more.

        If somebody else has changed the users meanwhile, nothing is recorded: the next reconcile
        puts them right, and another search records this.

        Raises:
            ClientError: The API server refused or could not be reached.
        """
        state = self._state.of(current)
        stored, known = self._reader.stored_users(current), state.users
        if stored is not None and known is not None and version_of(stored.obj) == known.stored:
            users = evolve(UserFile.parse(stored.users), legacy=frozenset())
            state.users = self._write(current, stored, users, evolve(known, legacy=frozenset()))

    def ensure_loaded(
        self,
        current: ReconcileContext,
        known: KnownUsers,
        pods: Sequence[Mapping[str, Any]],
        others: Sequence[Mapping[str, Any]],
        setting: failures.Setting,
    ) -> Loaded:
        """Load the users into the servers of all pods that have others.

        Args:
            current: The reconcile.
            known: What is known of the users.
            pods: The pods that matter to the server. One that does not answer is left alone.
            others: Its other pods, which drain: whoever was removed must not come in by one of
                them. A failure in one of these is tried again as well, and keeps nothing waiting.
            setting: What messages name.

        Returns:
            What came of it.

        Raises:
            ClientError: The API server refused or could not be reached.
        """
        state = self._state.of(current)
        # Drop what is remembered of pods that are gone, and of versions of before.
        uids = {pod["metadata"]["uid"] for pod in (*pods, *others)}
        state.attempts = {
            uid: last
            for uid, last in state.attempts.items()
            if uid in uids and last.version == known.version
        }
        state.loading = {
            uid: version
            for uid, version in state.loading.items()
            if uid in uids and version == known.version
        }
        written = self._reader.written_users(current.server, known.version)
        fault: Problem | Waiting | None = None
        marked: list[Mapping[str, Any]] = []
        for pod in (*pods, *others):
            if written.are_loaded(pod):
                continue
            found = self._ensure_loaded(current, pod, known.version, setting)
            marked += found.pods
            if pod in pods:
                fault = found.fault or fault
        return Loaded(fault, tuple(marked))

    def _ensure_loaded(
        self,
        current: ReconcileContext,
        pod: Mapping[str, Any],
        version: str,
        setting: failures.Setting,
    ) -> Loaded:
        state, uid = self._state.of(current), pod["metadata"]["uid"]
        failed = state.attempts.get(uid)
        marked: tuple[Mapping[str, Any], ...] = ()
        # Wait for a command that is under way even if the pod does not answer any more: a storage
        # that hangs is noticed by the time that the command takes, and fails the probe as well.
        if uid not in state.loading:
            if not podstatus.answers(pod):
                return Loaded(None)
            if failed is not None and failed.until > self._clock.monotonic():
                return Loaded(self._pause(current, failed))
            # A change to the pod makes the kubelet look at its volumes now, not within a minute.
            since = timestamp(self._clock.now())
            marked = (self._mark(current, pod, AWAITED.format(version=version, since=since)),)
            state.loading[uid] = version
        end = self._load(current, pod, version, setting)
        if end is None:
            # While another try is under way the last one's fault stands.
            return Loaded(_loading(pod) if failed is None else failed.fault, marked)
        del state.loading[uid]
        if end.fault is None:
            state.attempts.pop(uid, None)
            return Loaded(None, (self._mark(current, pod, version),))
        now = self._clock.monotonic()
        first = now if failed is None else failed.since
        until = now + retry.pause(now - first, end.shortest_pause)
        state.attempts[uid] = _Attempt(version, first, until, end.fault)
        if isinstance(end.fault, Problem):
            # The status does not report a pod that drains.
            _log.warning("users not loaded", pod=pod["metadata"]["name"], cause=end.fault.message)
        return Loaded(self._pause(current, state.attempts[uid]), marked)

    def _load(
        self,
        current: ReconcileContext,
        pod: Mapping[str, Any],
        version: str,
        setting: failures.Setting,
    ) -> _End | None:
        """Return what came of loading the users into a server; None while it is under way."""
        name = pod["metadata"]["name"]
        try:
            result = self._commands.ensure(
                current, pod, serverexec.LOAD_USERS, servercommands.load_users(version)
            )
        except Unanswered:
            message = failures.STORAGE_UNAVAILABLE.format(storage=setting.storage, cause=UNANSWERED)
            return _End(Problem(SERVER_REFRESHED, failures.REASON_STORAGE, message))
        except Unreachable as error:
            message = UNREACHABLE.format(pod=name, cause=error)
            return _End(Waiting(SERVER_REFRESHED, REASON_LOADING_USERS, message))
        if result is None:
            return None
        if result.exit_code == 0:
            return _End(None)
        if result.exit_code == servercommands.NOT_THERE_YET:
            message = WAITING_USERS.format(pod=name)
            waiting = Waiting(SERVER_REFRESHED, REASON_LOADING_USERS, message)
            return _End(waiting, LOAD_PAUSE_SECONDS)
        output = result.stderr.decode(errors="replace")
        explanation = failures.explain(output, result.exit_code, setting)
        return _End(Problem(SERVER_REFRESHED, explanation.reason, explanation.message))

    def _pause(self, current: ReconcileContext, failed: _Attempt) -> Problem | Waiting:
        """Ask for the next try, and return what came of the last one."""
        current.look_again(failed.until - self._clock.monotonic())
        return failed.fault

    def _write(
        self,
        current: ReconcileContext,
        stored: StoredUsers | None,
        users: UserFile,
        known: KnownUsers,
    ) -> KnownUsers:
        """Write the users, and return what is known of them then."""
        text = users.text()
        version = _version(stored, users, known.problem)
        if stored is None:
            others, since = self._workload.has_pods(current), ""
        else:
            others, since = stored.version != version, stored.changed
        # A file that Kopia reads the same is no change of the users.
        if others:
            since = timestamp(self._clock.now())
        secret = users_secret(current.server, text, version, since)
        if stored is None:
            # Created, not applied: a Secret that the cache does not show yet must not be replaced.
            written = self._applier.create(current, resources.SECRETS, secret)
        else:
            # The cache holds no content to compare with.
            changed = (stored.users, stored.version) != (text, version)
            written = self._applier.ensure(current, resources.SECRETS, secret, changed=changed)
            change = access.Change.between(htpasswd.entries(stored.users), users.entries())
            if change.summary():
                self._record_event(current, EVENT_USERS_CHANGED, change.summary(), "ChangeUsers")
        return evolve(known, stored=version_of(written), version=version)

    def _mark(
        self, current: ReconcileContext, pod: Mapping[str, Any], value: str
    ) -> Mapping[str, Any]:
        return self._workload.annotate(current, pod, {names.ANNOTATION_USERS: value})


def _loading(pod: Mapping[str, Any]) -> Waiting:
    message = LOADING_USERS.format(pod=pod["metadata"]["name"])
    return Waiting(SERVER_REFRESHED, REASON_LOADING_USERS, message)


def _legacy(current: ReconcileContext, resolved: access.Resolved) -> frozenset[str]:
    """Return the users of a resource whom the removed controller has written to the repository.

    Of the accesses it knew `spec.server.userAccess` alone.
    """
    main = current.server.access
    if not main.username or not legacy.has_registered_users(current.obj):
        return frozenset()
    return frozenset(resolved.sections.get(origin_of(main), ()))


def _problem(refusals: Sequence[InvalidInput]) -> Problem | None:
    """Return what is wrong with access Secrets as one problem; None if nothing is."""
    if not refusals:
        return None
    # A missing Secret may be back in a moment: what lasts gives the reason.
    reasons = sorted(
        (one.reason for one in refusals), key=lambda one: one == secrets.REASON_MISSING
    )
    message = "; besides, ".join(one.message for one in refusals)
    return Problem(CLIENT_USER_INITIALIZED, reasons[0], message)


def _version(stored: StoredUsers | None, users: UserFile, problem: Problem | None) -> str:
    """Return the version of users that are to be written: the stored one if Kopia reads the same.

    A server whose access Secrets are wrong and that never had any users has `names.NO_USERS`.
    """
    has_version = stored is not None and stored.version not in _NO_VERSIONS
    if stored is not None and has_version and kopia_reads_the_same(stored.users, users.text()):
        return stored.version
    if problem is not None and not has_version and not users.entries():
        return names.NO_USERS
    return os.urandom(_VERSION_BYTES).hex()
