"""A function that is one pod: its phase is over when the pod is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from attrs import field, frozen

from reconcilers.actionset.phases.model import outputs_of_log
from reconcilers.datafunctions.arguments import mapping, text, tree
from reconcilers.datafunctions.versions import DEFAULT_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconcilers.actionset.function import PhaseRun, Step
    from reconcilers.actionset.phases.model import PhasePod, PodResult
    from reconcilers.actionset.services import PhasePods

A = TypeVar("A")

#: Kanister's name of the only container of a pod, which overrides know.
CONTAINER: Final = "container"


@frozen
class PodArguments:
    """What all functions that are a pod can be given."""

    pod_override: Mapping[str, Any] = tree(
        "podOverride", "a partial PodSpec that is merged into that of the pod"
    )
    pod_labels: Mapping[str, str] = mapping("podLabels", "labels of the pod")
    pod_annotations: Mapping[str, str] = mapping("podAnnotations", "annotations of the pod")


def namespace_argument() -> Any:  # noqa: ANN401 - attrs takes it for the field's default
    """Return a field for the namespace of a pod, which has a default."""
    return text("namespace", "the namespace of the pod, if not that of the ActionSet")


def _outputs_of_log(_run: PhaseRun, _arguments: Callable[[], Any], result: PodResult) -> Step:
    return outputs_of_log(result)


@frozen(kw_only=True)
class PodFunction(Generic[A]):
    """A function that is one pod.

    Args:
        name: As a Blueprint names it.
        arguments: The class of its arguments.
        pods: Runs the pods of phases.
        make: Returns the pod of a phase with its arguments. It may raise InvalidInput.
        result: Returns what came of a pod that has ended, from the phase, what renders its
            arguments, and that. Default: the outputs in its log.
        version: Its version. Default: v0.0.0.
        unrendered: Names of the arguments that are no templates. Default: none.
    """

    name: str
    arguments: type[A]
    pods: PhasePods
    make: Callable[[PhaseRun, A], PhasePod]
    result: Callable[[PhaseRun, Callable[[], A], PodResult], Step] = _outputs_of_log
    version: str = DEFAULT_VERSION
    unrendered: frozenset[str] = field(factory=frozenset)

    def advance(self, run: PhaseRun, arguments: Callable[[], A]) -> Step:
        """Make the pod, or look how far it is. See `Function.advance`."""
        return self.pods.advance(
            run,
            lambda: self.make(run, arguments()),
            lambda result: self.result(run, arguments, result),
        )

    def cancel(self, run: PhaseRun) -> Step:
        """Delete the pod. See `Function.cancel`."""
        return self.pods.cancel(run)

    def so_far(self, run: PhaseRun) -> None:
        """Return None: it puts out nothing before its end."""
