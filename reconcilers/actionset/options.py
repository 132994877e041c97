"""The flags of `actionset-controller`, and their environment variables."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from attrs import frozen

from reconcilers import flags, settings
from reconcilers.flags import FlagParser, ProcessOptions
from reconcilers.pods import allowed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROGRAM: Final = "actionset-controller"
#: What the names of its environment variables begin with.
PREFIX: Final = "ASC_"


@frozen
class Options(ProcessOptions):
    """What the command line asks for.

    Args:
        namespace: Namespace whose ActionSets are served; empty for the controller's own.
        functions_image: Image with `repository-server-functions`, for the pods of data functions;
            empty if there is none.
        pod_override: What an ActionSet's podOverride may have: restricted, any or off.
        service_account: The controller's own ServiceAccount, which no phase's pod gets; empty
            outside a cluster.
        template_renderer: Path of the program that renders templates; empty to look on the PATH.
    """

    namespace: str
    functions_image: str
    pod_override: str
    service_account: str
    template_renderer: str


def parse_options(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Read flags; each can be given as an environment variable ASC_FLAG_NAME as well.

    Exits:
        With code 2 and one line on standard error when a value is wrong.
    """
    parser = FlagParser(
        PROGRAM,
        "Runs ActionSets and Blueprints. Each flag is a variable: ASC_WORKERS is --workers.",
        prefix=PREFIX,
        environment=environment,
    )
    flag = parser.flag
    flag("namespace", "", "namespace to serve (default: its own)", flags.namespace)
    flag("functions-image", "", "with repository-server-functions", _image)
    flag("pod-override", allowed.RESTRICTED, "or any, off", str, "MODE", choices=allowed.MODES)
    flag("service-account", "", "its own, which no phase's pod gets", str, "NAME")
    flag("template-renderer", "", "program (default: on the PATH)", str, "PATH")
    flag("workers", "10", "reconciles at once", flags.workers, "N")
    parser.process_flags(lease=PROGRAM)
    options = Options(**parser.read(arguments))
    parser.check_lease(options)
    return options


def _image(text: str) -> str:
    if text and not settings.IMAGE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid name of an image")
    return text
