"""Acting on users: the server's users become those of the access Secrets.

The users are in an owned Secret that the pod mounts. A new pod starts with them; a running server
loads changed ones, by a command in its pod. The only change to the repository is the deletion of
the users' entries that a legacy server has left: Kopia would go on accepting the passwords in them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import structlog
from attrs import evolve, frozen

from controller.conditions import timestamp
from controller.workqueue.queue import LOW_PRIORITY
from reconcilers import resources
from reconcilers.errors import InvalidInput
from reconcilers.kopia import failures, htpasswd
from reconcilers.repositoryserver import servercommands, serverexec
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.secrets import users_secret
from reconcilers.repositoryserver.context import Attempt, KnownUsers, Purge
from reconcilers.repositoryserver.rollout import podstatus, retry
from reconcilers.repositoryserver.serverexec import (
    UNANSWERED,
    CommandError,
    Unanswered,
    Unreachable,
)
from reconcilers.repositoryserver.users import access
from reconcilers.repositoryserver.verdict import (
    CLIENT_USER_INITIALIZED,
    REASON_LOADING_USERS,
    SERVER_REFRESHED,
    Problem,
    Waiting,
)
from reconcilers.secrets.reader import version_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.clock import Clock
    from controller.rest.podexec import ExecResult
    from reconcilers.repositoryserver.children.applier import ChildApplier, Teller
    from reconcilers.repositoryserver.context import Pass
    from reconcilers.repositoryserver.serverexec import ServerCommands
    from reconcilers.repositoryserver.users.source import StoredUsers, UserSource
    from reconcilers.secrets.reader import Versions

#: Seconds for which a server has been Ready before its repository is searched for users' entries.
#: That costs as much as starting a server, and those that start at the same time go first.
FORGET_AFTER_SECONDS: Final = 30.0

#: Seconds between two searches that fail. One opens the repository, and takes as much of the
#: container's memory as the server itself.
FORGET_AGAIN_SECONDS: Final = 600.0

#: Seconds between two tries while the kubelet has not copied the changed Secret into the pod. It
#: sees the change within milliseconds, mostly.
TAKE_UP_PAUSE_SECONDS: Final = 1.0
#: Value of a pod's annotation while its server loads the users.
AWAITED: Final = "{version} awaited since {since}"
WAITING_USERS: Final = "the kubelet has not yet copied the changed users into pod {pod}"
LOADING_USERS: Final = "the server in pod {pod} is loading the changed users"

USERS_STAY: Final = "{message}; until this is fixed, no user is added, changed or removed"

UNREACHABLE: Final = "the users cannot be loaded into the server in pod {pod}: {cause}"

EVENT_USERS_CHANGED: Final = "UsersChanged"
EVENT_USERS_FORGOTTEN: Final = "UsersForgotten"
FORGOTTEN: Final = "deleted old user entries from the repository: {names}"

_VERSION_BYTES: Final = 5
#: What stands in place of a version: it does not tell one file from another.
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


class UserRegistrar:
    """Keeps a server's users as the access Secrets have them.

    Args:
        commands: Runs Kopia in the server's container.
        reader: Reads the access Secrets, and the users as they are.
        applier: Writes the users, and which of them a pod has loaded.
        tell: Records the events about users.
        clock: The time.
    """

    def __init__(
        self,
        *,
        commands: ServerCommands,
        reader: UserSource,
        applier: ChildApplier,
        tell: Teller,
        clock: Clock,
    ) -> None:
        self._commands = commands
        self._reader = reader
        self._applier = applier
        self._tell = tell
        self._clock = clock

    def ensure_known(self, current: Pass) -> Problem | None:
        """Write the users for the server if they are not as the access Secrets have them.

        Returns:
            What is wrong with an access Secret. The users stay as they were then; a server that
            never had any gets none, and can start.

        Raises:
            InvalidInput: The name of the Secret is taken.
            Unsettled: It belongs to a deleted namesake of the resource.
            AlreadyExists: It is there, and the cache does not show it yet.
            ClientError: The API server refused or could not be reached.
        """
        server = current.server
        sources = self._reader.user_sources(server)
        known = current.memory.users
        if (
            known is not None
            and known.sources == sources
            and known.stored == self._reader.users_version(server)
        ):
            return known.problem
        stored = self._reader.stored_users(current)
        former = "" if stored is None else stored.users
        problem: Problem | None = None
        try:
            wanted = htpasswd.render(self._reader.passwords(current), former)
        except InvalidInput as error:
            wanted, problem = former, Problem.of(error, CLIENT_USER_INITIALIZED)
            if former:
                # Somebody may just have removed a user from another of the Secrets.
                problem = evolve(problem, message=USERS_STAY.format(message=problem.message))
        self._write(current, stored, wanted, sources, problem)
        return problem

    def ensure_loaded(
        self, current: Pass, pods: Sequence[Mapping[str, Any]], setting: failures.Setting
    ) -> Problem | Waiting | None:
        """Have the servers in some pods load the users, those that have others.

        Args:
            current: The reconcile.
            pods: The pods. One that does not answer is left alone.
            setting: What messages name.

        Returns:
            What Kopia refused, what is being waited for, or None.

        Raises:
            ClientError: The API server refused or could not be reached.
        """
        memory, known = current.memory, current.memory.users
        if known is None:
            return None
        # What is known of pods that are gone, and of former users, goes.
        uids = {pod["metadata"]["uid"] for pod in pods}
        memory.attempts = {
            uid: last
            for uid, last in memory.attempts.items()
            if uid in uids and last.version == known.version
        }
        memory.loading = {
            uid: version
            for uid, version in memory.loading.items()
            if uid in uids and version == known.version
        }
        verdict: Problem | Waiting | None = None
        written = self._reader.written_users(current.server, known.version)
        for pod in pods:
            if not written.are_loaded(pod):
                verdict = self._ensure_loaded(current, pod, known.version, setting) or verdict
        return verdict

    def _ensure_loaded(
        self, current: Pass, pod: Mapping[str, Any], version: str, setting: failures.Setting
    ) -> Problem | Waiting | None:
        memory, uid = current.memory, pod["metadata"]["uid"]
        failed = memory.attempts.get(uid)
        # A command that is under way is brought to its end even if the pod does not answer any
        # more: a storage that hangs is known by the time that this takes, and fails the probe too.
        if uid not in memory.loading:
            if not podstatus.answers(pod):
                return None
            if failed is not None and failed.until > self._clock.monotonic():
                return self._pause(current, failed)
            # A change to the pod makes the kubelet look at its volumes now, not within a minute.
            since = timestamp(self._clock.now())
            self._mark(current, pod, AWAITED.format(version=version, since=since))
            memory.loading[uid] = version
        end = self._load(current, pod, version, setting)
        if end is None:
            # Another try that is under way mends nothing yet.
            return _loading(pod) if failed is None else failed.verdict
        del memory.loading[uid]
        if end.fault is None:
            self._mark(current, pod, version)
            memory.attempts.pop(uid, None)
            return None
        now = self._clock.monotonic()
        first = now if failed is None else failed.since
        until = now + retry.pause(now - first, end.shortest_pause)
        memory.attempts[uid] = Attempt(version, first, until, end.fault)
        return self._pause(current, memory.attempts[uid])

    def _load(
        self, current: Pass, pod: Mapping[str, Any], version: str, setting: failures.Setting
    ) -> _End | None:
        """Return what came of loading the users into a server; None while it is under way."""
        name = pod["metadata"]["name"]
        try:
            result = self._commands.ensure(
                current, pod, serverexec.LOAD_USERS, servercommands.take_up_users(version)
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
            return _End(waiting, TAKE_UP_PAUSE_SECONDS)
        output = result.stderr.decode(errors="replace")
        explanation = failures.explain(output, result.exit_code, setting)
        return _End(Problem(SERVER_REFRESHED, explanation.reason, explanation.message))

    def _pause(self, current: Pass, failed: Attempt) -> Problem | Waiting:
        """Ask for the next try, and return what came of the last one."""
        current.look_again(failed.until - self._clock.monotonic())
        return failed.verdict

    def ensure_purged(self, current: Pass, pod: Mapping[str, Any]) -> frozenset[str] | None:
        """Remove the users' entries in the repository, which a legacy server has left.

        Args:
            current: The reconcile.
            pod: The pod, which is Ready.

        Returns:
            The users that have none; None if that is recorded, or not known yet. A failure keeps
            nobody from connecting: it is logged, and tried again.

        Raises:
            ClientError: The API server refused or could not be reached.
        """
        memory, known = current.memory, current.memory.users
        recorded = frozenset((current.obj.get("status") or {}).get("registeredUsers") or ())
        if known is None or current.server.read_only:
            return None
        searched_for = known.names | memory.left
        if searched_for <= recorded:
            return None if known.names == recorded else known.names
        now = self._clock.monotonic()
        if memory.forget_at is None:
            memory.forget_at = now + FORGET_AFTER_SECONDS
        left = memory.forget_at - now
        if left > 0:
            # Servers that are not up yet come first.
            current.look_again(left, priority=LOW_PRIORITY)
            return None
        try:
            purged = self._purge(current, pod, searched_for)
        except (access.UserListError, CommandError) as error:
            _log.warning("previous users may still connect", cause=str(error))
            memory.purge = None
            memory.forget_at = self._clock.monotonic() + FORGET_AGAIN_SECONDS
            current.look_again(FORGET_AGAIN_SECONDS)
            return None
        if not purged:
            return None
        memory.left = frozenset()
        return known.names

    def _purge(self, current: Pass, pod: Mapping[str, Any], searched_for: frozenset[str]) -> bool:
        """Search the repository for users and delete their entries; return whether that is done."""
        memory = current.memory
        if memory.purge is None:
            listed = self._commands.ensure(
                current, pod, serverexec.LIST_USERS, servercommands.LIST_USERS
            )
            if listed is None:
                return False
            _check(listed)
            found = searched_for & access.parse_names(listed.stdout)
            memory.purge = Purge(searched_for, found)
        purge = memory.purge
        if purge.found:
            stdin = servercommands.forget_users_input(purge.found)
            result = self._commands.ensure(
                current, pod, serverexec.PURGE_USERS, servercommands.FORGET_USERS, stdin=stdin
            )
            if result is None:
                return False
            _check(result)
            note = FORGOTTEN.format(names=", ".join(sorted(purge.found)))
            self._tell(current, EVENT_USERS_FORGOTTEN, note, "ForgetUsers")
        memory.purge = None
        # Users may have come and gone since the search.
        return purge.searched_for >= searched_for or self._purge(current, pod, searched_for)

    def _write(
        self,
        current: Pass,
        stored: StoredUsers | None,
        wanted: str,
        sources: Versions,
        problem: Problem | None,
    ) -> None:
        version = _version(stored, wanted)
        if stored is None:
            changed = self._applier.has_pods(current)
            since = ""
        else:
            changed = (stored.users, stored.version) != (wanted, version)
            since = (stored.obj["metadata"].get("annotations") or {}).get(
                names.ANNOTATION_CHANGED, ""
            )
        if changed:
            since = timestamp(self._clock.now())
        secret = users_secret(current.server, wanted, version, since)
        if stored is None:
            # Created, not applied: a Secret that the cache does not show yet must not be replaced.
            written = self._applier.create(current, resources.SECRETS, secret)
        else:
            # The cache holds no content to compare with.
            written = self._applier.ensure(current, resources.SECRETS, secret, changed=changed)
        current.memory.users = KnownUsers(
            sources, version_of(written), version, frozenset(htpasswd.entries(wanted)), problem
        )
        if stored is not None:
            self._note_change(current, stored.users, wanted)

    def _note_change(self, current: Pass, former: str, wanted: str) -> None:
        """Record an event about the change, and whom the repository may still have."""
        change = access.Change.between(htpasswd.entries(former), htpasswd.entries(wanted))
        # A read-only repository keeps its entries.
        if not current.server.read_only:
            current.memory.left |= frozenset(change.removed)
        if change.summary():
            self._tell(current, EVENT_USERS_CHANGED, change.summary(), "ChangeUsers")

    def _mark(self, current: Pass, pod: Mapping[str, Any], value: str) -> None:
        self._applier.annotate(current, pod, {names.ANNOTATION_USERS: value})


def _loading(pod: Mapping[str, Any]) -> Waiting:
    message = LOADING_USERS.format(pod=pod["metadata"]["name"])
    return Waiting(SERVER_REFRESHED, REASON_LOADING_USERS, message)


def _check(result: ExecResult) -> None:
    """Return if a command has succeeded.

    Raises:
        UserListError: It has not; the message is Kopia's.
    """
    if result.exit_code != 0:
        raise access.UserListError(failures.last_line(result.stderr.decode(errors="replace")))


def _version(stored: StoredUsers | None, wanted: str) -> str:
    """Return the version of users that are to be written: the stored one if nothing changes."""
    if stored is not None and stored.users == wanted and stored.version not in _NO_VERSIONS:
        return stored.version
    return os.urandom(_VERSION_BYTES).hex() if wanted else names.NO_USERS
