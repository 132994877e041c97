"""All functions that a Blueprint can name, by name and version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconcilers.actionset.functions import datafunctions
from reconcilers.actionset.functions.absent import Catalogue
from reconcilers.actionset.functions.executions import Executions
from reconcilers.actionset.functions.kubeexec import kube_exec, kube_exec_all
from reconcilers.actionset.functions.kubeops import KubeOps
from reconcilers.actionset.functions.kubetask import kube_task
from reconcilers.actionset.functions.multicontainerrun import multi_container_run
from reconcilers.actionset.functions.preparedata import prepare_data
from reconcilers.actionset.functions.scaleworkload import ScaleWorkload
from reconcilers.actionset.functions.wait import WAIT, WAIT_V2, Wait

if TYPE_CHECKING:
    from reconcilers.actionset.function import Function
    from reconcilers.actionset.services import Services
    from reconcilers.datafunctions.registry import Registry

#: Commands of one KubeExecAll that run at the same time.
PARALLEL_COMMANDS: Final = 8


def catalogue(services: Services) -> Registry[Function[Any]]:
    """Return the functions, each with what it works with.

    Args:
        services: What they have in common.
    """
    client, clock = services.client, services.clock
    executions = Executions(services.commands, clock=clock, limit=PARALLEL_COMMANDS)
    functions: tuple[Function[Any], ...] = (
        kube_task(services.pods),
        multi_container_run(services.pods),
        prepare_data(services.pods, client, services.warn),
        kube_exec(executions),
        kube_exec_all(executions),
        KubeOps(client, clock, account=services.account),
        ScaleWorkload(client, clock=clock),
        Wait(WAIT, client, services.renderer, clock),
        Wait(WAIT_V2, client, services.renderer, clock),
        *datafunctions.functions(services),
    )
    return Catalogue(functions)
