"""Acting on users: the server's users become those of the access Secrets.

The users stand in an owned Secret that the pod mounts. A new pod starts with them; a running one is
told of changes. Nothing is written into the repository but the end of entries from before: Kopia
would go on accepting the passwords in them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from controller.clock import DeadlineExceeded
from controller.conditions import timestamp
from reconcilers.repositoryserver import children, htpasswd, kopia, resources, status, users
from reconcilers.repositoryserver.context import KnownUsers
from reconcilers.repositoryserver.errors import InvalidInput, Problem
from reconcilers.repositoryserver.inputs import version_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.clock import Clock, Deadline
    from controller.podexec import ExecResult
    from reconcilers.repositoryserver.applier import ChildApplier, Teller
    from reconcilers.repositoryserver.context import Pass
    from reconcilers.repositoryserver.inputs import InputReader, StoredUsers

# The repository is searched for entries of before when the server has been Ready for so long: that
# costs as much as starting it, and servers that start at the same time should not wait for it.
FORGET_AFTER_SECONDS = 30.0

# The kubelet sees a changed Secret within milliseconds; where it does not it is asked again.
TAKE_UP_PAUSE_SECONDS = 1.0
# A server whose storage is away answers a refresh when it is back; no worker should wait for it.
COMMAND_SECONDS = 30.0
UNANSWERED = f"its server has not answered for {COMMAND_SECONDS:.0f} s"

AWAITED = "{version} awaited since {since}"
WAITING_USERS = "the kubelet has not brought the changed users into pod {pod} yet"

EVENT_USERS_CHANGED = "UsersChanged"
EVENT_USERS_FORGOTTEN = "UsersForgotten"
FORGOTTEN = "removed entries of before from the repository: {names}"

_VERSION_BYTES = 5

_log = structlog.get_logger()


class Executor(Protocol):
    """Runs commands in containers, as `controller.podexec.Executor`."""

    def run(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        deadline: Deadline,
    ) -> ExecResult:
        """Run a command to its end."""
        ...


class UserRegistrar:
    """Keeps a server's users as the access Secrets have them."""

    def __init__(
        self,
        *,
        executor: Executor,
        reader: InputReader,
        applier: ChildApplier,
        tell: Teller,
        clock: Clock,
    ) -> None:
        """Take the dependencies.

        Args:
            executor: Runs Kopia in the server's container.
            reader: Reads the access Secrets, and the users as they are.
            applier: Writes the users, and what a pod has taken up.
            tell: Tells of changed users.
            clock: The time.
        """
        self._executor = executor
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
            return None
        stored = self._reader.stored_users(current)
        try:
            passwords = self._reader.passwords(current)
        except InvalidInput as error:
            if stored is None:
                self._write(current, None, "", sources=())
            else:
                # Without sources, so that the next pass looks again.
                self._remember(current, stored.obj, stored.users, stored.version, sources=())
            return error.problem(status.CLIENT_USER_INITIALIZED)
        former = "" if stored is None else stored.users
        self._write(current, stored, htpasswd.render(passwords, former), sources=sources)
        return None

    def ensure_taken_up(
        self, current: Pass, pod: Mapping[str, Any], setting: kopia.Setting
    ) -> Problem | status.Waiting | None:
        """Let the server in a pod take up the users, if it has others.

        Args:
            current: The pass.
            pod: The pod. One that does not answer is left alone.
            setting: What messages name.

        Returns:
            What Kopia refused, what is being waited for, or None.

        Raises:
            ClientError: The API server refused or could not be reached.
        """
        known = current.memory.users
        if known is None or children.users_of(pod) == known.version or not status.answers(pod):
            return None
        # A change to the pod makes the kubelet look at its volumes now and not within a minute.
        since = timestamp(self._clock.now())
        self._mark(current, pod, AWAITED.format(version=known.version, since=since))
        try:
            result = self._exec(current, pod, kopia.take_up_users(known.version))
        except DeadlineExceeded:
            current.deadline.check()
            current.look_again(current.retry_pause)
            message = kopia.STORAGE_UNAVAILABLE.format(storage=setting.storage, cause=UNANSWERED)
            return Problem(status.SERVER_REFRESHED, kopia.REASON_STORAGE, message)
        if result.exit_code == kopia.NOT_THERE_YET:
            current.look_again(TAKE_UP_PAUSE_SECONDS)
            message = WAITING_USERS.format(pod=pod["metadata"]["name"])
            return status.Waiting(status.SERVER_REFRESHED, message)
        if result.exit_code != 0:
            current.look_again(current.retry_pause)
            output = result.stderr.decode(errors="replace")
            explanation = kopia.explain(output, result.exit_code, setting)
            return Problem(status.SERVER_REFRESHED, explanation.reason, explanation.message)
        self._mark(current, pod, known.version)
        return None

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
        if known is None or known.names == recorded or current.server.read_only:
            return None
        if known.names < recorded:
            return known.names
        now = self._clock.monotonic()
        if current.memory.ready_since is None:
            current.memory.ready_since = now
        left = current.memory.ready_since + FORGET_AFTER_SECONDS - now
        if left > 0:
            current.look_again(left)
            return None
        try:
            self._forget(current, pod, known.names)
        except (users.UserListError, DeadlineExceeded) as error:
            current.deadline.check()
            _log.warning("users of before may still connect", cause=str(error))
            current.look_again(FORGET_AFTER_SECONDS)
            return None
        return known.names

    def _forget(self, current: Pass, pod: Mapping[str, Any], names: frozenset[str]) -> None:
        listed = self._exec(current, pod, kopia.LIST_USERS)
        if listed.exit_code != 0:
            raise users.UserListError(kopia.last_line(listed.stderr.decode(errors="replace")))
        found = names & users.parse_names(listed.stdout)
        if not found:
            return
        result = self._exec(current, pod, kopia.FORGET_USERS, kopia.forget_users_input(found))
        if result.exit_code != 0:
            raise users.UserListError(kopia.last_line(result.stderr.decode(errors="replace")))
        note = FORGOTTEN.format(names=", ".join(sorted(found)))
        self._tell(current, EVENT_USERS_FORGOTTEN, note, "ForgetUsers")

    def _write(
        self,
        current: Pass,
        stored: StoredUsers | None,
        wanted: str,
        *,
        sources: tuple[str, ...],
    ) -> None:
        if stored is not None and stored.users == wanted:
            version = stored.version
        else:
            version = os.urandom(_VERSION_BYTES).hex() if wanted else children.NO_USERS
        secret = children.users_secret(current.server, wanted, version)
        applied = self._applier.ensure(
            current,
            resources.SECRETS,
            secret,
            # The cache does not have the content.
            changed=stored is None or stored.users != wanted or not stored.version,
        )
        self._remember(current, applied, wanted, version, sources=sources)
        change = users.Change.between(
            {} if stored is None else htpasswd.entries(stored.users), htpasswd.entries(wanted)
        )
        if stored is not None and change.summary():
            self._tell(current, EVENT_USERS_CHANGED, change.summary(), "ChangeUsers")

    def _remember(
        self,
        current: Pass,
        secret: Mapping[str, Any],
        content: str,
        version: str,
        *,
        sources: tuple[str, ...],
    ) -> None:
        names = frozenset(htpasswd.entries(content))
        current.memory.users = KnownUsers(sources, version_of(secret), version, names)

    def _mark(self, current: Pass, pod: Mapping[str, Any], value: str) -> None:
        self._applier.annotate(current, pod, {children.ANNOTATION_USERS: value})

    def _exec(
        self, current: Pass, pod: Mapping[str, Any], command: Sequence[str], stdin: bytes = b""
    ) -> ExecResult:
        return self._executor.run(
            pod["metadata"]["namespace"],
            pod["metadata"]["name"],
            children.CONTAINER,
            command,
            stdin=stdin,
            deadline=current.deadline.within(COMMAND_SECONDS),
        )
