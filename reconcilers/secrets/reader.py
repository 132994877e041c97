"""Reads the user's Secrets, each once for all that need it at the same time."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakValueDictionary

from attrs import field, frozen

from controller.errors import NotFound
from controller.jsonvalue import canonical
from reconcilers import resources

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from controller.cache.store import Key
    from controller.clock import Deadline
    from controller.resource import Object
    from controller.rest.client import Client
    from reconcilers.secrets.data import SecretRef

_VERSIONS_LENGTH: Final = 32


@frozen(eq=False)
class ReadSecret:
    """A Secret as it was read.

    Args:
        obj: The Secret, which must not be changed: others may use it.
    """

    obj: dict[str, Any] = field(repr=False)


@frozen
class ReadScope:
    """One use of Secrets, a reconcile say: what it reads stays in memory as long as it lasts.

    Args:
        deadline: Until when reads may go on.
        held: What it has read; other scopes may use it meanwhile.
    """

    deadline: Deadline
    held: list[ReadSecret] = field(factory=list)


@frozen
class Versions:
    """The state in which several Secrets were read.

    Args:
        digest: Differs from that of every other state.
        complete: Whether the cache had all of them. A Secret that it lacked may have existed all
            the same, so that a later process can conclude nothing from the lack.
    """

    digest: str
    complete: bool


class Cache(Protocol):
    """Secrets without their data, as `controller.cache.shared.SharedInformer` holds them."""

    def get(self, namespace: str, name: str) -> Object | None:
        """Return a Secret, which must not be changed, or None."""


class SecretReader:
    """Reads Secrets by name.

    Thousands of servers may name the same Secrets. A scope that is under way shares what it has
    read. When the last scope that holds a Secret ends, its content leaves the memory.

    Args:
        client: Reads the Secrets.
        cache: Secrets without their data, which show the latest known version of each.
    """

    def __init__(self, *, client: Client, cache: Cache) -> None:
        self._client = client
        self._cache = cache
        # By namespace and name. The scopes hold what they have read; this does not.
        self._lent: WeakValueDictionary[Key, ReadSecret] = WeakValueDictionary()

    def get(self, scope: ReadScope, namespace: str, name: str) -> dict[str, Any] | None:
        """Return a Secret, which must not be changed, or None if there is none.

        It is read unless another scope holds it in the version that the cache shows. A Secret that
        the cache lacks is asked for: its watch can lag behind that of the resource, and for
        somebody who creates both at once neither is missing.

        Args:
            scope: The use for which it is read.
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
        """Return the version of a Secret in the cache, see `version_of`; empty if it has none."""
        obj = self._cache.get(namespace, name)
        return "" if obj is None else version_of(obj)

    def versions(self, refs: Iterable[SecretRef], *besides: str) -> Versions:
        """Return the state of Secrets as the cache has them.

        Args:
            refs: The Secrets.
            besides: What else belongs to the state.
        """
        states = [(str(ref), self.version(ref.namespace, ref.name)) for ref in refs]
        digest = versions([*besides, *states])
        return Versions(digest, complete=all(version for _, version in states))


def version_of(obj: Mapping[str, Any]) -> str:
    """Return a word that no other state of an object has, and no state of a namesake."""
    return f"{obj['metadata']['uid']}/{obj['metadata']['resourceVersion']}"


def versions(parts: Sequence[object]) -> str:
    """Return one word for the state of several things, in their order.

    Args:
        parts: The version of each: strings, or tuples of them.
    """
    return hashlib.sha256(canonical(parts)).hexdigest()[:_VERSIONS_LENGTH]
