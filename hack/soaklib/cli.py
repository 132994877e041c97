"""The command `hack/soak`: its arguments, its cluster, and the session's environment."""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
from typing import TYPE_CHECKING

from clusterlib import components, exits, images, paths
from clusterlib.errors import ClusterError
from clusterlib.state import State
from testlib import cluster
from testlib.environment import Environment, variables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_NAME = "soak"

# One whose repository is on a volume, and one whose repository is in an object store.
SERVERS_AT_LEAST = 2

DESCRIPTION = """\
Breaks a cluster of this machine's, fault after fault, while clients back up through
RepositoryServers and restore. Prints what is broken, when, and how long until every server is Ready
and has its Service and NetworkPolicy, a password that was changed is in force, and every client has
backed up again. In the end each backup that was reported done is restored and compared. Ends with a
table and one line of JSON; the exit code is 0 if nothing was lost, all servers are Ready and the
controller's memory is flat. Needs root.
"""
FAILED = "`{command}` failed; what it printed above says why"


def main(arguments: Sequence[str]) -> int:
    """Run `hack/soak`.

    Returns:
        The exit code: 0; 1 if something was lost or did not recover, or for an error; 130 after an
        interruption.
    """
    parsed = parse(arguments)
    return exits.code_of(lambda: _soak(parsed))


def _soak(parsed: argparse.Namespace) -> int:
    environment = Environment()
    environment.make()
    told = {**variables(os.environ, environment)}
    # The session is made of what the end-to-end tests are made of.
    told["PYTHONPATH"] = os.pathsep.join([told["PYTHONPATH"], str(paths.CHECKOUT / "test")])
    if parsed.functions:
        return _python("functions", [str(parsed.backups), str(parsed.seed)], told, environment)
    planned = _python("plan", [str(parsed.minutes), *parsed.fault], told, environment)
    if planned != 0:
        return planned
    return _session(parsed, told, environment)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="hack/soak", description=DESCRIPTION)
    parser.add_argument(
        "--minutes", type=_positive, default=30.0, help="how long to break things (default: 30)"
    )
    parser.add_argument(
        "--servers",
        type=_two_or_more,
        default=3,
        help="one with an object store, the others with volumes (default: %(default)s)",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="WORDS",
        help="only the faults whose name has these words; may be repeated (default: all)",
    )
    parser.add_argument(
        "--seed", type=int, help="for the same faults in the same order; at random unless given"
    )
    parser.add_argument(
        "--name", default=DEFAULT_NAME, help="of the cluster (default: %(default)s)"
    )
    parser.add_argument(
        "--functions",
        action="store_true",
        help="instead: many backups by the data functions into one Kopia server of this machine, "
        "without a cluster and without root",
    )
    parser.add_argument(
        "--backups", type=_positive_count, default=1000, help="with --functions (default: 1000)"
    )
    parser.add_argument("--keep", action="store_true", help="leave the cluster as it is in the end")
    parsed = parser.parse_args(arguments)
    if parsed.seed is None:
        parsed.seed = secrets.randbelow(10_000)
    return parsed


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return number


def _positive_count(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return number


def _two_or_more(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < SERVERS_AT_LEAST:
        raise argparse.ArgumentTypeError(f"{text!r} is not {SERVERS_AT_LEAST} or more")
    return number


def _session(parsed: argparse.Namespace, told: Mapping[str, str], environment: Environment) -> int:
    options = [str(parsed.minutes), str(parsed.servers), str(parsed.seed), *parsed.fault]
    try:
        of_cluster = _cluster(parsed.name, told)
        return _python("session", options, of_cluster, environment)
    finally:
        if not parsed.keep:
            _run("cluster", "down", "--name", parsed.name)


def _cluster(name: str, told: Mapping[str, str]) -> dict[str, str]:
    """Bring the cluster up, and return the variables that tell of it with the others."""
    _run("cluster", "up", "--name", name)
    _run("images", "load", "--name", name)
    known = components.load()
    return {
        **told,
        "PATH": os.pathsep.join([str(known.program("kubectl").parent), told["PATH"]]),
        cluster.KUBECONFIG: str(State(name).kubeconfig),
        cluster.CLUSTER: name,
        cluster.CONTROLLER_IMAGE: images.reference(images.CONTROLLER, known),
        cluster.SERVER_IMAGE: images.reference(images.KOPIA, known),
    }


def _python(
    module: str, options: Sequence[str], told: Mapping[str, str], environment: Environment
) -> int:
    """Run a module of this package in the environment of the tests, and return its exit code."""
    command = [environment.program("python"), "-m", f"soaklib.{module}", *options]
    return subprocess.run(command, cwd=paths.CHECKOUT, env=told, check=False).returncode


def _run(program: str, *arguments: str) -> None:
    command = [str(paths.HACK / program), *arguments]
    if subprocess.run(command, check=False).returncode != 0:
        raise ClusterError(FAILED.format(command=f"hack/{program} {' '.join(arguments)}"))
