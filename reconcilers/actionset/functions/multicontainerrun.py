"""MultiContainerRun: two containers of a pod that share a folder, and one before them.

As a rule the container `background` writes a dump into a named pipe in that folder, which `init`
has made, and `output` reads it and puts out where it went. Both must succeed. Kanister keeps the
arguments in one object for all ActionSets, and waits for ever where one of the two has failed while
the other waits for it (pkg/function/multi_container_run.go); here each phase has its own, and the
first failure ends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from reconcilers.actionset.functions.podfunction import (
    PodArguments,
    PodFunction,
    namespace_argument,
)
from reconcilers.actionset.phases.model import PhasePod
from reconcilers.datafunctions.arguments import Need, text, texts
from reconcilers.errors import InvalidInput
from reconcilers.pods import quantities

if TYPE_CHECKING:
    from reconcilers.actionset.function import PhaseRun
    from reconcilers.actionset.services import PhasePods

INIT: Final = "init"
BACKGROUND: Final = "background"
OUTPUT: Final = "output"
DEFAULT_DIRECTORY: Final = "/tmp/"  # noqa: S108 - the containers' own
_VOLUME: Final = "shared"

REASON_INVALID: Final = "InvalidArgument"
NO_QUANTITY: Final = "argument sharedVolumeSizeLimit must be a quantity, such as 512Mi or 1Gi"
INIT_WITHOUT_IMAGE: Final = (
    "argument initCommand is given without initImage, and so nothing would run it; add initImage, "
    "or remove initCommand"
)

_COMMAND: Final = "its program and arguments, in place of the image's"


@frozen(kw_only=True)
class Arguments(PodArguments):
    """Arguments of MultiContainerRun."""

    background_image: str = text(
        "backgroundImage", "the image of the container background", need=Need.ALWAYS
    )
    background_command: tuple[str, ...] = texts("backgroundCommand", _COMMAND, need=Need.ALWAYS)
    output_image: str = text("outputImage", "the image of the container output", need=Need.ALWAYS)
    output_command: tuple[str, ...] = texts("outputCommand", _COMMAND, need=Need.ALWAYS)
    init_image: str = text("initImage", "the image of a container that runs before both")
    init_command: tuple[str, ...] = texts("initCommand", _COMMAND)
    medium: str = text("sharedVolumeMedium", "Memory for a shared folder in memory")
    size_limit: str = text("sharedVolumeSizeLimit", "how much the shared folder may hold")
    directory: str = text(
        "sharedVolumeDir", "where the shared folder is", default=DEFAULT_DIRECTORY
    )
    namespace: str = namespace_argument()


def multi_container_run(pods: PhasePods) -> PodFunction[Arguments]:
    """Return the function.

    Args:
        pods: Runs the pods of phases.
    """
    return PodFunction(name="MultiContainerRun", arguments=Arguments, pods=pods, make=_make)


def _make(run: PhaseRun, arguments: Arguments) -> PhasePod:
    def container(name: str, image: str, command: tuple[str, ...]) -> dict[str, Any]:
        mounts = [{"name": _VOLUME, "mountPath": arguments.directory}]
        own = {"command": list(command)} if command else {}
        return {"name": name, "image": image, **own, "volumeMounts": mounts}

    if arguments.init_command and not arguments.init_image:
        raise InvalidInput(REASON_INVALID, INIT_WITHOUT_IMAGE)
    spec: dict[str, Any] = {
        "containers": [
            container(OUTPUT, arguments.output_image, arguments.output_command),
            container(BACKGROUND, arguments.background_image, arguments.background_command),
        ],
        "volumes": [{"name": _VOLUME, "emptyDir": _empty_dir(arguments)}],
    }
    if arguments.init_image:
        spec["initContainers"] = [container(INIT, arguments.init_image, arguments.init_command)]
    return PhasePod(
        namespace=arguments.namespace or run.request.namespace,
        spec=spec,
        main=OUTPUT,
        others=(BACKGROUND,),
        aliases=(INIT, BACKGROUND, OUTPUT),
        override=arguments.pod_override,
        labels=arguments.pod_labels,
        annotations=arguments.pod_annotations,
    )


def _empty_dir(arguments: Arguments) -> dict[str, str]:
    given = {"medium": arguments.medium, "sizeLimit": arguments.size_limit}
    try:
        if arguments.size_limit:
            quantities.amount(arguments.size_limit)
    except ValueError:
        raise InvalidInput(REASON_INVALID, NO_QUANTITY) from None
    return {name: value for name, value in given.items() if value}
