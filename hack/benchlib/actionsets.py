"""How long ActionSets take, next to the bare pods that they come to.

Each ActionSet has one phase, a KubeTask that prints an output. The bare pods have the same spec,
which a KubeTask that fails has left behind.
"""

from __future__ import annotations

import functools
import json
import os
import statistics
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from benchlib import figures, objects, scene, usage
from benchlib.exposition import Metrics
from benchlib.figures import Spread
from benchlib.milestones import reaching
from benchlib.proxy import Proxy
from clusterlib import waiting
from clusterlib.progress import Progress
from demolib.objects import with_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from benchlib.usage import Usage
    from demolib.kubectl import Kubectl
    from demolib.objects import Images, Object
    from demolib.target import Target

NAME = "actionset-controller"
GROUP = f"/apis/cr.kanister.io/v1alpha1/namespaces/{scene.NAMESPACE}"
ACTION_SETS, BLUEPRINTS = f"{GROUP}/actionsets", f"{GROUP}/blueprints"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{scene.NAMESPACE}/leases/{NAME}"
DEFINITION = "customresourcedefinition/actionsets.cr.kanister.io"
KEEP = "actionset.cr.kanister.io/keep-failed-pod"
UID = "actionset.cr.kanister.io/uid"
#: Of what is kept beside a round: it has ended already.
FINISHED = "finished"

PODS, SETS = "bare pods", "ActionSets"
#: The last ActionSet may be complete after so many times the time of the last bare pod.
LIMIT = 1.2
#: Memory for those that have ended.
FINISHED_LIMIT_MIB = 20.0

BLUEPRINT = "hack-bench"
OUTPUT = """echo '###Phase-output###: {"key":"greeting","value":"hello"}'"""
CREATING_AT_ONCE = 16
DONE_SECONDS = 300.0
MIB = 1024 * 1024

RATIO = """
The last ActionSet, at the median of the rounds, took {ratio:.2f} times as long as the last bare pod
(at most {limit} is wanted). For each the controller sent {requests:.1f} requests and reconciled
{reconciles:.1f} times. For all it used {cpu:.1f} s of CPU; it has {memory:.0f} MiB."""
BESIDE = """\
Beside {finished} that have ended: {ratio:.2f} times. It has {more:.1f} MiB more (at most
{limit:.0f}), and sent {idle} requests while nothing was to be done."""


@dataclass(frozen=True)
class Round:
    """What one round has shown.

    Attributes:
        sides: when those of each side were done.
        used: by the controller.
    """

    sides: Mapping[str, Spread]
    used: Usage

    @property
    def ratio(self) -> float:
        """How much longer the last ActionSet took than the last pod."""
        return self.sides[SETS].last / self.sides[PODS].last


class Stage:
    """The bench's namespace, with the controller of ActionSets in it.

    Args:
        proxy: asks the cluster.
        image: of the pods.
    """

    def __init__(self, proxy: Proxy, image: str) -> None:
        self.proxy = proxy
        self._image = image

    def make_blueprint(self) -> None:
        """Make the Blueprint with the two actions."""
        actions = {
            name: {"phases": [self._phase(name, command)]}
            for name, command in (("greet", OUTPUT), ("fail", "exit 1"))
        }
        blueprint = {
            "apiVersion": "cr.kanister.io/v1alpha1",
            "kind": "Blueprint",
            "metadata": {"name": BLUEPRINT, "labels": {objects.BENCH_LABEL: "blueprint"}},
            "actions": actions,
        }
        self.proxy.delete(f"{BLUEPRINTS}?labelSelector={objects.BENCH_LABEL}")
        self.proxy.create(BLUEPRINTS, blueprint)

    def _phase(self, name: str, command: str) -> Object:
        args = {
            "namespace": scene.NAMESPACE,
            "image": self._image,
            "command": ["/bin/sh", "-c", command],
        }
        return {"func": "KubeTask", "name": name, "args": args}

    def template(self) -> Object:
        """Return the spec of the pod of a phase, with the command of the round."""
        self.proxy.create(ACTION_SETS, action_set("template", "fail", annotations={KEEP: "true"}))
        with self._deleted(ACTION_SETS):
            waiting.until(
                lambda: _state(self.proxy.get(f"{ACTION_SETS}/template")) == "failed",
                what="a KubeTask fails",
                timeout_seconds=DONE_SECONDS,
            )
            uid = self.proxy.get(f"{ACTION_SETS}/template")["metadata"]["uid"]
            (pod,) = self.proxy.get(f"{scene.PODS}?labelSelector={UID}={uid}")["items"]
        return bare_spec(pod)

    @contextmanager
    def _deleted(self, *collections: str) -> Iterator[None]:
        try:
            yield
        finally:
            self.clear(*collections)

    def clear(self, *collections: str, side: str = "=round") -> None:
        """Delete what a round has made of some kinds, and wait until it is gone.

        Args:
            collections: paths of the objects.
            side: what the label says of them; empty for all of the bench.
        """
        selector = urlencode({"labelSelector": objects.BENCH_LABEL + side})
        for collection in collections:
            self.proxy.delete(f"{collection}?{selector}")
            waiting.until(
                functools.partial(self._is_empty, f"{collection}?{selector}"),
                what=f"{collection} are gone",
                timeout_seconds=DONE_SECONDS,
            )

    def _is_empty(self, path: str) -> bool:
        return not self.proxy.get(path)["items"]

    def run(
        self, collection: str, wanted: Sequence[Object], done: Callable[[Mapping[str, Any]], bool]
    ) -> Spread:
        """Create objects, all at once, and return when they were done."""
        names = {obj["metadata"]["name"] for obj in wanted}
        with self._deleted(collection):
            selector = f"{objects.BENCH_LABEL}=round"
            with reaching(self.proxy, collection, selector, done, wanted=len(names)) as wait:
                started = waiting.seconds()
                self.create(collection, wanted)
                return Spread.of(at - started for at in wait().values())

    def create(self, collection: str, wanted: Sequence[Object]) -> None:
        """Create objects, some at a time."""
        with ThreadPoolExecutor(CREATING_AT_ONCE) as pool:
            list(pool.map(lambda obj: self.proxy.create(collection, obj), wanted))

    def metrics(self) -> Metrics:
        """Return what the replica that leads shows."""
        pod, _, _ = self.proxy.get(LEASE)["spec"]["holderIdentity"].rpartition("_")
        return Metrics(self.proxy.text(f"{scene.PODS}/{pod}:8080/proxy/metrics"))


