"""Containers whose tools are replaced: each command is recorded, and puts out what is asked for."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from fakes.kopia import FakeResult
from reconcilers.actionset.phases import names
from reconcilers.datafunctions.outputs import MARKER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from controller.clock import Deadline
    from controller.resource import Object
    from fakes.simulation.strands import Strands

#: What the data functions put out, whatever they are asked.
_ID = "8f2b3b4d0c7b1d9b5f0e6a1c2d3e4f50"
_ONE_POD = "--arg=pods="
OF_DATA_FUNCTIONS = {
    "backupID": _ID,
    "backupTag": "tag:1",
    "backupRoot": "/mnt/vol_data/data",
    "backupArtifactLocation": "shop",
    "fileCount": "3",
    "size": "1.000 MiB",
    "phySize": "1.000 MiB",
    "spaceFreed": "0 B",
    "version": "v1.0.0-alpha",
}
SECONDS = 1.0


@frozen
class Recorded:
    """A program that was recorded in place of being run.

    Attributes:
        outputs: What it puts out.
    """

    outputs: Mapping[str, str]
    seconds: float = SECONDS
    code: int = 0

    def lines(self) -> list[tuple[float, str]]:
        return [(0.0, line) for line in lines_of(self.outputs)]


@define
class Tools:
    """Records what containers are asked.

    Attributes:
        outputs: Returns what the phase of a name puts out.
        asked: The commands, each with its arguments, in their order.
    """

    outputs: Callable[[str], Mapping[str, str]]
    strands: Strands | None = None
    asked: list[tuple[str, ...]] = field(factory=list)

    def program(self, pod: Object) -> Recorded:
        """Record the commands of a pod's containers."""
        for container in pod["spec"]["containers"]:
            command = [*(container.get("command") or ()), *(container.get("args") or ())]
            self.asked.append(tuple(command))
        phase = pod["metadata"]["annotations"][names.ANNOTATION_PHASE].partition("/")[2]
        return Recorded({**OF_DATA_FUNCTIONS, **_of_pod(self.asked[-1]), **self.outputs(phase)})

    def run(
        self,
        _namespace: str,
        _pod: str,
        _container: str,
        command: Sequence[str],
        *,
        stdin: bytes | Iterable[bytes] = b"",
        deadline: Deadline,
        on_stdout: Callable[[bytes], None] | None = None,
    ) -> FakeResult:
        """Record a command in a container that is there, as the executor is asked to run it."""
        deadline.check()
        if self.strands is not None:
            self.strands.pause(SECONDS)
        argv = tuple(command)
        if not isinstance(stdin, bytes):
            # What a shell reads: a mark, the words, the mark.
            argv = tuple(shlex.split(next(iter(stdin)).decode())[1:-1])
        self.asked.append(argv)
        if on_stdout is not None:
            on_stdout("\n".join(lines_of(self.outputs(""))).encode())
        return FakeResult(0, b"", b"")


def _of_pod(command: Sequence[str]) -> dict[str, str]:
    """Return what BackupDataAll puts out of the pod that it is told."""
    for word in command:
        if word.startswith(_ONE_POD):
            pod = word.removeprefix(_ONE_POD)
            backup = {"PodName": pod, "BackupID": _ID, "BackupTag": "tag:1"}
            return {"BackupAllInfo": json.dumps({pod: backup})}
    return {}


def lines_of(outputs: Mapping[str, Any]) -> list[str]:
    """Return the lines with which a program puts something out."""
    return [
        f"{MARKER} {json.dumps({'key': key, 'value': value})}" for key, value in outputs.items()
    ]
