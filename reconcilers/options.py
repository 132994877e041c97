"""The flags of the command, and their environment variables."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from attrs import frozen

from reconcilers import flags, settings
from reconcilers.flags import EXIT_USAGE, FlagParser, ProcessOptions
from reconcilers.pods import allowed
from reconcilers.repositoryserver.rollout import throttle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.leaderelection.lease import LeaseTerms

__all__ = ["EXIT_USAGE", "PROGRAM", "Options", "parse_options"]

PROGRAM: Final = "repository-server-controller"
#: What the names of its environment variables begin with.
PREFIX: Final = "RSC_"


@frozen
class Options(ProcessOptions):
    """What the command line asks for.

    Args:
        namespace: Namespaces whose RepositoryServers are served; empty for the controller's own.
        config: Path of the settings file, as reconcilers.settings reads it; empty for none.
        server_image: Image with Kopia for the server pods; None for that of the settings.
        pod_override: What spec.server.podOverride may have: restricted, any or off.
        max_concurrent_replacements: How many servers get another pod at the same time.
    """

    namespace: tuple[str, ...]
    config: str
    server_image: str | None
    pod_override: str
    max_concurrent_replacements: int

    def lease_terms_for(self, namespaces: Sequence[str], own: str) -> LeaseTerms:
        """Return what the replicas that serve the same namespaces agree on.

        Args:
            namespaces: The namespaces that are served.
            own: The controller's own namespace.
        """
        return self.lease_terms(namespaces[0] if len(namespaces) == 1 else own)


def parse_options(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Read flags; each can be given as an environment variable RSC_FLAG_NAME as well.

    Exits:
        With code 2 and one line on standard error when a value is wrong.
    """
    parser = _parser(environment)
    options = Options(**parser.read(arguments))
    parser.check_lease(options)
    return options


def _parser(environment: Mapping[str, str]) -> FlagParser:
    parser = FlagParser(
        PROGRAM,
        "Serves RepositoryServers. Each flag is a variable: RSC_WORKERS is --workers.",
        prefix=PREFIX,
        environment=environment,
    )
    flag = parser.flag
    flag("namespace", "", "to serve: one or A,B (default: its own)", flags.namespaces, "NAME")
    flag("config", "", "settings file: defaults for all servers", str, "PATH")
    # No default of its own: the settings file's image counts for one that is not given.
    flag("server-image", None, f"with Kopia (default {settings.DEFAULT_IMAGE})", _image)
    flag("pod-override", allowed.RESTRICTED, "or any, off", str, "MODE", choices=allowed.MODES)
    flag("workers", "10", "reconciles at once", flags.workers, "N")
    flag(
        "max-concurrent-replacements",
        str(throttle.DEFAULT_LIMIT),
        "servers replaced at once",
        _replacements,
        "N",
    )
    parser.process_flags(lease=PROGRAM)
    return parser


def _image(text: str) -> str:
    if not settings.IMAGE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid name of an image")
    return text


def _replacements(text: str) -> int:
    return flags.count(text, 1000)
