"""Searching the repository for users that have an entry in it, beside those of the access Secrets.

Kopia accepts whoever has an entry in the repository, whatever the access Secrets say. Entries that
the removed controller is known to have made are deleted. All others stay, and the status says how
many there are, and whose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog
from attrs import define, frozen

from controller.conditions import conditions_of, is_true
from controller.workqueue.queue import LOW_PRIORITY
from reconcilers.kopia import failures
from reconcilers.repositoryserver import servercommands, serverexec
from reconcilers.repositoryserver.serverexec import CommandError
from reconcilers.repositoryserver.status import conditions as status
from reconcilers.repositoryserver.users import access

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.clock import Clock
    from controller.rest.podexec import ExecResult
    from reconcilers.repositoryserver.children.applier import RecordEvent
    from reconcilers.repositoryserver.children.known import KnownUsers
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.repositoryserver.perobject import States
    from reconcilers.repositoryserver.serverexec import ServerCommands
    from reconcilers.repositoryserver.users.sync import UserRegistrar

#: Seconds for which a server has been Ready before its repository is searched for users. That
#: costs as much as starting a server, and those that start at the same time go first.
FIRST_SEARCH_SECONDS: Final = 30.0

#: Seconds until a search that has failed is repeated. It opens the repository, and takes as much of
#: the container's memory as the server itself.
FAILED_SEARCH_SECONDS: Final = 600.0

#: Seconds until a search that has found users is repeated: somebody may have deleted them. No
#: event shows that.
NEXT_SEARCH_SECONDS: Final = 86400.0

EVENT_USERS_PURGED: Final = "LegacyUsersPurged"
PURGED: Final = "deleted old user entries from the repository: {names}"

#: How many users a message names.
NAMED: Final = 3
MORE: Final = "{named} and others"
IN_REPOSITORY: Final = (
    "the repository itself has {number} users ({named}); Kopia accepts their passwords of then, "
    "whatever the access Secrets say. If nobody needs these users, delete them with `kopia server "
    "user delete` and `kopia server refresh`"
)

_log = structlog.get_logger()


@frozen
class RepositoryUsers:
    """The users that have an entry in the repository, as the last search has found them.

    Args:
        number: How many there are.
        warning: What to say of them; empty if there are none.
    """

    number: int
    warning: str

    @classmethod
    def of(cls, users: frozenset[str]) -> RepositoryUsers:
        """Return what to say of users by name."""
        if not users:
            return cls(0, "")
        named = ", ".join(sorted(users)[:NAMED])
        if len(users) > NAMED:
            named = MORE.format(named=named)
        return cls(len(users), IN_REPOSITORY.format(number=len(users), named=named))


@frozen
class Searched:
    """What came of a search.

    Args:
        users: The users that were found and stay; None if no search has just been completed.
        version: What the server has printed of its version with its users, for
            `servercommands.kopia_version`; None if it has not just listed them.
        brings_version: Whether a search is under way, or due within `FAILED_SEARCH_SECONDS`, whose
            result has the version.
    """

    users: RepositoryUsers | None = None
    version: bytes | None = None
    brings_version: bool = False


NOT_SEARCHED: Final = Searched()


@frozen
class _Purge:
    """A search of the repository for users whose result is being acted on.

    Args:
        found: The users whose entries are to be deleted.
        others: The users with an entry that stays.
    """

    found: frozenset[str]
    others: frozenset[str]


@define
class _State:
    """What is remembered of one resource.

    Args:
        search_at: When to search the repository, in monotonic seconds; None if that is not planned.
        purge: The entries that are being deleted; None if none are.
    """

    search_at: float | None = None
    purge: _Purge | None = None


class RepositoryUserSearch:
    """Finds the users of the repository, and deletes those that the removed controller has left.

    Args:
        commands: Runs Kopia in the server's container.
        registrar: Remembers which entries are still to be deleted.
        record_event: Records the event of a deletion.
        states: Holds when each repository is searched.
        clock: The time.
    """

    def __init__(
        self,
        *,
        commands: ServerCommands,
        registrar: UserRegistrar,
        record_event: RecordEvent,
        states: States,
        clock: Clock,
    ) -> None:
        self._commands = commands
        self._registrar = registrar
        self._record_event = record_event
        self._clock = clock
        self._state = states.per_object(lambda _: _State())

    def ensure_searched(
        self, current: ReconcileContext, pod: Mapping[str, Any], known: KnownUsers
    ) -> Searched:
        """Search the repository for users if that is due, and delete the entries of legacy users.

        It is due once for each server, as long as there are entries to be deleted, and from time to
        time as long as others were found. A failure keeps nobody from connecting: it is logged, and
        tried again.

        Args:
            current: The reconcile.
            pod: The pod that clients reach, which is Ready.
            known: What is known of the server's users.

        Raises:
            ClientError: The API server refused or could not be reached.
        """
        state, now = self._state.of(current), self._clock.monotonic()
        found = is_true(conditions_of(current.obj), status.USERS_IN_REPOSITORY)
        is_first = "repositoryUsers" not in (current.obj.get("status") or {})
        # Kopia cannot delete from a repository that it opens for reading only.
        legacy = frozenset() if current.server.read_only else known.legacy
        if not (found or is_first or legacy):
            return NOT_SEARCHED
        if state.search_at is None:
            pause = FIRST_SEARCH_SECONDS if is_first or legacy else NEXT_SEARCH_SECONDS
            state.search_at = now + pause
        left = state.search_at - now
        if left > 0:
            # Servers that are not up yet come first.
            current.look_again(left, priority=LOW_PRIORITY)
            return Searched(brings_version=left <= FAILED_SEARCH_SECONDS)
        searched = self._search(current, pod, legacy)
        if searched.users is None:
            return searched
        if legacy:
            self._registrar.clear_pending_purge(current)
        state.search_at = None
        if searched.users.number:
            current.look_again(NEXT_SEARCH_SECONDS, priority=LOW_PRIORITY)
        return searched

    def _search(
        self, current: ReconcileContext, pod: Mapping[str, Any], legacy: frozenset[str]
    ) -> Searched:
        """Take the search one command further, and return what came of it."""
        state, version = self._state.of(current), None
        try:
            if state.purge is None:
                listed = self._commands.ensure(
                    current, pod, serverexec.LIST_USERS, servercommands.LIST_USERS
                )
                if listed is None:
                    return Searched(brings_version=True)
                # It is there even if the users are not.
                version, names = servercommands.split_listing(listed.stdout)
                _check(listed)
                users = access.parse_names(names)
                state.purge = _Purge(users & legacy, users - legacy)
            purge = state.purge
            if not self._delete(current, pod, purge.found):
                return Searched(version=version)
        except (access.UserListError, CommandError) as error:
            _log.warning("previous users may still connect", cause=str(error))
            state.purge = None
            state.search_at = self._clock.monotonic() + FAILED_SEARCH_SECONDS
            current.look_again(FAILED_SEARCH_SECONDS)
            return Searched(version=version, brings_version=True)
        state.purge = None
        return Searched(RepositoryUsers.of(purge.others), version)

    def _delete(
        self, current: ReconcileContext, pod: Mapping[str, Any], found: frozenset[str]
    ) -> bool:
        """Delete the entries of users; return whether that is done."""
        if not found:
            return True
        stdin = servercommands.purge_users_input(found)
        result = self._commands.ensure(
            current, pod, serverexec.PURGE_USERS, servercommands.PURGE_USERS, stdin=stdin
        )
        if result is None:
            return False
        _check(result)
        note = PURGED.format(names=", ".join(sorted(found)))
        self._record_event(current, EVENT_USERS_PURGED, note, "PurgeUsers")
        return True


def _check(result: ExecResult) -> None:
    """Return if a command has succeeded.

    Raises:
        UserListError: It has not; the message is Kopia's.
    """
    if result.exit_code != 0:
        raise access.UserListError(failures.last_line(result.stderr.decode(errors="replace")))
