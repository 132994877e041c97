"""How long clients cannot connect after a server's pod was deleted, or its Kopia was killed.

With a controller and without one. Two clients, by `kopia repository connect server` with the user's
name and password over the Service: one tries again and again, each time for a moment; the other
connects when the new pod is Ready, and has patience.
"""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchlib import client, figures, milestones, objects, procfs, scene
from benchlib.figures import Spread
from benchlib.milestones import READY, true_conditions
from clusterlib import waiting
from clusterlib.errors import ClusterError
from clusterlib.progress import Progress

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from benchlib.client import Server
    from benchlib.scene import Scene
    from demolib.objects import Object

# From the deletion of a pod until a client connects, at worst, with no controller running.
LIMIT_SECONDS = 5.0

TRIES, REACHED, FAILS, ACCEPTED = "tries", "reached", "fails", "accepted"
# The restless client waits a second for an answer. An attempt that took nearly so long got none.
HANGING_SECONDS = 0.9
# Kopia connects in a quarter of a second. One that has reached a server which ends just then hangs.
ATTEMPT_SECONDS = 2
# A server that is away for longer does not come back.
PATIENCE_SECONDS = 120
AWAY = "no client was accepted within {seconds:.0f} s"
ENDED = "the client ended, having said {said!r}"
NOT_BACK = "the client was not accepted any more, having said {said!r}"
NO_PROCESS = "container {container} has no process on this machine"
NOT_HERE = "Kopia is killed in a cluster of this machine only; left out"

# Until it reads a second line and is accepted once more. Where nobody listens Kopia asks again for
# twelve seconds, so it is only called where somebody does.
RESTLESS = f"""\
{client.BEGINNING}
attempt() {{
  echo {TRIES}
  nc -w 1 "$service" {client.PORT} </dev/null >/dev/null 2>&1 || return 1
  echo {REACHED}
  timeout {ATTEMPT_SECONDS} {client.CONNECT}
}}
mkdir -p "/tmp/$1"
ended="/tmp/$1/ended"
rm -f "$ended"
exec 3<&0
{{ read -r _; : >"$ended"; }} <&3 &
until [ -e "$ended" ]; do
  if attempt; then echo {ACCEPTED}; else echo {FAILS}; usleep 20000; fi
done
until attempt; do echo {FAILS}; usleep 20000; done
echo {ACCEPTED}
"""
# When it is told to; once more if Kopia gives up.
PATIENT = f"""\
{client.BEGINNING}
read -r _
until timeout {PATIENCE_SECONDS} {client.CONNECT}; do echo {FAILS}; done
echo {ACCEPTED}
"""


@dataclass(frozen=True)
class Case:
    """What happens to a server.

    Attributes:
        key: for JSON.
        title: for the table.
        kills: whether its Kopia is killed; else its pod is deleted.
        controlled: whether the controller runs.
    """

    key: str
    title: str
    kills: bool
    controlled: bool


CASES = (
    Case("deleted", "pod deleted", kills=False, controlled=True),
    Case("killed", "Kopia killed", kills=True, controlled=True),
    Case("deleted_alone", "pod deleted, no controller", kills=False, controlled=False),
    Case("killed_alone", "Kopia killed, no controller", kills=True, controlled=False),
)


# What is told of each case.
COLUMNS = {
    "ready": "Ready",
    "longest": "longest without",
    "connects": "a client connects",
    "hanging": "unanswered",
    "patient": "begun at Ready",
}


@dataclass(frozen=True)
class Recovery:
    """What came of one round, in seconds from the deletion or the kill.

    Attributes:
        ready: until the new pod, or the new process of the same pod, was Ready.
        longest: between two times at which the client that tries again and again was accepted.
        connects: until it was accepted after it was refused for the last time; 0 if it never was.
        hanging: how long its attempts were neither taken nor refused.
        patient: from Ready until the other client was accepted.
    """

    ready: float
    longest: float
    connects: float
    hanging: float
    patient: float

    def __str__(self) -> str:
        """Return it in words."""
        return (
            f"Ready after {self.ready:.2f} s, a client connects after {self.connects:.2f} s "
            f"({self.hanging:.2f} s unanswered, {self.longest:.2f} s without at the longest), "
            f"one that begins at Ready {self.patient:.2f} s after it"
        )


