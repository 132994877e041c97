"""All functions that a Blueprint can name, by name and version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconcilers.actionset.functions.executions import Executions
from reconcilers.actionset.functions.kubeexec import kube_exec, kube_exec_all
from reconcilers.actionset.functions.kubeops import KubeOps
from reconcilers.actionset.functions.scaleworkload import ScaleWorkload
from reconcilers.actionset.functions.wait import WAIT, WAIT_V2, Wait
from reconcilers.datafunctions.registry import Registry

if TYPE_CHECKING:
    from reconcilers.actionset.function import Function
    from reconcilers.actionset.services import Services

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
        KubeOps(client, clock, account=services.account),
        ScaleWorkload(client, clock=clock),
        Wait(WAIT, client, services.renderer, clock),
        Wait(WAIT_V2, client, services.renderer, clock),
        kube_exec(executions),
        kube_exec_all(executions),
    )
    return Registry(functions)
