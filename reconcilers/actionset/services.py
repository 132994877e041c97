"""What functions work with: put together once, by `setup`, and given to `functions.catalogue`.

A function takes from it what it needs, in its constructor. None of it keeps the state of a phase.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.clock import Clock
    from controller.commands import Commands
    from controller.rest.client import Client
    from reconcilers.actionset.function import PhaseRun
    from reconcilers.actionset.phases.pods import PhasePods
    from reconcilers.actionset.templates.renderer import Renderer


@frozen
class Services:
    """What functions have in common.

    Args:
        client: Reads and writes objects, in the namespaces of applications too.
        pods: Runs the pods of phases.
        renderer: Evaluates conditions. Arguments are rendered by the engine.
        commands: Runs commands in containers beside the workers, and wakes the ActionSet at their
            end.
        clock: The time.
        warn: Records a Warning event of a phase's ActionSet: what the user should know although
            nothing has failed. Without a value of an argument.
        image: The image with `repository-server-functions`, for data functions.
        account: The service account of actionset-controller as `namespace/name`, which nothing that
            a phase makes may use. Default: none, outside of a cluster.
    """

    client: Client
    pods: PhasePods
    renderer: Renderer
    commands: Commands
    clock: Clock
    warn: Callable[[PhaseRun, str], None]
    image: str
    account: str = ""
