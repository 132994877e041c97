"""All functions that a Blueprint can name, by name and version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconcilers.datafunctions.registry import Registry

if TYPE_CHECKING:
    from reconcilers.actionset.function import Function
    from reconcilers.actionset.services import Services


def catalogue(services: Services) -> Registry[Function[Any]]:
    """Return the functions, each with what it works with.

    Args:
        services: What they have in common.
    """
    del services
    functions: tuple[Function[Any], ...] = ()
    return Registry(functions)
