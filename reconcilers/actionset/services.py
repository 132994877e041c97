"""What functions work with: put together once, by `setup`, and given to `functions.catalogue`.

A function takes from it what it needs, in its constructor. None of it keeps the state of a phase.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.clock import Clock, Deadline
    from controller.commands import Commands
    from controller.reconcile import Request
    from controller.rest.client import Client
    from reconcilers.actionset.function import PhaseRun, Step
    from reconcilers.actionset.templates.renderer import Renderer


class PhasePods(Protocol):
    """A pod a phase, with a computed name: made once, followed, read when it has ended."""

    def advance(
        self,
        run: PhaseRun,
        make: Callable[[], Any],
        result: Callable[[Any], Step] | None = None,
    ) -> Step:
        """Make the pod of a phase, or look how far it is. Never wait.

        Args:
            run: The phase.
            make: Returns the pod as it should be (`phases.PhasePod`). Called only where there is
                none yet. It may raise InvalidInput.
            result: Returns what came of a pod that has ended (`phases.PodResult`). Default: its
                outputs by the lines of its log.
        """

    def cancel(self, run: PhaseRun) -> Step:
        """Delete the pod of a phase. Never wait.

        Returns:
            Running until it is gone, then Failed.
        """

    def release(self, run: PhaseRun, *, failed: bool) -> bool:
        """Remove what is left of a phase that is over and whose result is stored. Never wait.

        The engine calls it for every phase that is over, in each reconcile until it returns True,
        whatever its function. A phase without a pod has nothing left. `run.memo` is the last memo
        of the phase.

        Args:
            run: The phase.
            failed: Whether it has failed: then its pod stays where `run.keep_failed_pod` says so,
                without our finalizer.

        Returns:
            Whether nothing is left of it that needs another call.
        """

    def sweep(self, request: Request, deadline: Deadline) -> None:
        """Delete the pods of an ActionSet that is gone, by label; take our finalizer off them.

        Args:
            request: The ActionSet, which does not exist any more.
            deadline: Of the reconcile.
        """


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
    """

    client: Client
    pods: PhasePods
    renderer: Renderer
    commands: Commands
    clock: Clock
    warn: Callable[[PhaseRun, str], None]
    image: str
