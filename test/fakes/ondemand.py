"""A cache of a resource that need not be there, as an informer holds it that follows on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.cache.mutationcache import MutationCache
    from controller.cache.store import Key
    from controller.errors import ClientError
    from controller.resource import Object


class OnDemand:
    """Shows a cache from the demand on, unless the API server refuses.

    Attributes:
        refused: What the API server answers to a list; None if it lists.
        listed: Whether the first list has come.
        demanded: Whether anybody has asked for it.
    """

    def __init__(self, cache: MutationCache, refused: ClientError | None) -> None:
        self.refused = refused
        self.listed = True
        self.demanded = False
        self._cache = cache

    def get(self, namespace: str, name: str) -> Object | None:
        return self._cache.get(namespace, name) if self._is_filled else None

    def keys(self) -> list[Key]:
        return self._cache.keys() if self._is_filled else []

    def by_index(self, index: str, value: str) -> list[Object]:
        return self._cache.by_index(index, value) if self._is_filled else []

    def demand(self) -> None:
        self.demanded = True

    def has_synced(self) -> bool:
        return not self.demanded or self.listed or self.refused is not None

    def refusal(self) -> ClientError | None:
        return self.refused if self.demanded else None

    @property
    def _is_filled(self) -> bool:
        return self.demanded and self.listed and self.refused is None
