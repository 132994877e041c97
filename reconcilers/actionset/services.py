"""What functions work with: put together once, by `setup`, and given to `functions.catalogue`.

A function takes from it what it needs, in its constructor. None of it keeps the state of a phase.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from controller.clock import Clock, Deadline
    from controller.commands import Commands
    from controller.reconcile import Request
    from controller.rest.client import Client
    from reconcilers.actionset.function import PhaseRun, Step
    from reconcilers.actionset.phases.model import PhasePod, PodResult
    from reconcilers.actionset.templates.renderer import Renderer


class PhasePods(Protocol):
    """A pod a phase, with a computed name: made once, followed, read when it has ended.

    `phases.pods.PhasePods`.
    """

    def advance(
        self,
        run: PhaseRun,
        make: Callable[[], PhasePod],
        result: Callable[[PodResult], Step] | None = None,
        *,
        part: str = "",
    ) -> Step:
        """Make the pod of a phase, or look how far it is. Never wait.

        Args:
            run: The phase.
            make: Returns the pod as it should be. Called only where there is none yet. It may raise
                InvalidInput.
            result: Returns what came of a pod that has ended. Default: its outputs by the lines of
                its log.
            part: Tells the pods of a phase with several apart. Default: none, it has one.
        """

    def cancel(self, run: PhaseRun, *, part: str = "") -> Step:
        """Delete the pod of a phase. Never wait.

        Args:
            run: The phase.
            part: As in `advance`.

        Returns:
            Running until nothing of it runs any more, then Failed.
        """

    def release(self, run: PhaseRun, *, failed: bool) -> bool:
        """Remove what is left of a phase that is over and whose result is stored. Never wait.

        The engine calls it for every phase that is over, in each reconcile until it returns True,
        whatever its function. `run.memo` is the last memo of the phase.

        Args:
            run: The phase.
            failed: Whether it has failed: then its pods stay if `run.keep_failed_pod` says so.

        Returns:
            Whether nothing is left of it that needs another call.
        """

    def look_after(self, namespaces: Iterable[str], deadline: Deadline) -> None:
        """Follow the pods that earlier processes have left. Does not wait for them.

        Without that nothing would tell of the pod of a failed phase that is kept, or of one that
        another process could not remove, before the next phase in its namespace.

        Args:
            namespaces: Where they may be.
            deadline: Of the reconcile.
        """

    def sweep(self, request: Request, deadline: Deadline) -> None:
        """Remove the pods of an ActionSet that is gone.

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
