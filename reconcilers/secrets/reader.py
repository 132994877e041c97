"""Reading: the user's Secrets, each once for all that need it at the same time."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakValueDictionary

from attrs import field, frozen

from controller.errors import NotFound
from reconcilers import resources

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from controller.cache.store import Key
    from controller.clock import Deadline
    from controller.resource import Object
    from controller.rest.client import Client
    from reconcilers.secrets.data import SecretRef

_VERSIONS_LENGTH = 32


@frozen(eq=False)
class ReadSecret:
    """A Secret as it was read; not to be changed, others may look at it.

    Attributes:
        obj: The Secret.
    """

    obj: dict[str, Any] = field(repr=False)


@frozen
class ReadScope:
    """One use of Secrets, a reconcile say: what it reads stays in memory as long as it lasts.

    Attributes:
        deadline: Until when reads may go on.
        held: What it has read; other scopes may use it meanwhile.
    """

    deadline: Deadline
    held: list[ReadSecret] = field(factory=list)


@frozen
class Versions:
    """In which state several Secrets were read.

    Attributes:
        digest: Another one for another state.
        complete: Whether the cache had all of them. What it lacked may have been there all the
            same: in a later process the lack would prove nothing.
    """

    digest: str
    complete: bool


class Cache(Protocol):
    """Secrets without their data, as `controller.cache.shared.SharedInformer` holds them."""

    def get(self, namespace: str, name: str) -> Object | None:
        """Return a Secret, which must not be changed, or None."""


class SecretReader:
    """Reads Secrets by name.

    Thousands of servers may name the same ones. A scope that is under way lends what it has read to
    others. With the last scope that has a Secret its content is gone: none stays in memory for
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
        # By namespace and name what scopes under way have read; they hold it.
        self._lent: WeakValueDictionary[Key, ReadSecret] = WeakValueDictionary()

    def get(self, scope: ReadScope, namespace: str, name: str) -> dict[str, Any] | None:
        """Return a Secret, which must not be changed, or None if there is none.

        It is read anew unless another scope has it in the very version that the cache shows. One
        that the cache does not show is asked for: the watch of Secrets can lag behind the one that
        has brought the resource, and who makes both at once must not be told that one is missing.

        Args:
            scope: Holds what is read.
            namespace: Its namespace.
            name: Its name.

        Raises:
            ClientError: It could not be read.
        """
        key, known = (namespace, name), self._cache.get(namespace, name)
        read = self._lent.get(key)
        if read is None or known is None or version_of(read.obj) != version_of(known):
            try:
                obj = self._client.get(resources.SECRETS, *key, deadline=scope.deadline)
            except NotFound:
                return None
            read = self._lent[key] = ReadSecret(obj)
        scope.held.append(read)
        return read.obj

    def cached(self, namespace: str, name: str) -> Object | None:
        """Return a Secret without its data, as the cache has it, or None."""
        return self._cache.get(namespace, name)

    def version(self, namespace: str, name: str) -> str:
        """Return what tells one state of a Secret from another; empty if the cache has none."""
        obj = self._cache.get(namespace, name)
        return "" if obj is None else version_of(obj)

    def versions(self, refs: Iterable[SecretRef], *besides: str) -> Versions:
        """Return the state of Secrets as the cache has them.

        Args:
            refs: The Secrets.
            besides: What else is told of the state.
        """
        states = [(str(ref), self.version(ref.namespace, ref.name)) for ref in refs]
        digest = versions([*besides, *states])
        return Versions(digest, complete=all(version for _, version in states))


def version_of(obj: Mapping[str, Any]) -> str:
    """Return what tells one state of an object from all others, of namesakes too."""
    return f"{obj['metadata']['uid']}/{obj['metadata']['resourceVersion']}"


def versions(parts: Sequence[object]) -> str:
    """Return one word for the state of several things, in their order.

    Args:
        parts: What tells the state of each from its other ones: strings, or tuples of them.
    """
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_VERSIONS_LENGTH]
