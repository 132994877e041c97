"""What may happen to ActionSets and to their engine: each action does one thing, at any moment."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from fakes import objects
from fakes.simulation.actionsets.author import PLANS
from fakes.simulation.actionsets.kubelet import NODES
from fakes.simulation.garbagecollector import FOREGROUND
from reconcilers import resources
from reconcilers.actionset.api import ACTION_SETS, ANNOTATION_MEMO, LABEL_UID
from reconcilers.actionset.functions import workloads
from reconcilers.actionset.phases.podview import LOST_SECONDS
from unit.actionset.simulation.invariants import is_of_phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.resource import Object
    from unit.actionset.simulation.history import History

# What the engine may be forbidden.
RIGHTS = (
    ("get", resources.SECRETS),
    ("create", resources.SECRETS),
    ("delete", resources.SECRETS),
    ("get", resources.CONFIG_MAPS),
    ("get", resources.PODS),
    ("list", resources.PODS),
    ("create", resources.PODS),
    ("patch", resources.PODS),
    ("delete", resources.PODS),
    ("create", resources.CONFIG_MAPS),
    ("patch", resources.CONFIG_MAPS),
    ("delete", resources.CONFIG_MAPS),
    ("get", workloads.SCALES["statefulset"]),
    ("patch", workloads.SCALES["statefulset"]),
    ("patch", ACTION_SETS),
)

# Seconds for which a phase waits for a right; it may fail by a longer time without it.
PATIENCE = 500.0

# Share of the deletions that delete what an ActionSet owns before that is gone.
IN_FOREGROUND = 0.3

# Seconds between two of them.
PAUSES = (0.0, 0.01, 0.1, 1.0, 1.0, 5.0, 5.0, 20.0, 20.0, 100.0, 300.0)


def create(history: History) -> None:
    """Create an ActionSet."""
    history.cluster.author.create()


def create_several(history: History) -> None:
    """Create ActionSets at the same time."""
    for _ in range(3):
        history.cluster.author.create()


def delete(history: History) -> None:
    """Delete an ActionSet, running or not."""
    for obj in _some(history, ACTION_SETS):
        _delete(history, obj)


def replace(history: History) -> None:
    """Delete an ActionSet, and create another one of its name once it is gone."""
    for obj in _some(history, ACTION_SETS):
        _delete(history, obj)
        _create_when_gone(history, obj["metadata"]["name"])


def _delete(history: History, obj: Object) -> None:
    """Delete an ActionSet, at times with what it owns before it is gone."""
    api, metadata = history.cluster.api, obj["metadata"]
    history.excused.add(metadata["uid"])
    place = (ACTION_SETS, objects.NAMESPACE, metadata["name"])
    if history.cluster.random.random() < IN_FOREGROUND:
        finalizers = [*(metadata.get("finalizers") or ()), FOREGROUND]
        api.merge_patch(*place, {"metadata": {"finalizers": finalizers}})
    api.delete(*place)


def _create_when_gone(history: History, name: str) -> None:
    if history.cluster.api.find(ACTION_SETS, objects.NAMESPACE, name) is None:
        history.cluster.author.create(name)
    else:
        history.cluster.agenda.after(0.3, lambda: _create_when_gone(history, name))


def edit_blueprint(history: History) -> None:
    """Write another version of a Blueprint."""
    history.cluster.author.write_blueprint(history.cluster.random.choice(PLANS))


def rotate_password(history: History) -> None:
    """Write another password into the Secret."""
    history.cluster.author.write_secret()


def delete_pod(history: History) -> None:
    """Delete a pod by hand. What its program has done by then counts."""
    for pod in _some_pod(history):
        _delete_pod(history, pod)


def delete_pods_as_they_end(history: History) -> None:
    """Delete pods by hand in the moment in which their programs end."""
    cluster = history.cluster
    for pod in cluster.api.list(resources.PODS):
        life = cluster.nodes.lives.get(pod["metadata"]["uid"])
        if life is not None and life.code is None:
            left = max(0.0, life.since + life.program.seconds - cluster.clock.monotonic())
            moment = left + cluster.random.uniform(0.001, 0.05)
            cluster.agenda.after(moment, functools.partial(_delete_pod, history, pod))


def _delete_pod(history: History, pod: Object) -> None:
    cluster, metadata = history.cluster, pod["metadata"]
    found = cluster.api.find(resources.PODS, metadata["namespace"], metadata["name"])
    if found is not None and found["metadata"]["uid"] == metadata["uid"]:
        _disturb(history, pod, excuse=metadata["uid"] not in cluster.nodes.lives)
        cluster.api.delete(resources.PODS, metadata["namespace"], metadata["name"])


def remove_pod(history: History) -> None:
    """Take the finalizers off a pod, and delete it without waiting for its end.

    Not off one of which no ActionSet knows yet: its phase would get another one.
    """
    memos = [
        (obj["metadata"].get("annotations") or {}).get(ANNOTATION_MEMO, "")
        for obj in history.cluster.api.list(ACTION_SETS)
    ]
    for pod in _some_pod(history):
        if not any(f'"{pod["metadata"]["uid"]}"' in memo for memo in memos):
            continue
        _disturb(history, pod, excuse=True)
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        change = {"metadata": {"finalizers": None}}
        history.cluster.api.merge_patch(resources.PODS, namespace, name, change)
        if history.cluster.api.find(resources.PODS, namespace, name) is not None:
            history.cluster.api.delete(resources.PODS, namespace, name, grace_seconds=0)


def evict_pod(history: History) -> None:
    """Put a pod off its node."""
    for pod in _some_pod(history):
        _disturb(history, pod, excuse=False)
        history.cluster.nodes.evict(pod)


def lose_node(history: History) -> None:
    """Hear nothing of a node for a while."""
    cluster = history.cluster
    node = cluster.random.choice(NODES)
    cluster.nodes.lose(node)
    pause = cluster.random.choice((10.0, 60.0, 400.0))
    for pod in cluster.api.list(resources.PODS):
        on_node = is_of_phase(pod) and pod["spec"].get("nodeName") == node
        if pause > LOST_SECONDS and on_node:
            # Nobody waits so long for the end of a pod that is deleted.
            _disturb(history, pod, excuse=True)
    cluster.agenda.after(pause, lambda: cluster.nodes.find_again(node))


def kill_engine(history: History) -> None:
    """End the engine in the middle of whatever it does."""
    history.cluster.kill_controller()


def kill_engine_often(history: History) -> None:
    """End the engine at a fifth of its requests for a while, before them or before the answer."""
    history.cluster.killing = 0.2
    pause = history.cluster.random.choice((30.0, 120.0))
    history.cluster.agenda.after(pause, lambda: _spare_engine(history))


def _spare_engine(history: History) -> None:
    history.cluster.killing = 0.0


def kill_engine_at_writes(history: History) -> None:
    """End the engine at its next writes to objects that phases work on."""
    history.cluster.kills_at_writes = 3


def kill_engine_beside_commands(history: History) -> None:
    """End the engine while commands run, or in the moment in which they end."""
    cluster = history.cluster
    for life in cluster.containers.running():
        left = max(0.0, life.since + life.program.seconds - cluster.clock.monotonic())
        moment = cluster.random.choice((left / 2, left, left + 0.01))
        cluster.agenda.after(moment, cluster.kill_controller)


def fail_requests(history: History) -> None:
    """Let requests fail for a while, some of them after they were carried out."""
    cluster = history.cluster
    cluster.weather.failing = cluster.random.choice((0.1, 0.3, 1.0))
    cluster.agenda.after(cluster.random.choice((1.0, 10.0, 60.0)), lambda: _clear_up(history))


def _clear_up(history: History) -> None:
    history.cluster.weather.failing = 0.0


def cut_logs(history: History) -> None:
    """Cut logs for a while, some of them in good order."""
    cluster = history.cluster
    cluster.weather.cutting = 0.4
    cluster.agenda.after(cluster.random.choice((30.0, 300.0)), lambda: _leave_logs(history))


def _leave_logs(history: History) -> None:
    history.cluster.weather.cutting = 0.0


def take_right_away(history: History) -> None:
    """Forbid the engine something for a while."""
    cluster = history.cluster
    right = cluster.random.choice(RIGHTS)
    cluster.weather.forbidden.add(right)
    pause = cluster.random.choice((1.0, 20.0, 120.0, 900.0))

    def give_back() -> None:
        if pause > PATIENCE:
            history.lack_right(right[1])
        cluster.weather.forbidden.discard(right)

    if pause > PATIENCE:
        cluster.agenda.after(PATIENCE, lambda: history.lack_right(right[1]))
    cluster.agenda.after(pause, give_back)


def stall_watch(history: History) -> None:
    """Let one of the engine's caches stay behind for a while."""
    if history.cluster.process is not None:
        informer = history.cluster.random.choice(history.cluster.process.informers)
        informer.stall(history.cluster.random.choice((0.5, 5.0, 40.0, 90.0)))