def measure(stage: Scene, *, rounds: int) -> dict[str, Any]:
    """Measure, and print what was found.

    Deletions and kills take turns: the kubelet makes a pod wait whose process has ended twice.

    Args:
        stage: where.
        rounds: how often each case.

    Returns:
        The figures for JSON.

    Raises:
        ClusterError: the server did not come back.
    """
    cases = [case for case in CASES if stage.is_local or not case.kills]
    if len(cases) < len(CASES):
        print(NOT_HERE, file=sys.stderr)
    progress = Progress(1 + rounds * len(cases))
    found: dict[str, list[Recovery]] = {case.key: [] for case in cases}
    with progress.step("waiting for a RepositoryServer"):
        bench = _Bench(stage, client.start_server(stage))

    def measure_all(*, controlled: bool) -> None:
        for number in range(1, rounds + 1):
            for case in cases:
                if case.controlled is controlled:
                    with progress.step(f"round {number}: {case.title}"):
                        recovery = bench.measure(case)
                    print(f"      {recovery}", file=sys.stderr)
                    found[case.key].append(recovery)

    measure_all(controlled=True)
    with stage.no_controller():
        measure_all(controlled=False)
    stage.clear()
    return report(found)


def report(found: Mapping[str, Sequence[Recovery]]) -> dict[str, Any]:
    """Print the figures, and return them for JSON.

    Args:
        found: the rounds of each case that was measured, by its key.
    """
    titles = {case.key: case.title for case in CASES}
    rounds = len(next(iter(found.values())))
    print(f"\nSeconds from the deletion, or the kill; median and worst of {rounds} rounds:\n")
    titles_of_columns = [part for name in COLUMNS.values() for part in (name, "worst")]
    rows = [(titles[key], _cells(recoveries)) for key, recoveries in found.items()]
    print(figures.columns(titles_of_columns, rows))
    worst = max(one.connects for one in found["deleted_alone"])
    print(
        f"\nWith no controller running a client connects {worst:.2f} s after the deletion of a "
        f"pod, at worst (less than {LIMIT_SECONDS:.0f} is wanted)."
    )
    return {
        "bench": "recover",
        "rounds": rounds,
        "cases": {key: _json(recoveries) for key, recoveries in found.items()},
        "limit_seconds": LIMIT_SECONDS,
        "within_limits": worst < LIMIT_SECONDS,
        "load_average": round(os.getloadavg()[0], 1),
    }


def _spreads(recoveries: Sequence[Recovery]) -> dict[str, Spread]:
    return {name: Spread.of(getattr(one, name) for one in recoveries) for name in COLUMNS}


def _cells(recoveries: Sequence[Recovery]) -> list[str]:
    spreads = _spreads(recoveries).values()
    return [f"{part:.2f}" for spread in spreads for part in (spread.median, spread.last)]


def _json(recoveries: Sequence[Recovery]) -> dict[str, Any]:
    return {
        **{
            name: {"median": round(spread.median, 2), "worst": round(spread.last, 2)}
            for name, spread in _spreads(recoveries).items()
        },
        "rounds": [round(one.connects, 2) for one in recoveries],
    }


@dataclass(frozen=True)
class Noticed:
    """What a client that connects again and again notices; seconds, as in `Recovery`."""

    longest: float
    connects: float
    hanging: float


def noticed(said: Iterable[tuple[float, str]], at: float) -> Noticed:
    """Return what a client noticed of a deletion or a kill.

    Args:
        said: what it said, and when.
        at: when it happened.

    Raises:
        ClusterError: the client was not accepted in the end.
    """
    tried, began, reached, last = at, at, False, ""
    longest = connects = hanging = 0.0
    refused = False
    for when, last in said:
        if last == TRIES:
            tried, reached = when, False
        elif last == REACHED:
            reached = True
        elif when < at:
            continue
        elif last == FAILS:
            refused = True
            if not reached and when - tried >= HANGING_SECONDS:
                hanging += when - tried
        else:
            longest, began = max(longest, when - began), when
            connects, refused = (when - at if refused else connects), False
    if last != ACCEPTED:
        raise ClusterError(NOT_BACK.format(said=last))
    return Noticed(longest, connects, hanging)


