"""Reading: the user's Secrets, each once for all passes that need it at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from attrs import field, frozen

from controller.errors import NotFound
from reconcilers.repositoryserver import resources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.cache.store import Key
    from controller.rest.client import Client
    from reconcilers.repositoryserver.caches import Cache
    from reconcilers.repositoryserver.context import Pass


@frozen(eq=False)
class ReadSecret:
    """A Secret as it was read; not to be changed, others may look at it.

    Attributes:
        obj: The Secret.
    """

    obj: dict[str, Any] = field(repr=False)


class SecretReader:
    """Reads Secrets by name.

    Thousands of servers may name the same ones. A pass that is under way lends what it has read to
    others. With the last pass that has a Secret its content is gone: none stays in memory for
    longer than a use.
    """

    def __init__(self, *, client: Client, cache: Cache) -> None:
        """Take the dependencies.

        Args:
            client: Reads.
            cache: Secrets without their data: tells which version of one is the latest known.
        """
        self._client = client
        self._cache = cache
        # By namespace and name what passes under way have read; they hold it.
        self._lent: WeakValueDictionary[Key, ReadSecret] = WeakValueDictionary()

    def get(self, current: Pass, namespace: str, name: str) -> dict[str, Any] | None:
        """Return a Secret, which must not be changed, or None if there is none.

        It is read anew unless another pass has it in the very version that the cache shows: one
        that the cache does not show yet is never taken for missing.

        Raises:
            ClientError: It could not be read.
        """
        key, known = (namespace, name), self._cache.get(namespace, name)
        read = self._lent.get(key)
        if read is None or known is None or version_of(read.obj) != version_of(known):
            try:
                obj = self._client.get(resources.SECRETS, *key, deadline=current.deadline)
            except NotFound:
                return None
            read = self._lent[key] = ReadSecret(obj)
        current.secrets.append(read)
        return read.obj


def version_of(obj: Mapping[str, Any]) -> str:
    """Return what tells one state of an object from all others, of namesakes too."""
    return f"{obj['metadata']['uid']}/{obj['metadata']['resourceVersion']}"