def cut_watch(history: History) -> None:
    """Cut a watch: what it had not shown yet is only found by a list."""
    if history.cluster.process is not None:
        history.cluster.random.choice(history.cluster.process.informers).relist()


def _disturb(history: History, pod: Object, *, excuse: bool) -> None:
    """Note that somebody has done something to a pod.

    Args:
        history: Where.
        pod: The pod.
        excuse: Whether its phase may fail though its program does not.
    """
    history.disturbed.add(pod["metadata"]["uid"])
    if excuse:
        history.excused.add(pod["metadata"]["labels"][LABEL_UID])


def _some_pod(history: History) -> list[Object]:
    found = [pod for pod in history.cluster.api.list(resources.PODS) if is_of_phase(pod)]
    return [history.cluster.random.choice(found)] if found else []


def _some(history: History, resource: object) -> list[Object]:
    found = history.cluster.api.list(resource)  # type: ignore[arg-type]
    return [history.cluster.random.choice(found)] if found else []


ACTIONS: tuple[Callable[[History], None], ...] = (
    delete,
    replace,
    edit_blueprint,
    rotate_password,
    delete_pod,
    delete_pods_as_they_end,
    remove_pod,
    evict_pod,
    lose_node,
    kill_engine,
    kill_engine_often,
    kill_engine_at_writes,
    kill_engine_beside_commands,
    fail_requests,
    cut_logs,
    take_right_away,
    stall_watch,
    cut_watch,
)
