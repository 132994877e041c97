"""The command `hack/bench`: its arguments and its last line."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from benchlib import actionsets, backup, failover, idle, queue, ready, recover, rotate, scale, scene
from clusterlib import exits
from demolib import arguments as cluster_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from benchlib.scene import Scene

    Run = Callable[[argparse.Namespace], dict[str, Any]]

EXIT_BEYOND_LIMITS = 1
DEFAULT_NAME = "bench"

DESCRIPTION = """\
Measures the controller, and ends with one line of JSON. What it made is removed in the end.
"""
READY = "how long RepositoryServers take to become Ready, next to bare pods and bare ReplicaSets"
RECOVER = "how long clients cannot connect after a pod was deleted, or its Kopia killed"
IDLE = "requests, CPU and memory of the controller while nothing happens"
SCALE = "the controller with thousands of RepositoryServers, next to two of its kind"
ROTATE = "how long until a server accepts what its access Secret says after a change"
FAILOVER = "how long nobody is at work after the leader was told to stop, or killed"
QUEUE = "what the calls of the work queue cost, and how many workers wake up for an item"
BACKUP = "what the data functions cost beside Kopia's own commands, over the same server"
ACTIONSETS = "how long ActionSets of one KubeTask take, next to bare pods"
ON_A_CLUSTER = """\
Works on a real cluster, in a namespace of its own. Without --kubeconfig and --context it makes a
cluster on this machine, as root.
"""
ON_A_CONTROL_PLANE = """\
Works on a control plane of its own, with two replicas of this checkout. Takes six minutes with 10
rounds: a killed leader is replaced once its lease has expired.
"""
ON_ITS_OWN = "Needs no cluster, and takes a minute."
WITH_KOPIA = "Needs no cluster, but Kopia, and for each round twice the size on the disk."
ON_FAKE_NODES = """\
Works on a control plane of its own with fake nodes, where nothing runs in the pods: etcd,
kube-apiserver, kube-scheduler, kwok, and kube-controller-manager, which makes the pods of
ReplicaSets. The two others make the same objects: a program on controller-runtime and one on kopf.
With 5000 servers on two cores the three take half an hour, with 200 ten minutes. One that is not
done in time is told so, and not measured further.
"""


def main(arguments: Sequence[str]) -> int:
    """Run `hack/bench`.

    Returns:
        The exit code: 0; 1 for an error, or if what was measured is beyond what is wanted; 130
        after an interruption.
    """
    parsed = parse(arguments)
    return exits.code_of(lambda: _measure(parsed))


def _measure(parsed: argparse.Namespace) -> int:
    figures: dict[str, Any] = parsed.run(parsed)
    print(f"\n{json.dumps(figures)}")
    return 0 if figures.get("within_limits", True) else EXIT_BEYOND_LIMITS


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the arguments and refuse those that contradict each other."""
    parser = argparse.ArgumentParser(prog="hack/bench", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, text: str, where: str, run: Run) -> argparse.ArgumentParser:
        description = f"Measures {text}. {where}"
        added = commands.add_parser(name, help=text, description=description)
        added.set_defaults(run=run, parser=added)
        return added

    for name, text, run, users in (
        ("ready", READY, _run_ready, 1),
        ("idle", IDLE, _run_idle, 1),
        ("rotate", ROTATE, _run_rotate, 50),
        ("recover", RECOVER, _run_recover, 1),
    ):
        added = command(name, text, ON_A_CLUSTER, run)
        if name in {"ready", "idle"}:
            added.add_argument("--servers", type=_count, default=12, help="default: %(default)s")
        if name in {"ready", "recover"}:
            added.add_argument("--rounds", type=_count, default=5, help="default: %(default)s")
        added.add_argument(
            "--users", type=_count, default=users, help="of each server (default: %(default)s)"
        )
        _add_cluster(added)
    commands.choices["idle"].add_argument(
        "--seconds", type=_count, default=120, help="default: %(default)s"
    )
    added = command("scale", SCALE, ON_FAKE_NODES, _run_scale)
    added.add_argument("--servers", type=_count, default=5000, help="default: %(default)s")
    added.add_argument(
        "--idle-seconds", type=_count, default=60, help="how long to look at each at rest"
    )
    added.add_argument(
        "--only", action="append", choices=scale.ALL, help="one of the three; may be repeated"
    )
    added = command("failover", FAILOVER, ON_A_CONTROL_PLANE, _run_failover)
    added.add_argument("--rounds", type=_count, default=10, help="of each (default: %(default)s)")
    command("queue", QUEUE, ON_ITS_OWN, _run_queue)
    added = command("backup", BACKUP, WITH_KOPIA, _run_backup)
    added.add_argument("--rounds", type=_count, default=3, help="of each (default: %(default)s)")
    added.add_argument("--files", type=_count, default=10_000, help="default: %(default)s")
    added.add_argument(
        "--megabytes", type=_count, default=2048, help="of all files (default: %(default)s)"
    )
    added = command("actionsets", ACTIONSETS, ON_A_CLUSTER, _run_actionsets)
    added.add_argument("--count", type=_count, default=200, help="default: %(default)s")
    added.add_argument("--rounds", type=_count, default=3, help="of each (default: %(default)s)")
    added.add_argument(
        "--finished", type=_count, default=10_000, help="that have ended (default: %(default)s)"
    )
    added.add_argument(
        "--idle-seconds", type=_count, default=30, help="how long to look at it at rest"
    )
    _add_cluster(added)
    parsed = parser.parse_args(arguments)
    if hasattr(parsed, "kubeconfig"):
        cluster_arguments.check(parsed.parser, parsed)
    return parsed


