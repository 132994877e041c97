"""What the phases of simulated ActionSets do: by which function, with which arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from fakes.simulation.actionsets.programs import OUTPUT, RUN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Where the objects of phases are, and the pod that commands run in.
APP: Final = "app"
POD: Final = "db-0"
CONTAINER: Final = "main"

#: How many pods a workload has, and is to have.
ORIGINAL, WANTED = 1, 2
#: What a phase of ScaleWorkload and one of KubeOps put out.
OUTPUT_COUNT: Final = "originalReplicaCount"
OUTPUT_NAME: Final = "name"
#: The key of what a phase has written into an object.
DONE: Final = "done"

CREATED, PATCHED, DELETED, SCALED = "made", "kept", "gone", "scaled"


@frozen
class Work:
    """What a phase does.

    Attributes:
        function: The function.
        arguments: Returns its arguments: of the name of a phase, the version of the Blueprint, and
            the words of a command.
        output: The output of a phase, that later ones name.
        before: What its objects are called that must be there before it runs; "" for none.
        resumes: Whether another process can always find out what came of it.
        runs_program: Whether it runs a program of `programs`.
    """

    function: str
    arguments: Callable[[str, str, Sequence[str]], dict[str, Any]]
    output: str = OUTPUT
    before: str = ""
    resumes: bool = True
    runs_program: bool = True


def command(token: str, phase: str, version: str, *more: str) -> list[str]:
    """Return the command of a program."""
    return [RUN, token, phase, version, *more]


def object_name(kind: str, token: str, phase: str, version: str = "") -> str:
    """Return the name of an object that one phase of one action works on."""
    return "-".join(filter(None, (kind, token, phase, version)))


def _task(_phase: str, _version: str, words: Sequence[str]) -> dict[str, Any]:
    return {"image": "tools", "command": list(words)}


def _containers(_phase: str, _version: str, words: Sequence[str]) -> dict[str, Any]:
    background = {"backgroundImage": "tools", "backgroundCommand": ["wait"]}
    return {**background, "outputImage": "tools", "outputCommand": list(words)}


def _exec(_phase: str, _version: str, words: Sequence[str]) -> dict[str, Any]:
    return {"namespace": APP, "pod": POD, "container": CONTAINER, "command": list(words)}


def _create(phase: str, version: str, _words: Sequence[str]) -> dict[str, Any]:
    name = object_name(CREATED, "{{ .Options.token }}", phase, version)
    spec = f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n"
    return {"operation": "create", "namespace": APP, "spec": spec}


def _patch(phase: str, version: str, _words: Sequence[str]) -> dict[str, Any]:
    spec = f"data:\n  {DONE}: {version}\n"
    return {"operation": "patch", "objectReference": _reference(PATCHED, phase), "spec": spec}


def _delete(phase: str, _version: str, _words: Sequence[str]) -> dict[str, Any]:
    return {"operation": "delete", "objectReference": _reference(DELETED, phase)}


def _scale(phase: str, _version: str, _words: Sequence[str]) -> dict[str, Any]:
    name = object_name(SCALED, "{{ .Options.token }}", phase)
    return {"namespace": APP, "kind": "statefulset", "name": name, "replicas": WANTED}


def _reference(kind: str, phase: str) -> dict[str, str]:
    return {
        "apiVersion": "v1",
        "resource": "configmaps",
        "name": object_name(kind, "{{ .Options.token }}", phase),
        "namespace": APP,
    }


TASK, CONTAINERS, COMMAND = "task", "containers", "command"
CREATE, PATCH, DELETE, SCALE = "create", "patch", "delete", "scale"

WORKS: Final[dict[str, Work]] = {
    TASK: Work("KubeTask", _task),
    CONTAINERS: Work("MultiContainerRun", _containers),
    COMMAND: Work("KubeExec", _exec, resumes=False),
    CREATE: Work("KubeOps", _create, OUTPUT_NAME, resumes=False, runs_program=False),
    PATCH: Work("KubeOps", _patch, OUTPUT_NAME, PATCHED, runs_program=False),
    DELETE: Work("KubeOps", _delete, OUTPUT_NAME, DELETED, runs_program=False),
    SCALE: Work("ScaleWorkload", _scale, OUTPUT_COUNT, SCALED, runs_program=False),
}
#: How often each is chosen. What takes its time more often: much can happen meanwhile.
SHARES: Final = {TASK: 3, CONTAINERS: 2, COMMAND: 3, CREATE: 2, PATCH: 1, DELETE: 1, SCALE: 2}