def action_set(
    name: str, action: str, *, annotations: Mapping[str, str] | None = None, side: str = "round"
) -> Object:
    """Return an ActionSet of one action."""
    return {
        "apiVersion": "cr.kanister.io/v1alpha1",
        "kind": "ActionSet",
        "metadata": {
            "name": name,
            "labels": {objects.BENCH_LABEL: side},
            "annotations": dict(annotations or {}),
        },
        "spec": {
            "actions": [
                {
                    "name": action,
                    "blueprint": BLUEPRINT,
                    "object": {"kind": "Namespace", "name": scene.NAMESPACE},
                }
            ]
        },
    }


def finished(number: int) -> Object:
    """Return an ActionSet that has ended, as it is left behind."""
    made = action_set(f"{FINISHED}-{number}", "greet", side=FINISHED)
    phase = {"name": "greet", "state": "complete", "output": {"greeting": "hello"}}
    reference = {"kind": "Namespace", "name": scene.NAMESPACE}
    action = {"name": "greet", "blueprint": BLUEPRINT, "object": reference, "phases": [phase]}
    return {**made, "status": {"state": "complete", "actions": [action]}}


def bare_spec(pod: Object) -> Object:
    """Return the spec of a pod without what a cluster has added, and with the round's command."""
    added = ("nodeName", "schedulerName", "tolerations", "serviceAccount", "priority")
    spec = {name: value for name, value in pod["spec"].items() if name not in added}
    volumes = [one for one in spec.get("volumes", ()) if not _is_token(one["name"])]
    containers = [
        {
            **container,
            "command": ["/bin/sh", "-c", OUTPUT],
            "volumeMounts": [
                one for one in container.get("volumeMounts", ()) if not _is_token(one["name"])
            ],
        }
        for container in spec["containers"]
    ]
    return {**spec, "volumes": volumes, "containers": containers}


def _is_token(volume: str) -> bool:
    return volume.startswith("kube-api-access-")