@dataclass(frozen=True)
class _Bench:
    """A server that something happens to.

    Attributes:
        stage: where.
        server: what its clients know of it.
    """

    stage: Scene
    server: Server

    def measure(self, case: Case) -> Recovery:
        before = self._pod()
        selector = f"{objects.INSTANCE_LABEL}={self.server.name}"
        with ExitStack() as stack:
            pool = stack.enter_context(ThreadPoolExecutor(2))
            patient = stack.enter_context(self._client("patient", PATIENT))
            restless = stack.enter_context(self._client("restless", RESTLESS))
            ready = stack.enter_context(
                milestones.awaiting(
                    self.stage.proxy,
                    scene.PODS,
                    selector,
                    lambda pod: is_another(pod, before),
                    then=lambda: _say(patient, ""),
                )
            )
            _until_accepted(restless)
            heard = pool.submit(lambda: list(_said(restless)))
            connected = pool.submit(_until_accepted, patient)
            at = waiting.seconds()
            if case.kills:
                _kill(before)
            else:
                self.stage.proxy.delete(f"{scene.PODS}/{before['metadata']['name']}")
            ready_at = ready()
            accepted_at = connected.result()
            if not case.kills:
                self._await_end(before)
            _say(restless, "")
            found = noticed(heard.result(), at)
            return Recovery(
                ready=ready_at - at,
                longest=found.longest,
                connects=found.connects,
                hanging=found.hanging,
                patient=accepted_at - ready_at,
            )

    @contextmanager
    def _client(self, folder: str, script: str) -> Iterator[subprocess.Popen[str]]:
        host = objects.user_key(0)
        arguments = self.server.arguments(folder, host)
        with self.stage.start(script, *arguments) as running, ExitStack() as on_failure:
            on_failure.callback(running.kill)
            _say(running, client.password(self.stage, host))
            yield running
            on_failure.pop_all()

    def _await_end(self, pod: Object) -> None:
        """Wait until a pod is gone."""
        uid = pod["metadata"]["uid"]
        waiting.until(
            lambda: uid not in [one["metadata"]["uid"] for one in self.stage.server_pods()],
            what="the pod is gone",
            timeout_seconds=PATIENCE_SECONDS,
        )

    def _pod(self) -> Object:
        """Return the pod that serves, once it is the only one."""
        found: list[Object] = []

        def one_is_ready() -> bool:
            found[:] = [
                pod
                for pod in self.stage.server_pods()
                if not pod["metadata"].get("deletionTimestamp")
            ]
            return len(found) == 1 and READY in true_conditions(found[0])

        waiting.until(one_is_ready, what="one pod is Ready", timeout_seconds=PATIENCE_SECONDS)
        return found[0]


def is_another(pod: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Return whether a pod is Ready, and neither itself nor its process is the one before."""
    return _process(pod) != _process(before) and READY in true_conditions(pod)


def _process(pod: Mapping[str, Any]) -> tuple[str, int]:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return pod["metadata"]["uid"], sum(status["restartCount"] for status in statuses)


def _kill(pod: Object) -> None:
    """Kill the process of a pod's container as the kernel does."""
    container = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    pid = procfs.first_process_of(container)
    if pid is None:
        raise ClusterError(NO_PROCESS.format(container=container))
    os.kill(pid, signal.SIGKILL)


def _say(running: subprocess.Popen[str], line: str) -> None:
    if running.stdin is None:
        raise AssertionError
    running.stdin.write(f"{line}\n")
    running.stdin.flush()


def _said(running: subprocess.Popen[str]) -> Iterator[tuple[float, str]]:
    if running.stdout is None:
        raise AssertionError
    deadline = waiting.seconds() + PATIENCE_SECONDS
    for line in running.stdout:
        if (at := waiting.seconds()) > deadline:
            raise ClusterError(AWAY.format(seconds=PATIENCE_SECONDS))
        yield at, line.strip()


def _until_accepted(running: subprocess.Popen[str]) -> float:
    last = ""
    for at, last in _said(running):
        if last == ACCEPTED:
            return at
    raise ClusterError(ENDED.format(said=last))
