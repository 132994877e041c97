"""What a data function is: a name and a version, arguments, outputs, and what it does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic

from attrs import frozen

from reconcilers.datafunctions.arguments import A

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconcilers.kopia.client.model import Progress
    from reconcilers.kopia.client.session import KopiaClient

#: The version of the functions that keep purpose, arguments and outputs of Kanister's on restic.
VERSION: Final = "v1.0.0-alpha"

#: For how many pods the functions whose names end in All work at once.
DEFAULT_PARALLEL: Final = 4


def _ignore(*_: object) -> None:
    """Do nothing."""


@frozen
class Run:
    """One run of a function, in a pod that sees the data.

    Args:
        client: Of the repository server.
        root: The folder below which the workload's volumes are mounted in this pod, by the paths
            that they have there. For the functions whose names end in All it has a folder for each
            pod, by its name, in which that pod's volumes are.
        source: What the option `--source` says; empty if it is not given.
        parallel: For how many pods at the same time.
        sparse: Whether a restore leaves holes in files in place of zeros.
        mounted: For a restore, the paths that volumes of the workload are mounted at: what is put
            elsewhere is lost with this pod, and refused. Empty if nobody knows.
        on_progress: Called with what is worked on, a pod for example, and how far it is.
        say: Called with what was done, in a sentence.
        warn: Called with what the user should know although nothing has failed.
    """

    client: KopiaClient
    root: Path = Path("/")
    source: str = ""
    parallel: int = DEFAULT_PARALLEL
    sparse: bool = False
    mounted: tuple[str, ...] = ()
    on_progress: Callable[[str, Progress], object] = _ignore
    say: Callable[[str], object] = _ignore
    warn: Callable[[str], object] = _ignore

    def progress_of(self, what: str) -> Callable[[Progress], object]:
        """Return a function for the progress of one piece of work.

        Args:
            what: Which one, in a word.
        """
        return lambda progress: self.on_progress(what, progress)


@frozen
class Output:
    """One output.

    Args:
        name: Its key.
        description: What it is, in a clause.
    """

    name: str
    description: str


@frozen
class DataFunction(Generic[A]):
    """A function.

    Args:
        name: As a Blueprint names it.
        version: Its version.
        summary: What it does, in a sentence.
        arguments: The class of its arguments, whose fields `arguments` has made.
        outputs: What it puts out.
        run: Does it and returns the outputs. Raises Refused, ClientFailed or PartlyFailed.
        example: Arguments of an example, in the program.
    """

    name: str
    version: str
    summary: str
    arguments: type[A]
    outputs: tuple[Output, ...]
    run: Callable[[Run, A], Mapping[str, str]]
    example: Mapping[str, str]


#: A function, whatever its arguments.
AnyFunction = DataFunction[Any]
