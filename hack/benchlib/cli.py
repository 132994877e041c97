"""The command `hack/bench`: its arguments and its last line."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from benchlib import idle, ready, scene
from clusterlib.errors import ClusterError
from demolib import arguments as cluster_arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchlib.scene import Scene

EXIT_TOO_SLOW = 1
EXIT_INTERRUPTED = 130
DEFAULT_NAME = "bench"

DESCRIPTION = """\
Measures the controller on a real cluster, in a namespace of its own, and ends with one line of
JSON. Without --kubeconfig and --context it makes a cluster on this machine, as root. What it made
is removed in the end.
"""
READY = "how long RepositoryServers take to become Ready, next to bare pods of the same spec"
IDLE = "requests, CPU and memory of the controller while nothing happens"


def main(arguments: Sequence[str]) -> int:
    """Run `hack/bench`.

    Returns:
        The exit code: 0; 1 for an error, or if the servers were slower than is wanted; 130 after
        an interruption.
    """
    parsed = parse(arguments)
    try:
        target = cluster_arguments.target_of(parsed)
        with scene.prepared(target, users=parsed.users, keep=parsed.keep) as stage:
            figures = _measure(stage, parsed)
    except ClusterError as error:
        print(error.report(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    print(f"\n{json.dumps(figures)}")
    return EXIT_TOO_SLOW if figures.get("ratio", 0) > ready.RATIO_LIMIT else 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the arguments and refuse those that contradict each other."""
    parser = argparse.ArgumentParser(prog="hack/bench", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("ready", READY), ("idle", IDLE)):
        command = commands.add_parser(name, help=text, description=f"Measures {text}.")
        command.set_defaults(parser=command)
        command.add_argument("--servers", type=_count, default=12, help="default: %(default)s")
        command.add_argument("--users", type=_count, default=1, help="of each server (default: 1)")
        command.add_argument("--keep", action="store_true", help="leave all for the next run")
        cluster_arguments.add(command, DEFAULT_NAME)
        if name == "ready":
            command.add_argument("--rounds", type=_count, default=3, help="default: %(default)s")
        else:
            command.add_argument("--seconds", type=_count, default=120, help="default: %(default)s")
    parsed = parser.parse_args(arguments)
    cluster_arguments.check(parsed.parser, parsed)
    return parsed


def _count(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return number


def _measure(stage: Scene, parsed: argparse.Namespace) -> dict[str, Any]:
    if parsed.command == "ready":
        return ready.measure(stage, servers=parsed.servers, rounds=parsed.rounds)
    return idle.measure(stage, servers=parsed.servers, seconds=parsed.seconds)
