"""The scheduler and the kubelets of phases' pods: what runs, and what they say became of it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from attrs import define

from controller.conditions import timestamp
from fakes import objects
from fakes.simulation.actionsets.programs import Program, program_of
from reconcilers import resources
from reconcilers.actionset.api import LABEL_UID
from reconcilers.actionset.phases import names

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from random import Random

    from controller.resource import Object
    from fakes.simulation.agenda import Agenda, SimulatedClock
    from fakes.simulation.apiserver import ApiServer, Change

NODES = ("node-a", "node-b")

#: Seconds until a pod has a node, until its containers run, and until they end by a signal.
SCHEDULE_SECONDS = (0.01, 0.1, 2.0)
START_SECONDS = (0.1, 1.0, 10.0)
SIGNAL_SECONDS = (0.1, 1.0, 29.0)
#: Seconds until a kubelet confirms that nothing of a deleted pod runs any more.
CONFIRM_SECONDS = (0.05, 1.0)
#: The exit code of a program that was ended by SIGTERM.
SIGNALLED = 143


@define
class Life:
    """A program from its start to its end.

    Attributes:
        pod: Its pod, as it was when it started.
        program: The program.
        started: When it started.
        since: The same, in monotonic seconds.
        code: How it has ended; None while it runs.
        ended: When, in monotonic seconds.
        reason: Why the pod as a whole has failed; empty if it has not.
        removed: Whether the node has nothing of it any more.
    """

    pod: Object
    program: Any
    started: datetime
    since: float
    code: int | None = None
    ended: float = 0.0
    reason: str = ""
    removed: bool = False

    @property
    def node(self) -> str:
        name: str = self.pod["spec"]["nodeName"]
        return name


class PhaseNodes:
    """Runs each pod once; what the API server hears of it is what a node says when it is heard."""

    def __init__(
        self,
        api: ApiServer,
        agenda: Agenda,
        random: Random,
        clock: SimulatedClock,
        program: Callable[[Object], Program] = program_of,
    ) -> None:
        self._program = program
        self._api = api
        self._agenda = agenda
        self._random = random
        self._clock = clock
        #: Nodes of which nothing is heard.
        self.lost: set[str] = set()
        #: All programs that were started, by the uid of their pod.
        self.lives: dict[str, Life] = {}
        #: Told of each program that is started.
        self.on_start: Callable[[Life], None] = lambda _: None
        api.listen(self._on_change)

    def life_of(self, namespace: str, name: str) -> Life | None:
        """Return the program of a pod that there is."""
        pod = self._api.find(resources.PODS, namespace, name)
        return None if pod is None else self.lives.get(pod["metadata"]["uid"])

    def evict(self, pod: Object) -> None:
        """End a pod from outside, as a node short of memory does."""
        life = self.lives.get(pod["metadata"]["uid"])
        if life is not None and life.code is None:
            self._end(life, SIGNALLED, reason="Evicted")

    def lose(self, node: str) -> None:
        """Hear nothing of a node. Its programs go on."""
        self.lost.add(node)

    def find_again(self, node: str) -> None:
        """Hear of a node again, and all that has happened on it."""
        self.lost.discard(node)
        for life in list(self.lives.values()):
            if life.node == node and not life.removed:
                self._report(life)
        for pod in self._api.list(resources.PODS):
            if pod["spec"].get("nodeName") == node:
                self._confirm_later(pod)

    def mend(self) -> None:
        """Hear of all nodes."""
        for node in sorted(self.lost):
            self.find_again(node)

    def _on_change(self, change: Change) -> None:
        if change.resource != resources.PODS or not _is_of_phase(change.obj):
            return
        if change.old is None:
            self._later(SCHEDULE_SECONDS, self._schedule, change.obj)
        elif change.new is None:
            life = self.lives.get(change.obj["metadata"]["uid"])
            if life is not None and life.code is None:
                # By force: its node finds out, and ends it.
                self._agenda.after(1.0, lambda: self._end(life, SIGNALLED))
        elif _is_deleted(change.new) and not _is_deleted(change.old):
            self._later(SIGNAL_SECONDS, self._signal, change.obj)

    def _later(
        self, seconds: tuple[float, ...], act: Callable[[Object], None], pod: Object
    ) -> None:
        self._agenda.after(self._random.choice(seconds), lambda: act(pod))

    def _now(self, pod: Object) -> Object | None:
        """Return a pod as it is now; None if it is gone."""
        metadata = pod["metadata"]
        found = self._api.find(resources.PODS, metadata["namespace"], metadata["name"])
        return found if found is not None and found["metadata"]["uid"] == metadata["uid"] else None

    def _schedule(self, pod: Object) -> None:
        found = self._now(pod)
        if found is None or _is_deleted(found):
            return
        node = self._random.choice(NODES)
        change = {"spec": {"nodeName": node}}
        metadata = found["metadata"]
        found = self._api.merge_patch(
            resources.PODS, metadata["namespace"], metadata["name"], change
        )
        self._later(START_SECONDS, self._start, found)

    def _start(self, pod: Object) -> None:
        found = self._now(pod)
        if found is None or _is_deleted(found):
            return
        if found["spec"]["nodeName"] in self.lost:
            self._agenda.after(5.0, lambda: self._start(pod))
            return
        uid = found["metadata"]["uid"]
        assert uid not in self.lives
        life = Life(found, self._program(found), self._clock.now(), self._clock.monotonic())
        self.lives[uid] = life
        self.on_start(life)
        self._report(life)
        self._agenda.after(
            life.program.seconds,
            lambda: self._end(life, life.program.code) if life.code is None else None,
        )

    def _end(self, life: Life, code: int, *, reason: str = "") -> None:
        if life.code is None:
            life.code, life.ended, life.reason = code, self._clock.monotonic(), reason
            self._report(life)

    def _signal(self, pod: Object) -> None:
        """End the containers of a deleted pod, and confirm it."""
        life = self.lives.get(pod["metadata"]["uid"])
        if life is not None and life.node not in self.lost:
            self._end(life, SIGNALLED)
        self._confirm_later(pod)

    def _confirm_later(self, pod: Object) -> None:
        self._later(CONFIRM_SECONDS, self._confirm, pod)

    def _confirm(self, pod: Object) -> None:
        found = self._now(pod)
        if found is None or not _is_deleted(found):
            return
        node = found["spec"].get("nodeName")
        life = self.lives.get(found["metadata"]["uid"])
        if node in self.lost:
            return
        if life is not None:
            self._end(life, SIGNALLED)
        self._api.remove(resources.PODS, found)

    def _report(self, life: Life) -> None:
        """Say what became of a program, if the node is heard."""
        if life.node in self.lost:
            return
        found = self._now(life.pod)
        if found is None:
            life.removed = True
            return
        state: Object
        phase, state = "Running", {"running": {"startedAt": timestamp(life.started)}}
        if life.code is not None:
            phase = "Failed" if life.code else "Succeeded"
            at = life.started + timedelta(seconds=life.ended - life.since)
            ended = {"exitCode": life.code, "finishedAt": timestamp(at)}
            state = {"terminated": ended}
        statuses = [{"name": container, "state": state} for container in names.containers_of(found)]
        status = {"phase": phase, "containerStatuses": statuses}
        if life.reason:
            status["reason"] = life.reason
        self._api.write_status(resources.PODS, found, objects.merged({}, status))


def _is_of_phase(pod: Object) -> bool:
    return LABEL_UID in (pod["metadata"].get("labels") or {})


def _is_deleted(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]
