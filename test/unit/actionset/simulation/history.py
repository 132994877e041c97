"""What has happened to ActionSets and to the programs of their phases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from reconcilers import resources
from reconcilers.actionset import memo
from reconcilers.actionset.api import ACTION_SETS, ANNOTATION_MEMO
from reconcilers.actionset.status import document

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.resource import Object, Resource
    from fakes.simulation.actionsets.cluster import ActionSetCluster
    from fakes.simulation.actionsets.kubelet import Life
    from fakes.simulation.apiserver import Change
    from fakes.simulation.client import Sent


@define
class History:
    """What is remembered.

    Attributes:
        cluster: The cluster.
        lines: All that has happened, for people.
        runs: The programs that were started, by token and phase, in their order.
        excused: The uids of ActionSets to which something was done from outside that a phase may
            fail by, though its program does not.
        lost: Token and phase of what the engine ran when it was killed, or lost the answer to: it
            may have run, and nobody can say so.
        scaled: Token and phase of the phases that have scaled a workload and are complete.
        powerless: The uids of those for which the engine has lacked a right for long.
        untidy: As `powerless`, by a right to Secrets.
        disturbed: The uids of pods that somebody else than the engine has ended or deleted.
        reconciles: How many there were.
        on_start: Told of each program that is started, before it is in `runs`.
        on_change: Told of each change of an ActionSet.
    """

    cluster: ActionSetCluster
    lines: list[str] = field(factory=list)
    runs: dict[tuple[str, str], list[Life]] = field(factory=dict)
    excused: set[str] = field(factory=set)
    lost: set[tuple[str, str]] = field(factory=set)
    scaled: set[tuple[str, str]] = field(factory=set)
    powerless: set[str] = field(factory=set)
    untidy: set[str] = field(factory=set)
    disturbed: set[str] = field(factory=set)
    reconciles: int = 0
    on_start: Callable[[Life], None] = lambda _: None
    on_change: Callable[[Change], None] = lambda _: None

    def __attrs_post_init__(self) -> None:
        """Hear of all that happens from now on."""
        self.cluster.api.listen(self._hear)
        self.cluster.nodes.on_start = self._start
        self.cluster.containers.lost = self.lost
        self.cluster.on_kill = self._lose

    def note(self, line: str) -> None:
        self.lines.append(f"{self.cluster.clock.monotonic():10.3f}  {line}")

    def note_request(self, sent: Sent) -> None:
        self.note(f"    {sent.verb} {sent.resource.plural} {sent.namespace}/{sent.name}")

    def begin_reconcile(self) -> None:
        self.reconciles += 1

    def last(self, token: str, phase: str) -> Life | None:
        """Return the last program of a phase; None if none was started."""
        runs = self.runs.get((token, phase))
        return runs[-1] if runs else None

    def action_set(self, uid: str) -> Object | None:
        """Return the ActionSet of a uid; None if it is gone."""
        every = self.cluster.api.list(ACTION_SETS)
        return next((one for one in every if one["metadata"]["uid"] == uid), None)

    def lack_right(self, resource: Resource) -> None:
        """Note that the engine lacks a right for so long that phases may fail by it.

        Args:
            resource: To what.
        """
        found = {one["metadata"]["uid"] for one in self.cluster.api.list(ACTION_SETS)}
        self.untidy |= found if resource == resources.SECRETS else set()
        self.excused |= found
        self.powerless |= found

    def _lose(self) -> None:
        """Note which phases may have begun that another process can find out nothing of."""
        for obj in self.cluster.api.list(ACTION_SETS):
            wanted = self.cluster.author.wanted[obj["metadata"]["uid"]]
            annotations = obj["metadata"].get("annotations") or {}
            memos = memo.parse(annotations.get(ANNOTATION_MEMO, ""))
            actions = (obj.get("status") or {}).get("actions") or ()
            for index, (token, plan) in enumerate(zip(wanted.tokens, wanted.plans, strict=True)):
                due = document.due_phase(obj["status"], index) if actions else None
                entry = None if due is None else memos.get(due)
                if due is not None and entry is not None and entry.memo:
                    name = document.phase_at(obj["status"], due)["name"]
                    self.lost |= set() if plan.work(name).resumes else {(token, name)}

    def _start(self, life: Life) -> None:
        program = life.program
        self.note(f"  {program.token} {program.phase} starts ({life.pod['metadata']['uid']})")
        self.on_start(life)
        self.runs.setdefault((program.token, program.phase), []).append(life)

    def _hear(self, change: Change) -> None:
        if change.resource == ACTION_SETS:
            self.note(f"  {_summary(change)}")
            self.on_change(change)


def _summary(change: Change) -> str:
    name = change.obj["metadata"]["name"]
    if change.new is None:
        return f"{name} is gone"
    status = change.new.get("status") or {}
    phases = [
        f"{phase['name']} {phase['state']}"
        for action in status.get("actions") or ()
        for phase in (*action["phases"], *filter(None, [action.get("deferPhase")]))
    ]
    error = (status.get("error") or {}).get("message", "")
    return f"{name} {status.get('state', 'new')}: {', '.join(phases)} {error}"
