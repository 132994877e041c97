"""Which servers write to the same repository, as far as this process has examined them."""

from __future__ import annotations

import heapq
import threading
from typing import TYPE_CHECKING, Final

from controller.conditions import TRUE, conditions_of, get_condition
from controller.reconcile import Request
from reconcilers.repositoryserver.status import conditions as status
from reconcilers.repositoryserver.verdict import name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from reconcilers.repositoryserver.caches import Cache
    from reconcilers.repositoryserver.children.known import KnownInputs
    from reconcilers.repositoryserver.context import ReconcileContext

SHARED: Final = (
    "the repository at {storage} is also served by RepositoryServer {others}, and backups made "
    "through one do not show at once through another; let only one serve it, or set "
    "spec.repository.readOnly on all but one"
)

#: How many others a message names. Their number would change for all of them with each new one.
NAMED: Final = 3
MORE: Final = "{named} and others"

#: Seconds until a server is looked at again while others have not been examined yet.
RECHECK_SECONDS: Final = 30.0


def words(storage: str, others: Sequence[Request], namespace: str) -> str:
    """Return what to say of servers that have the same repository.

    Args:
        storage: Where it is, in words.
        others: The other servers.
        namespace: Of the server of which that is said.
    """
    names = ", ".join(name_of(other, namespace) for other in others[:NAMED])
    if len(others) > NAMED:
        names = MORE.format(named=names)
    return SHARED.format(storage=storage, others=names)


class Repositories:
    """An index of the servers by the repository that they write to. Safe for several threads.

    Two servers on one repository do each other no harm, so nothing keeps them apart. But what a
    client backs up through one is not seen through the other before that refreshes, and what one
    user is granted at one is not granted at the other: hardly ever is it meant.

    Args:
        wake: Called with each server of which something else is to be said, since another one has
            come to its repository, or has left it. Default: nobody is woken.
    """

    def __init__(self, wake: Callable[[Request], None] = lambda _request: None) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        # Invariant: the second has exactly those of the first that write, by repository.
        self._examined: dict[Request, str] = {}
        self._writers: dict[str, set[Request]] = {}

    def examined(self, request: Request, repository: str) -> None:
        """Record what a server writes to.

        Args:
            request: The server.
            repository: Its repository, as `kopia.storage.identity`; empty if it only reads.
        """
        with self._lock:
            if self._examined.get(request) == repository:
                return
            concerned = self._drop(request)
            self._examined[request] = repository
            if repository:
                writers = self._writers.setdefault(repository, set())
                concerned |= _concerned(writers, {*writers, request})
                writers.add(request)
        self._wake_all(concerned - {request})

    def failed(self, request: Request) -> None:
        """Record that nothing shows what a server writes to; what is known of it stays."""
        with self._lock:
            self._examined.setdefault(request, "")

    def drop(self, request: Request) -> None:
        """Drop a server that is gone."""
        with self._lock:
            concerned = self._drop(request)
        self._wake_all(concerned)

    def sharing(self, request: Request) -> list[Request]:
        """Return the other servers that write to the repository of one, by namespace and name."""
        with self._lock:
            writers = self._writers.get(self._examined.get(request, ""), set())
            return sorted(writers - {request}, key=_order)

    def have_examined(self, requests: Iterable[Request]) -> bool:
        """Return whether all of these have been examined, so that nothing more is found."""
        with self._lock:
            return all(request in self._examined for request in requests)

    def _drop(self, request: Request) -> set[Request]:
        """Drop a server, and return those of which something else is to be said then."""
        repository = self._examined.pop(request, "")
        writers = self._writers.get(repository, set())
        concerned = _concerned(writers, writers - {request})
        writers.discard(request)
        if not writers:
            self._writers.pop(repository, None)
        return concerned

    def _wake_all(self, requests: Iterable[Request]) -> None:
        for request in sorted(requests, key=_order):
            self._wake(request)


def _order(request: Request) -> tuple[str, str]:
    return request.namespace, request.name


def _concerned(before: Collection[Request], after: Collection[Request]) -> set[Request]:
    """Return the servers of which `words` says something else after a change.

    A hundred on one repository would otherwise wake each other a hundred times as they come up.

    Args:
        before: The servers that wrote to a repository.
        after: Those that write to it since.
    """
    first = [heapq.nsmallest(NAMED + 1, writers, key=_order) for writers in (before, after)]
    more = [len(writers) > NAMED + 1 for writers in (before, after)]

    def named(number: int, request: Request) -> list[Request]:
        return [one for one in first[number] if one != request][:NAMED]

    return {
        one
        for one in set(before) & set(after)
        if more[0] != more[1] or named(0, one) != named(1, one)
    }


class Sharing:
    """Finds out who else serves the repository of a server.

    Args:
        repositories: Which repository each server has.
        servers: The RepositoryServers.
    """

    def __init__(self, *, repositories: Repositories, servers: Cache) -> None:
        self._repositories = repositories
        self._servers = servers

    def ensure_known(self, current: ReconcileContext, inputs: KnownInputs | None) -> None:
        """Record which repository a server writes to.

        Args:
            current: The reconcile.
            inputs: What is known of its inputs; None if they are refused.
        """
        if inputs is None:
            self._repositories.failed(current.request)
        else:
            repository = "" if current.server.read_only else inputs.repository
            self._repositories.examined(current.request, repository)

    def warning(self, current: ReconcileContext, storage: str) -> str | None:
        """Return what to say of others that serve the repository of a server.

        Args:
            current: The reconcile.
            storage: Where the repository is, in words.

        Returns:
            The words; empty if there are no others, None if that is not known.
        """
        others = [
            other
            for other in self._repositories.sharing(current.request)
            if self._servers.get(other.namespace, other.name) is not None
        ]
        found = words(storage, others, current.request.namespace) if others else ""
        condition = get_condition(conditions_of(current.obj), status.REPOSITORY_SHARED)
        is_warned = condition is not None and condition["status"] == TRUE
        before = condition["message"] if condition is not None and is_warned else ""
        if before not in ("", found) and not self._have_all_been_examined():
            # This process has just started: what it says would change with each of the others.
            current.look_again(RECHECK_SECONDS)
            return None
        return found

    def _have_all_been_examined(self) -> bool:
        keys = self._servers.keys()
        return self._repositories.have_examined(Request(*key) for key in keys)
