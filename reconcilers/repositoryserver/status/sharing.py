"""Which servers write to the same repository, as far as this process has examined them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from controller.reconcile import Request

SHARED: Final = (
    "the repository at {storage} is also served by RepositoryServer {others}, and backups made "
    "through one do not show at once through another; let only one serve it, or set "
    "spec.repository.readOnly on all but one"
)

#: How many others a message names. Their number would change for all of them with each new one.
NAMED: Final = 3
MORE: Final = "{named} and others"


def words(storage: str, others: Sequence[Request]) -> str:
    """Return what to say of servers that have the same repository.

    Args:
        storage: Where it is, in words.
        others: The other servers.
    """
    named = ", ".join(other.name for other in others[:NAMED])
    if len(others) > NAMED:
        named = MORE.format(named=named)
    return SHARED.format(storage=storage, others=named)


class Repositories:
    """An index of the servers by the repository that they write to. Safe for several threads.

    Two servers on one repository do each other no harm, so nothing keeps them apart. But what a
    client backs up through one is not seen through the other before that refreshes, and what one
    user is granted at one is not granted at the other: hardly ever is it meant.
    """

    def __init__(self) -> None:
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
            self._forget(request)
            self._examined[request] = repository
            if repository:
                self._writers.setdefault(repository, set()).add(request)

    def failed(self, request: Request) -> None:
        """Record that nothing shows what a server writes to; what is known of it stays."""
        with self._lock:
            self._examined.setdefault(request, "")

    def forget(self, request: Request) -> None:
        """Drop a server that is gone."""
        with self._lock:
            self._forget(request)

    def sharing(self, request: Request) -> list[Request]:
        """Return the other servers that write to the repository of one, by namespace and name."""
        with self._lock:
            writers = self._writers.get(self._examined.get(request, ""), set())
            return sorted(writers - {request}, key=lambda one: (one.namespace, one.name))

    def have_examined(self, requests: Iterable[Request]) -> bool:
        """Return whether all of these have been examined, so that nothing more is found."""
        with self._lock:
            return all(request in self._examined for request in requests)

    def _forget(self, request: Request) -> None:
        repository = self._examined.pop(request, "")
        writers = self._writers.get(repository, set())
        writers.discard(request)
        if not writers:
            self._writers.pop(repository, None)
