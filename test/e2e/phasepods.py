"""Runs pods of phases in the cluster under test, as the engine does, in threads of the test."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field

from controller.clock import Deadline
from controller.operator import Operator
from controller.reconcile import Request
from controller.rest.kubeconfig import load_api_client
from controller.stop import Stop
from e2e.cluster import NAMESPACE
from e2e.waiting import CLOCK, wait_for
from fakes.clock import STUCK_AFTER
from reconcilers import resources
from reconcilers.actionset.api import Action, ObjectReference
from reconcilers.actionset.function import Complete, Failed, PhaseRun, Running
from reconcilers.actionset.phases import cache
from reconcilers.actionset.phases.builder import Policy
from reconcilers.actionset.phases.follower import Follower
from reconcilers.actionset.phases.model import PhasePod
from reconcilers.actionset.phases.pods import PhasePods

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.resource import Object
    from e2e.cluster import Cluster
    from reconcilers.actionset.function import Step

#: Begins a script that puts out something.
OUTPUT = """
import json, sys, time
def output(key, value):
    sys.stdout.write('###Phase-output###: ' + json.dumps({'key': key, 'value': value}) + chr(10))
    sys.stdout.flush()
"""

CONTAINER = "container"
#: The namespace of ActionSets that nobody has made: pods that they owned would be collected.
ELSEWHERE = "actionsets"
PHASE_SECONDS = 120.0


@define
class Engine:
    """A process that runs phases.

    Attributes:
        cluster: The cluster.
        operator: Its informer and its client.
        pods: Runs the pods.
    """

    cluster: Cluster
    operator: Operator
    pods: PhasePods
    _stop: Stop = field(factory=Stop)
    _thread: threading.Thread | None = None

    @classmethod
    def start(cls, cluster: Cluster, kubeconfig: str, *, start_seconds: float = 900.0) -> Engine:
        """Start a process.

        Args:
            cluster: The cluster.
            kubeconfig: The path of its kubeconfig.
            start_seconds: How long a pod may take to start.
        """
        api_client = load_api_client(kubeconfig, user_agent="phases")
        operator = Operator(api_client, "phase-pods-test", namespaces=(NAMESPACE,))
        informer = operator.informer(
            resources.PODS,
            cache.SELECTION,
            name="pods of phases",
            indexers=cache.INDEXERS,
            trim=cache.trimmed,
        )
        follower = Follower("logs", operator.logs, clock=CLOCK)
        operator.add(follower)
        pods = PhasePods(
            client=operator.client,
            pods=informer,
            follow=lambda _namespace: None,
            follower=follower,
            policy=Policy(NAMESPACE, "engine"),
            clock=CLOCK,
            start_seconds=start_seconds,
        )
        engine = cls(cluster, operator, pods)
        engine._thread = threading.Thread(
            target=operator.run,
            args=(engine._stop,),
            daemon=True,
        )
        engine._thread.start()
        wait_for("the pods of phases", informer.has_synced)
        return engine

    def end(self) -> None:
        """End the process, as a kill would: nothing is left of it but what is stored."""
        assert self._thread is not None
        self._stop.set()
        self._thread.join(STUCK_AFTER)
        assert not self._thread.is_alive()


@define
class Phase:
    """One phase, and the pod that it wants.

    Attributes:
        engine: The process that runs it.
        name: Of the ActionSet, which nobody has made: only its uid is used.
        wanted: The pod.
        memo: What is stored.
    """

    engine: Engine
    name: str
    wanted: PhasePod
    memo: Mapping[str, Any] = field(factory=dict)
    repeatable: bool = False

    def run(self) -> PhaseRun:
        """Return the phase, as it is in this reconcile."""
        metadata = {"namespace": ELSEWHERE, "name": self.name, "uid": f"uid-{self.name}"}
        return PhaseRun(
            request=Request(ELSEWHERE, self.name),
            action_set={
                "apiVersion": "cr.kanister.io/v1alpha1",
                "kind": "ActionSet",
                "metadata": metadata,
            },
            action=Action(0, "a", "b", ObjectReference("db", NAMESPACE, "statefulset")),
            phase="dump",
            deferred=False,
            parameters={},
            memo=self.memo,
            started_at=CLOCK.now(),
            repeatable=self.repeatable,
            keep_failed_pod=False,
            deadline=Deadline.after(CLOCK, 60.0),
        )

    def advance(self) -> Step:
        """Reconcile once, and store the memo."""
        step = self.engine.pods.advance(self.run(), lambda: self.wanted)
        if isinstance(step, Running) and step.memo is not None:
            self.memo = step.memo
        return step

    def result(self) -> Step:
        """Return what came of it, and remove what is left."""
        step = wait_for(
            f"phase {self.name}",
            self.advance,
            lambda seen: isinstance(seen, Complete | Failed),
            seconds=PHASE_SECONDS,
        )
        assert self.engine.pods.release(self.run(), failed=isinstance(step, Failed))
        return step

    def pod(self) -> Object | None:
        """Return its pod; None if there is none."""
        found: list[Object] = self.engine.cluster.client.list(
            resources.PODS,
            NAMESPACE,
            label_selector=f"actionset.cr.kanister.io/uid=uid-{self.name}",
        )["items"]
        return found[0] if found else None

    def wait_until(self, what: str, words: str) -> None:
        """Reconcile until it says that it waits for something."""
        wait_for(
            what,
            self.advance,
            lambda seen: isinstance(seen, Running) and words in seen.waits_for,
        )


def python(cluster: Cluster, script: str, **changes: Any) -> PhasePod:
    """Return a pod that runs a script in Python.

    Args:
        cluster: Has the image.
        script: The script.
        changes: What is different of the pod.
    """
    container = {
        "name": CONTAINER,
        "image": cluster.controller_image,
        "command": ["python3", "-u", "-c", script],
    }
    pod = PhasePod(namespace=NAMESPACE, spec={"containers": [container]}, main=CONTAINER)
    return evolve(pod, **changes)


def is_running(pod: object) -> bool:
    return isinstance(pod, dict) and pod["status"].get("phase") == "Running"
