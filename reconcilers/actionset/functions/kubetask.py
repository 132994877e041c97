"""KubeTask: runs a command in a pod of its own (Kanister pkg/function/kube_task.go)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from reconcilers.actionset.functions.podfunction import (
    CONTAINER,
    PodArguments,
    PodFunction,
    namespace_argument,
)
from reconcilers.actionset.phases.model import PhasePod
from reconcilers.datafunctions.arguments import Need, text, texts

if TYPE_CHECKING:
    from reconcilers.actionset.function import PhaseRun
    from reconcilers.actionset.services import PhasePods


@frozen(kw_only=True)
class Arguments(PodArguments):
    """Arguments of KubeTask."""

    image: str = text("image", "the image that has the command", need=Need.ALWAYS)
    command: tuple[str, ...] = texts(
        "command", "the program and its arguments, in place of the image's", need=Need.ALWAYS
    )
    namespace: str = namespace_argument()


def kube_task(pods: PhasePods) -> PodFunction[Arguments]:
    """Return the function.

    Args:
        pods: Runs the pods of phases.
    """
    return PodFunction(name="KubeTask", arguments=Arguments, pods=pods, make=_make)


def _make(run: PhaseRun, arguments: Arguments) -> PhasePod:
    container = {
        "name": CONTAINER,
        "image": arguments.image,
        "command": list(arguments.command),
    }
    return PhasePod(
        namespace=arguments.namespace or run.request.namespace,
        spec={"containers": [container]},
        main=CONTAINER,
        override=arguments.pod_override,
        labels=arguments.pod_labels,
        annotations=arguments.pod_annotations,
    )
