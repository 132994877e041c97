"""All functions that a Blueprint can name, by name and version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconcilers.actionset.functions import datafunctions
from reconcilers.actionset.functions.absent import Catalogue
from reconcilers.actionset.functions.kubetask import kube_task
from reconcilers.actionset.functions.multicontainerrun import multi_container_run
from reconcilers.actionset.functions.preparedata import prepare_data

if TYPE_CHECKING:
    from reconcilers.actionset.function import Function
    from reconcilers.actionset.services import Services
    from reconcilers.datafunctions.registry import Registry


def catalogue(services: Services) -> Registry[Function[Any]]:
    """Return the functions, each with what it works with.

    Args:
        services: What they have in common.
    """
    functions: tuple[Function[Any], ...] = (
        kube_task(services.pods),
        multi_container_run(services.pods),
        prepare_data(services.pods, services.client, services.warn),
        *datafunctions.functions(services),
    )
    return Catalogue(functions)
