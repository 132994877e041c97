"""Phases that run no program: what they do to objects, seen as it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from fakes.simulation.actionsets import works
from fakes.simulation.actionsets.kubelet import Life
from reconcilers import resources

if TYPE_CHECKING:
    from fakes.simulation.actionsets.kubelet import PhaseNodes
    from fakes.simulation.agenda import SimulatedClock
    from fakes.simulation.apiserver import ApiServer, Change

SEEN: Final = (resources.CONFIG_MAPS, resources.STATEFUL_SETS)


@frozen
class Deed:
    """What a phase has done to an object: as a program that takes no time and always succeeds.

    Attributes:
        token: Names ActionSet and action.
        phase: Name of the phase.
        version: Of the Blueprint that it is of; "" where that cannot be seen.
        said: What the phase puts out.
    """

    token: str
    phase: str
    version: str
    said: str
    seconds: float = 0.0
    code: int = 0

    def lines(self) -> list[tuple[float, str]]:
        """Return what it prints: nothing."""
        return []


class Deeds:
    """Reports each of them as the nodes report a program that is started."""

    def __init__(self, api: ApiServer, clock: SimulatedClock, nodes: PhaseNodes) -> None:
        self._clock = clock
        self._nodes = nodes
        api.listen(self._on_change)

    def _on_change(self, change: Change) -> None:
        deed = deed_of(change) if change.resource in SEEN else None
        if deed is None:
            return
        pod = {
            "metadata": {"uid": f"{change.obj['metadata']['uid']}-{change.version}"},
            "spec": {"nodeName": "", "containers": [{"command": []}]},
        }
        now = self._clock.monotonic()
        self._nodes.on_start(Life(pod, deed, self._clock.now(), now, deed.code, now))


def deed_of(change: Change) -> Deed | None:
    """Return what a phase has done by a change, None if it is nobody's or another one's."""
    name = change.obj["metadata"]["name"]
    kind, token, phase, version = [*name.split("-"), "", "", ""][:4]
    before, after = change.old or {}, change.new or {}
    said = ""
    if (kind == works.CREATED and not before) or (kind == works.DELETED and not after):
        said = name
    elif kind == works.PATCHED and before and "data" not in before and "data" in after:
        said, version = name, after["data"][works.DONE]
    elif kind == works.SCALED and before and after:
        counts = [obj["spec"]["replicas"] for obj in (before, after)]
        said = str(counts[0]) if counts[0] != counts[1] else ""
    return Deed(token, phase, version, said) if said else None
