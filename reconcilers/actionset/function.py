"""What a function is to the engine: something that is asked, again and again, how far it is.

The engine calls `advance` in each reconcile while the phase is `running`. It writes what comes back
into the status before it calls again, so a step that must not be forgotten is returned as a memo
first and taken in the next call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from controller.reconcile import Deadline, Request
    from controller.resource import Object
    from reconcilers.actionset.api import Action

A = TypeVar("A")

#: Of a function that cannot tell, after a restart, whether what it did has been done.
OUTCOME_UNKNOWN: Final = "outcome unknown: {why}"


@frozen
class Progress:
    """How far a phase is.

    Args:
        percent: 0 to 100.
        sizes: `sizeUploadedB`, `sizeDownloadedB`, `estimatedUploadSizeB`,
            `estimatedDownloadSizeB`, in bytes, those that are known.
        seconds_left: Estimated; None if that is unknown.
    """

    percent: int
    sizes: Mapping[str, int] = field(factory=dict)
    seconds_left: int | None = None


@frozen
class Running:
    """The phase is not over.

    Args:
        waits_for: What it waits for, without a value of an argument; empty while it simply runs.
        memo: What the next call, in this process or another, has to know: JSON, without a secret.
            It is stored before that call, which then comes at once. Default: None, that of before.
        progress: How far it is. Default: None, as before.
        again_after: Seconds until the next call, if no event comes. Default: None, no limit.
    """

    waits_for: str = ""
    memo: Mapping[str, Any] | None = None
    progress: Progress | None = None
    again_after: float | None = None


@frozen
class Complete:
    """The phase has succeeded.

    Args:
        outputs: Its outputs; None for none at all.
    """

    outputs: Mapping[str, Any] | None = None


@frozen
class Failed:
    """The phase has failed.

    Args:
        message: The cause first, then what to do; without a value of an argument.
        outputs: What is to be kept of it all the same.
    """

    message: str
    outputs: Mapping[str, Any] | None = None


#: What came of one call.
Step: TypeAlias = Running | Complete | Failed


@frozen
class PhaseRun:
    """One phase of one action of one ActionSet, as it is in this reconcile.

    Args:
        request: The ActionSet, to be woken.
        action_set: The ActionSet as it was read. Never change it.
        action: The action of its spec.
        phase: Name of the phase, or of the deferPhase.
        deferred: Whether it is the deferPhase.
        parameters: What templates can name, as it was when the action began: the JSON of
            `parameters`.
        memo: What an earlier call has returned; empty at the first.
        started_at: When the phase began.
        repeatable: Whether it may run twice.
        keep_failed_pod: Whether its pod stays if it fails.
        deadline: Of this reconcile.
        timeout: Seconds for which it may run by the annotation, which the engine holds; it takes
            the place of a limit that the function has of its own. Default: None, nothing is said.
    """

    request: Request
    action_set: Object
    action: Action
    phase: str
    deferred: bool
    parameters: Mapping[str, Any] = field(repr=False)
    memo: Mapping[str, Any]
    started_at: datetime
    repeatable: bool
    keep_failed_pod: bool
    deadline: Deadline
    timeout: float | None = None

    @property
    def uid(self) -> str:
        """The uid of the ActionSet."""
        uid: str = self.action_set["metadata"]["uid"]
        return uid


class Function(Protocol[A]):
    """A function at a version. One object serves all phases: it keeps no state of one."""

    @property
    def name(self) -> str:
        """Its name, as a Blueprint has it."""

    @property
    def version(self) -> str:
        """Its version, normalized."""

    @property
    def arguments(self) -> type[A]:
        """The class of its arguments (`reconcilers.datafunctions.arguments`)."""

    @property
    def unrendered(self) -> frozenset[str]:
        """Keys, at any depth of the arguments, whose values are no templates of these parameters.

        See `reconcilers.actionset.unrendered`.
        """

    def advance(self, run: PhaseRun, arguments: Callable[[], A]) -> Step:
        """Start the phase, or look how far it is. Never wait.

        Args:
            run: The phase.
            arguments: Renders and decodes the arguments. It reads Secrets and asks the renderer, so
                call it only where they are needed. It raises InvalidInput.

        Raises:
            InvalidInput: The phase cannot be run as it is; it fails with the message.
            ClientError: As a client raises it. The reconcile is tried again.
        """

    def cancel(self, run: PhaseRun) -> Step:
        """End the phase early: by a deletion or its time limit. Never wait.

        Returns:
            Running until nothing of it is left that runs, then Failed.
        """

    def so_far(self, run: PhaseRun) -> Mapping[str, Any] | None:
        """Return the outputs so far, of a phase that is given up; None for none.

        Asked where the function itself does not say how the phase has ended. By the memo alone.

        Args:
            run: The phase.
        """
