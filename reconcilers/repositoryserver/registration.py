"""Acting on users: Kopia's users become those of the access Secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from controller.conditions import conditions_of, is_true
from reconcilers.repositoryserver import children, kopia, status, users
from reconcilers.repositoryserver.context import UserCheck, recorded_users
from reconcilers.repositoryserver.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.clock import Clock, Deadline
    from controller.podexec import ExecResult
    from reconcilers.repositoryserver.applier import Teller
    from reconcilers.repositoryserver.context import KnownAccess, Pass
    from reconcilers.repositoryserver.inputs import InputReader
    from reconcilers.repositoryserver.statuswriter import StatusWriter

# Registered users are looked at again this often, so that drift inside Kopia is repaired.
DEFAULT_CHECK_SECONDS = 1800.0

# With more users than this, one that is there already makes it dearer not to look first.
FEW_USERS = 3

# At a quarter of a second each this fits into a pass, and the first need not wait for the last.
CHANGES_AT_ONCE = 100
CHANGES_PAUSE_SECONDS = 0.1
WAITING_USERS = "{left} more users of the access Secret are being registered"

EVENT_USERS_CHANGED = "UsersChanged"


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
    """Keeps Kopia's users as the access Secret has them."""

    def __init__(
        self,
        *,
        executor: Executor,
        reader: InputReader,
        writer: StatusWriter,
        tell: Teller,
        hasher: users.PasswordHasher,
        clock: Clock,
        check_seconds: float = DEFAULT_CHECK_SECONDS,
    ) -> None:
        """Take the dependencies.

        Args:
            executor: Runs Kopia in the server's container.
            reader: Reads the access Secret.
            writer: Records new users before they exist.
            tell: Tells of changed users.
            hasher: Makes and verifies Kopia's password hashes.
            clock: The time.
            check_seconds: How often registered users are looked at without a cause.
        """
        self._executor = executor
        self._reader = reader
        self._writer = writer
        self._tell = tell
        self._hasher = hasher
        self._clock = clock
        self._check_seconds = check_seconds

    def ensure(
        self, current: Pass, pod: Mapping[str, Any], access: KnownAccess, setting: kopia.Setting
    ) -> Problem | status.Waiting | None:
        """Register the access users in a pod that takes them.

        Args:
            current: The pass.
            pod: The pod.
            access: The version of the access Secret that is to be in force.
            setting: What messages name.

        Returns:
            What Kopia refused, what is left to do, or None.

        Raises:
            ClientError: The API server refused or could not be reached.
        """
        left = self._until_check(current, pod, access)
        if left > 0:
            current.look_again(left)
            return None
        try:
            passwords = self._reader.passwords(current)
        except InvalidInput as error:
            return error.problem(status.CLIENT_USER_INITIALIZED)
        verdict = self._register(current, pod, passwords, setting)
        if isinstance(verdict, Problem):
            current.look_again(current.retry_pause)
            return verdict
        if verdict is not None:
            current.look_again(CHANGES_PAUSE_SECONDS)
            return verdict
        current.owned_users = frozenset(passwords)
        current.memory.checked = UserCheck(
            pod["metadata"]["uid"], access.version, self._clock.monotonic()
        )
        current.look_again(self._check_seconds)
        return None

    def _until_check(self, current: Pass, pod: Mapping[str, Any], access: KnownAccess) -> float:
        checked = _last_check(current, pod)
        if checked is None or checked.version != access.version:
            return 0.0
        return checked.at + self._check_seconds - self._clock.monotonic()

    def _register(
        self,
        current: Pass,
        pod: Mapping[str, Any],
        passwords: Mapping[str, str],
        setting: kopia.Setting,
    ) -> Problem | status.Waiting | None:
        plan = self._plan(current, pod, passwords, setting)
        if isinstance(plan, Problem):
            return plan
        # A pod that this process sees for the first time may have read users that somebody, such
        # as this controller before it was killed, has changed since.
        if not plan and _last_check(current, pod) is not None:
            return None
        if not set(plan.put) <= recorded_users(current.obj):
            # Whoever dies between the two would leave users behind that nobody dares to delete.
            self._writer.record_users(current, recorded_users(current.obj) | set(plan.put))
            current.owned_users |= set(plan.put)
        # Whatever becomes of it, the next pass must refresh: the repository may have changed while
        # the server has not.
        current.memory.checked = None
        changed = self._exec(current, pod, kopia.CHANGE_USERS, kopia.change_users_input(plan))
        if changed.exit_code != 0:
            refreshing = kopia.USERS_CHANGED in changed.stdout
            step = status.SERVER_REFRESHED if refreshing else status.CLIENT_USER_INITIALIZED
            return _refused(step, changed, setting)
        if plan:
            self._tell(current, EVENT_USERS_CHANGED, plan.summary(), "RegisterUsers")
        if plan.left:
            message = WAITING_USERS.format(left=plan.left)
            return status.Waiting(status.CLIENT_USER_INITIALIZED, message)
        return None

    def _plan(
        self,
        current: Pass,
        pod: Mapping[str, Any],
        passwords: Mapping[str, str],
        setting: kopia.Setting,
    ) -> users.Plan | Problem:
        if _is_first(current, passwords):
            return users.first_plan(passwords, self._hasher)
        listed = self._exec(current, pod, kopia.LIST_USERS)
        if listed.exit_code != 0:
            return _refused(status.CLIENT_USER_INITIALIZED, listed, setting)
        try:
            registered = users.parse_users(listed.stdout)
        except users.UserListError as error:
            message = f"Kopia printed an {error}"
            return Problem(status.CLIENT_USER_INITIALIZED, kopia.REASON_EXITED, message)
        return users.plan(
            passwords, registered, current.owned_users, self._hasher, limit=CHANGES_AT_ONCE
        )

    def _exec(
        self, current: Pass, pod: Mapping[str, Any], command: Sequence[str], stdin: bytes = b""
    ) -> ExecResult:
        return self._executor.run(
            pod["metadata"]["namespace"],
            pod["metadata"]["name"],
            children.CONTAINER,
            command,
            stdin=stdin,
            deadline=current.deadline,
        )


def _last_check(current: Pass, pod: Mapping[str, Any]) -> UserCheck | None:
    """Return the last check of this very pod."""
    checked = current.memory.checked
    return checked if checked is not None and checked.pod == pod["metadata"]["uid"] else None


def _is_first(current: Pass, passwords: Mapping[str, str]) -> bool:
    """Return whether users are most likely new, so that it pays not to look first.

    A list costs as much as a change. Nobody can be left to delete: the status has no others.
    """
    return (
        current.memory.checked is None
        and not is_true(conditions_of(current.obj), status.CLIENT_USER_INITIALIZED)
        and len(passwords) <= FEW_USERS
        and recorded_users(current.obj) <= set(passwords)
    )


def _refused(step: str, result: ExecResult, setting: kopia.Setting) -> Problem:
    output = result.stderr.decode(errors="replace")
    explanation = kopia.explain(output, result.exit_code, setting)
    return Problem(step, explanation.reason, explanation.message)
