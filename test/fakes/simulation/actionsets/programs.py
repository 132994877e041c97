"""What the programs of phases do: how long they run, what they print, how they end."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from reconcilers.datafunctions.outputs import MARKER

if TYPE_CHECKING:
    from controller.resource import Object

#: The first word of a command that is a program of ours.
RUN = "run"
#: The output of each program.
OUTPUT = "said"

#: Seconds that a program runs, one of these.
SECONDS = (0.0, 0.5, 5.0, 5.0, 60.0, 400.0)
#: Of so many programs one fails.
FAILS_ONE_IN = 6


class Program(Protocol):
    """What a pod runs."""

    @property
    def seconds(self) -> float:
        """How long it runs."""

    @property
    def code(self) -> int:
        """How it ends."""

    def lines(self) -> list[tuple[float, str]]:
        """Return what it prints, each with the second after its start."""


@frozen
class PhaseProgram:
    """One phase of one action of one ActionSet, as its command tells.

    Attributes:
        token: Names ActionSet and action: an option that no two of them share.
        phase: Name of the phase.
        version: Of the Blueprint that it is of.
        seconds: How long it runs.
        code: How it ends.
    """

    token: str
    phase: str
    version: str
    seconds: float
    code: int

    @property
    def said(self) -> str:
        """What it puts out."""
        return f"{self.token}-{self.phase}-{self.version}"

    def lines(self) -> list[tuple[float, str]]:
        """Return what it prints, each with the second after its start."""
        output = json.dumps({"key": OUTPUT, "value": self.said})
        return [
            (0.0, f"{self.phase} begins"),
            (self.seconds / 2, f"{MARKER} {output}"),
            (self.seconds, f"{self.phase} ends with {self.code}"),
        ]


def program_of(pod: Object) -> PhaseProgram:
    """Return what the main container of a pod runs. The same command always does the same."""
    command = pod["spec"]["containers"][0]["command"]
    assert command[0] == RUN, command
    _, token, phase, version = command[:4]
    # By its place in the world, so that who runs it when does not matter.
    random = Random(f"{token}/{phase}")  # noqa: S311 - no secret depends on it
    seconds = random.choice(SECONDS)
    return PhaseProgram(token, phase, version, seconds, int(not random.randrange(FAILS_ONE_IN)))
