"""Acting on users: the server's users become those of the access Secrets.

The users stand in an owned Secret that the pod mounts. A new pod starts with them; a running one is
told of changes. Nothing is written into the repository but the end of entries from before: Kopia
would go on accepting the passwords in them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import structlog
from attrs import evolve

from controller.conditions import timestamp
from controller.workqueue.queue import LOW_PRIORITY
from reconcilers import resources
from reconcilers.errors import InvalidInput
from reconcilers.kopia import failures, htpasswd
from reconcilers.repositoryserver import servercommands
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.secrets import users_secret
from reconcilers.repositoryserver.context import Attempt, KnownUsers
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
    SERVER_REFRESHED,
    Problem,
    Waiting,
)
from reconcilers.secrets.reader import version_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.clock import Clock
    from reconcilers.repositoryserver.children.applier import ChildApplier, Teller
    from reconcilers.repositoryserver.context import Pass
    from reconcilers.repositoryserver.serverexec import CommandRunner
    from reconcilers.repositoryserver.users.source import StoredUsers, UserSource
    from reconcilers.secrets.reader import Versions

# The repository is searched for entries of before when the server has been Ready for so long: that
# costs as much as starting it, and servers that start at the same time should not wait for it.
FORGET_AFTER_SECONDS = 30.0

# What hangs is left behind in the container, which has memory for a few of them.
FORGET_AGAIN_SECONDS = 600.0

# The kubelet sees a changed Secret within milliseconds; where it does not it is asked again.
TAKE_UP_PAUSE_SECONDS = 1.0
AWAITED = "{version} awaited since {since}"
WAITING_USERS = "the kubelet has not yet copied the changed users into pod {pod}"

USERS_STAY = "{message}; until this is fixed, no user is added, changed or removed"

UNREACHABLE = "the users cannot be loaded into the server in pod {pod}: {cause}"

EVENT_USERS_CHANGED = "UsersChanged"
EVENT_USERS_FORGOTTEN = "UsersForgotten"
FORGOTTEN = "deleted old user entries from the repository: {names}"

_VERSION_BYTES = 5
# Versions that are none: another file would not be told from this one.
_NO_VERSIONS = frozenset({"", names.NO_USERS})

_log = structlog.get_logger()


class UserRegistrar:
    """Keeps a server's users as the access Secrets have them."""

    def __init__(
        self,
        *,
        commands: CommandRunner,
        reader: UserSource,
        applier: ChildApplier,
        tell: Teller,
        clock: Clock,
    ) -> None:
        """Take the dependencies.

        Args:
            commands: Runs Kopia in the server's container.
            reader: Reads the access Secrets, and the users as they are.
            applier: Writes the users, and what a pod has taken up.
            tell: Tells of changed users.
            clock: The time.
        """
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
                # Of several Secrets one may take users away: who does has to know that they stay.
                problem = evolve(problem, message=USERS_STAY.format(message=problem.message))
        self._write(current, stored, wanted, sources, problem)
        return problem

    def ensure_taken_up(
        self, current: Pass, pods: Sequence[Mapping[str, Any]], setting: failures.Setting
    ) -> Problem | Waiting | None:
        """Let the servers in some pods take up the users, those that have others.

        Args:
            current: The pass.
            pods: The pods. One that does not answer is left alone.
            setting: What messages name.

        Returns:
            What Kopia refused, what is being waited for, or None.

        Raises:
            ClientError: The API server refused or could not be reached.
        """
        memory, uids = current.memory, {pod["metadata"]["uid"] for pod in pods}
        # Pods come and go for as long as the process lives.
        memory.attempts = {uid: last for uid, last in memory.attempts.items() if uid in uids}
        verdict: Problem | Waiting | None = None
        for pod in pods:
            verdict = self._ensure_taken_up(current, pod, setting) or verdict
        return verdict

    def _ensure_taken_up(
        self, current: Pass, pod: Mapping[str, Any], setting: failures.Setting
    ) -> Problem | Waiting | None:
        known = current.memory.users
        if known is None or names.users_of(pod) == known.version or not podstatus.answers(pod):
            return None
        attempts, uid = current.memory.attempts, pod["metadata"]["uid"]
        failed = attempts.get(uid)
        if failed is not None and failed.version != known.version:
            failed = None
        if failed is None or failed.until <= self._clock.monotonic():
            since = self._clock.monotonic() if failed is None else failed.since
            verdict, shortest = self._take_up(current, pod, known.version, setting)
            if verdict is None:
                attempts.pop(uid, None)
                return None
            now = self._clock.monotonic()
            until = now + retry.pause(now - since, shortest)
            failed = attempts[uid] = Attempt(known.version, since, until, verdict)
        current.look_again(failed.until - self._clock.monotonic())
        return failed.verdict

    def _take_up(
        self, current: Pass, pod: Mapping[str, Any], version: str, setting: failures.Setting
    ) -> tuple[Problem | Waiting | None, float]:
        """Tell a server of its users; return what came of it, and the shortest pause after it."""
        name = pod["metadata"]["name"]
        # A change to the pod makes the kubelet look at its volumes now and not within a minute.
        since = timestamp(self._clock.now())
        self._mark(current, pod, AWAITED.format(version=version, since=since))
        try:
            result = self._commands.run(current, pod, servercommands.take_up_users(version))
        except Unanswered:
            message = failures.STORAGE_UNAVAILABLE.format(storage=setting.storage, cause=UNANSWERED)
            problem = Problem(SERVER_REFRESHED, failures.REASON_STORAGE, message)
            return problem, retry.MIN_SECONDS
        except Unreachable as error:
            message = UNREACHABLE.format(pod=name, cause=error)
            return Waiting(SERVER_REFRESHED, message), retry.MIN_SECONDS
        if result.exit_code == servercommands.NOT_THERE_YET:
            message = WAITING_USERS.format(pod=name)
            return Waiting(SERVER_REFRESHED, message), TAKE_UP_PAUSE_SECONDS
        if result.exit_code != 0:
            output = result.stderr.decode(errors="replace")
            explanation = failures.explain(output, result.exit_code, setting)
            problem = Problem(SERVER_REFRESHED, explanation.reason, explanation.message)
            return problem, retry.MIN_SECONDS
        self._mark(current, pod, version)
        return None, 0.0

    def ensure_forgotten(self, current: Pass, pod: Mapping[str, Any]) -> frozenset[str] | None:
        """Remove entries that the repository has of the users, from a server of before.

        Args:
            current: The pass.
            pod: The pod, which is Ready.

        Returns:
            The users that have none; None if that is recorded, or not known yet. That it cannot be
            done keeps nobody from connecting: it goes to the log and is tried again.

        Raises:
            ClientError: The API server refused or could not be reached.
        """
        known = current.memory.users
        recorded = frozenset((current.obj.get("status") or {}).get("registeredUsers") or ())
        if known is None or current.server.read_only:
            return None
        searched_for = known.names | current.memory.left
        if searched_for <= recorded:
            return None if known.names == recorded else known.names
        now = self._clock.monotonic()
        if current.memory.forget_at is None:
            current.memory.forget_at = now + FORGET_AFTER_SECONDS
        left = current.memory.forget_at - now
        if left > 0:
            # Servers that are not up yet come first.
            current.look_again(left, priority=LOW_PRIORITY)
            return None
        try:
            self._forget(current, pod, searched_for)
        except (access.UserListError, CommandError) as error:
            _log.warning("previous users may still connect", cause=str(error))
            current.memory.forget_at = self._clock.monotonic() + FORGET_AGAIN_SECONDS
            current.look_again(FORGET_AGAIN_SECONDS)
            return None
        current.memory.left = frozenset()
        return known.names

    def _forget(self, current: Pass, pod: Mapping[str, Any], names: frozenset[str]) -> None:
        listed = self._commands.run(current, pod, servercommands.LIST_USERS)
        if listed.exit_code != 0:
            raise access.UserListError(failures.last_line(listed.stderr.decode(errors="replace")))
        found = names & access.parse_names(listed.stdout)
        if not found:
            return
        result = self._commands.run(
            current, pod, servercommands.FORGET_USERS, servercommands.forget_users_input(found)
        )
        if result.exit_code != 0:
            raise access.UserListError(failures.last_line(result.stderr.decode(errors="replace")))
        note = FORGOTTEN.format(names=", ".join(sorted(found)))
        self._tell(current, EVENT_USERS_FORGOTTEN, note, "ForgetUsers")

    def _write(
        self,
        current: Pass,
        stored: StoredUsers | None,
        wanted: str,
        sources: Versions,
        problem: Problem | None,
    ) -> None:
        version = _version(stored, wanted)
        secret = users_secret(current.server, wanted, version)
        if stored is None:
            # Not applied: what a cache that lags does not show is not to be written over.
            written = self._applier.create(current, resources.SECRETS, secret)
        else:
            # The cache does not have the content.
            changed = (stored.users, stored.version) != (wanted, version)
            written = self._applier.ensure(current, resources.SECRETS, secret, changed=changed)
            current.users_changed = changed
        current.memory.users = KnownUsers(
            sources, version_of(written), version, frozenset(htpasswd.entries(wanted)), problem
        )
        if stored is not None:
            self._note_change(current, stored.users, wanted)

    def _note_change(self, current: Pass, former: str, wanted: str) -> None:
        """Tell how the users have changed, and remember whom the repository may still know."""
        change = access.Change.between(htpasswd.entries(former), htpasswd.entries(wanted))
        # Nothing is removed from a repository that is only read.
        if not current.server.read_only:
            current.memory.left |= frozenset(change.removed)
        if change.summary():
            self._tell(current, EVENT_USERS_CHANGED, change.summary(), "ChangeUsers")

    def _mark(self, current: Pass, pod: Mapping[str, Any], value: str) -> None:
        self._applier.annotate(current, pod, {names.ANNOTATION_USERS: value})


def _version(stored: StoredUsers | None, wanted: str) -> str:
    """Return the version of users that are to be written: as before if they are as before."""
    if stored is not None and stored.users == wanted and stored.version not in _NO_VERSIONS:
        return stored.version
    return os.urandom(_VERSION_BYTES).hex() if wanted else names.NO_USERS