def _add_cluster(command: argparse.ArgumentParser) -> None:
    command.add_argument("--keep", action="store_true", help="leave all for the next run")
    cluster_arguments.add(command, DEFAULT_NAME)


def _count(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return number


def _run_ready(parsed: argparse.Namespace) -> dict[str, Any]:
    with _scene(parsed) as stage:
        return ready.measure(stage, servers=parsed.servers, rounds=parsed.rounds)


def _run_idle(parsed: argparse.Namespace) -> dict[str, Any]:
    with _scene(parsed) as stage:
        return idle.measure(stage, servers=parsed.servers, seconds=parsed.seconds)


def _run_rotate(parsed: argparse.Namespace) -> dict[str, Any]:
    with _scene(parsed) as stage:
        return rotate.measure(stage, users=parsed.users)


def _run_recover(parsed: argparse.Namespace) -> dict[str, Any]:
    with _scene(parsed) as stage:
        return recover.measure(stage, rounds=parsed.rounds)


def _run_scale(parsed: argparse.Namespace) -> dict[str, Any]:
    only = parsed.only or scale.ALL
    return scale.measure(parsed.servers, only=only, idle_seconds=parsed.idle_seconds)


def _run_failover(parsed: argparse.Namespace) -> dict[str, Any]:
    return failover.measure(parsed.rounds)


def _run_queue(_parsed: argparse.Namespace) -> dict[str, Any]:
    return queue.measure()


def _run_backup(parsed: argparse.Namespace) -> dict[str, Any]:
    found = backup.measure(rounds=parsed.rounds, files=parsed.files, megabytes=parsed.megabytes)
    return found | {"within_limits": not backup.too_slow(found)}


def _run_actionsets(parsed: argparse.Namespace) -> dict[str, Any]:
    return actionsets.measure(
        cluster_arguments.target_of(parsed),
        count=parsed.count,
        rounds=parsed.rounds,
        ended=parsed.finished,
        idle_seconds=parsed.idle_seconds,
        keep=parsed.keep,
    )


def _scene(parsed: argparse.Namespace) -> AbstractContextManager[Scene]:
    target = cluster_arguments.target_of(parsed)
    return scene.prepared(target, users=parsed.users, keep=parsed.keep)