def _bare(number: int, spec: Object) -> Object:
    metadata = {"name": f"bare-{number}", "labels": {objects.BENCH_LABEL: "round"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _state(obj: Mapping[str, Any]) -> str:
    state: str = (obj.get("status") or {}).get("state", "")
    return state


def _is_complete(obj: Mapping[str, Any]) -> bool:
    return _state(obj) == "complete"


def _has_succeeded(obj: Mapping[str, Any]) -> bool:
    return bool((obj.get("status") or {}).get("phase") == "Succeeded")


def measure(
    target: Target, *, count: int, rounds: int, ended: int, idle_seconds: float, keep: bool
) -> dict[str, Any]:
    """Measure, and print what was found.

    Args:
        target: the cluster.
        count: how many on each side.
        rounds: how many rounds, and as many again beside those that have ended.
        ended: how many ActionSets that have ended there are then.
        idle_seconds: how long to look at the controller while nothing is to be done.
        keep: leave all as it is.

    Returns:
        The figures for JSON.

    Raises:
        ClusterError: something was not done.
    """
    with prepared(target, keep=keep) as stage:
        progress = Progress(3 + 4 * rounds)
        with progress.step("taking the spec of a phase's pod"):
            stage.make_blueprint()
            spec = stage.template()
        alone = [_round(stage, progress, number, count, spec) for number in range(rounds)]
        before = stage.metrics()
        with progress.step(f"creating {ended} ActionSets that have ended"):
            stage.create(ACTION_SETS, [finished(number) for number in range(ended)])
        with progress.step(f"idle for {idle_seconds:.0f} s"):
            first = stage.metrics()
            threading.Event().wait(idle_seconds)
            idle = usage.between(first, stage.metrics())
        beside = [_round(stage, progress, number, count, spec) for number in range(rounds)]
        more = usage.between(before, first).resident_bytes - before.total(usage.RESIDENT_BYTES)
        return report(alone, beside, idle, more / MIB, count=count, ended=ended)


def _round(stage: Stage, progress: Progress, number: int, count: int, spec: Object) -> Round:
    sides: dict[str, Spread] = {}
    before = after = stage.metrics()
    for side in (PODS, SETS)[:: 1 if number % 2 == 0 else -1]:
        with progress.step(f"round {number + 1}: {count} {side}"):
            if side == PODS:
                wanted = [_bare(one, spec) for one in range(count)]
                sides[side] = stage.run(scene.PODS, wanted, _has_succeeded)
            else:
                wanted = [action_set(f"set-{one}", "greet") for one in range(count)]
                before = stage.metrics()
                sides[side] = stage.run(ACTION_SETS, wanted, _is_complete)
                after = stage.metrics()
    return Round(sides, usage.between(before, after))


def report(
    alone: Sequence[Round],
    beside: Sequence[Round],
    idle: Usage,
    more_mib: float,
    *,
    count: int,
    ended: int,
) -> dict[str, Any]:
    """Print the figures, and return them for JSON."""
    ratio, ratio_beside = (
        statistics.median(one.ratio for one in rounds) for rounds in (alone, beside)
    )
    used = alone[-1].used
    requests = sum(used.requests.values()) / count
    print(f"\nSeconds until the last of {count} at once is done:\n")
    titles = [PODS, SETS, "ratio"]
    rows = [
        (
            f"{what}, round {number}",
            [f"{one.sides[PODS].last:.1f}", f"{one.sides[SETS].last:.1f}", f"{one.ratio:.2f}"],
        )
        for what, rounds in (("alone", alone), (f"beside {ended}", beside))
        for number, one in enumerate(rounds, 1)
    ]
    print(figures.columns(titles, rows))
    words = {
        "ratio": ratio,
        "limit": LIMIT,
        "requests": requests,
        "reconciles": used.reconciles / count,
        "cpu": used.cpu_seconds,
        "memory": used.resident_bytes / MIB,
    }
    print(RATIO.format(**words))
    idle_requests = sum(idle.requests.values())
    beside_words = {"finished": ended, "ratio": ratio_beside, "more": more_mib}
    print(BESIDE.format(**beside_words, limit=FINISHED_LIMIT_MIB, idle=idle_requests))
    return {
        "bench": "actionsets",
        "count": count,
        "ratio": round(ratio, 2),
        "ratio_beside_finished": round(ratio_beside, 2),
        "requests_each": round(requests, 1),
        "resident_mib": round(used.resident_bytes / MIB, 1),
        "finished": ended,
        "finished_mib": round(more_mib, 1),
        "idle_requests": idle_requests,
        "load_average": round(os.getloadavg()[0], 1),
        "within_limits": (
            max(round(ratio, 2), round(ratio_beside, 2)) <= LIMIT
            and more_mib <= FINISHED_LIMIT_MIB
            and not idle_requests
        ),
    }


@contextmanager
def prepared(target: Target, *, keep: bool) -> Iterator[Stage]:
    """Prepare a cluster, and remove from it what was made in the end.

    Args:
        target: the cluster.
        keep: leave all as it is, for a look at it.

    Yields:
        The stage.

    Raises:
        ClusterError: a step failed.
    """
    kubectl, images = target.prepare()
    with ExitStack() as stack:
        if not keep:
            stack.callback(scene.remove, kubectl, target)
        with Progress(1).step("deploying the controller of ActionSets"):
            _deploy(kubectl, images)
        proxy = stack.enter_context(Proxy(kubectl))
        stage = Stage(proxy, images.kopia or images.controller)
        # A run that was to keep all has left those that have ended as well.
        stage.clear(ACTION_SETS, scene.PODS, side="")
        yield stage


def _deploy(kubectl: Kubectl, images: Images) -> None:
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": scene.NAMESPACE},
    }
    scene.apply(kubectl, [namespace])
    scene.apply(kubectl, kubectl.render(scene.MANIFESTS / "kanister-crds"))
    what = "waiting for the CRD"
    kubectl.run("wait", "--for=condition=Established", DEFINITION, scene.KUBECTL_TIMEOUT, what=what)
    # kubectl asks again while the API server prepares to store objects of a new kind; a plain
    # request is refused then (429).
    kubectl.run("get", "actionsets,blueprints", scene.IN_NAMESPACE, what=what)
    rendered = [
        *kubectl.render(scene.MANIFESTS / NAME),
        *kubectl.render(scene.MANIFESTS / "application"),
    ]
    for obj in rendered:
        obj["metadata"].setdefault("namespace", scene.NAMESPACE)
    wanted = objects.moved(with_images(rendered, images), scene.NAMESPACE)
    text = json.dumps(wanted).replace('"repository-server-controller"', f'"{images.controller}"')
    scene.apply(kubectl, json.loads(text))
    rollout = ["rollout", "status", f"deployment/{NAME}", scene.IN_NAMESPACE]
    kubectl.run(*rollout, scene.KUBECTL_TIMEOUT, what="waiting for the controller")
