"""The command `hack/demo`: its arguments and what it prints in the end."""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import TYPE_CHECKING

from clusterlib import exits, waiting
from clusterlib.errors import ClusterError
from demolib import arguments as cluster_arguments
from demolib.backends import BACKENDS
from demolib.demo import NAMESPACE, Demo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demolib.backends import Backend
    from demolib.target import Target

DEFAULT_NAME = "demo"

DESCRIPTION = """\
Deploys the controller and a sample RepositoryServer, then backs a folder up through it from
another namespace, restores it and compares the two. Run again, it keeps what is there and makes
another backup. Without --kubeconfig and --context it makes a cluster on this machine, as root.
"""

STORE_NOT_TAKEN = (
    "--backend {backend} runs its store on this machine; it goes with a cluster of this machine, "
    "not with --kubeconfig or --context"
)

VOLUME_NEEDED = "--actionsets uses the server of the sample on a volume; leave --backend out"

LOOK_FURTHER = "To look further:  {hint}"
DONE = """
Done in {seconds:.1f} s. To look around:  {hint}
To remove all of it:  {down}"""


def main(arguments: Sequence[str]) -> int:
    """Run `hack/demo`.

    Returns:
        The exit code: 0, 1 for an error, 130 after an interruption.
    """
    parsed = parse(arguments)
    target = cluster_arguments.target_of(parsed)
    return exits.code_of(lambda: _run(parsed, target))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the arguments and refuse those that contradict each other."""
    parser = argparse.ArgumentParser(prog="hack/demo", description=DESCRIPTION)
    parser.add_argument("--down", action="store_true", help="remove all that the demo has made")
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        default="filestore",
        help="where the repository is (default: a volume)",
    )
    parser.add_argument(
        "--functions",
        action="store_true",
        help="then lose a folder and restore it by the data functions, in a pod of their own",
    )
    parser.add_argument(
        "--actionsets",
        action="store_true",
        help="then lose PostgreSQL's data twice and restore it by ActionSets",
    )
    cluster_arguments.add(parser, DEFAULT_NAME)
    parsed = parser.parse_args(arguments)
    given = parsed.kubeconfig is not None or parsed.context is not None
    if given and BACKENDS[parsed.backend].store:
        parser.error(STORE_NOT_TAKEN.format(backend=parsed.backend))
    if parsed.actionsets and BACKENDS[parsed.backend].store:
        parser.error(VOLUME_NEEDED)
    cluster_arguments.check(parser, parsed, image_needed=not parsed.down)
    return parsed


def _run(parsed: argparse.Namespace, target: Target) -> int:
    if parsed.down:
        target.take_down()
        return 0
    backend = BACKENDS[parsed.backend]
    return _show(target, backend, functions=parsed.functions, actionsets=parsed.actionsets)


def _show(target: Target, backend: Backend, *, functions: bool, actionsets: bool) -> int:
    started = waiting.seconds()
    print(f"The demo uses {target.words}.", file=sys.stderr)
    prepared = target.prepare(postgres=actionsets)
    demo = Demo(*prepared, target, backend, functions=functions, actionsets=actionsets)
    try:
        demo.run()
    except ClusterError:
        print(demo.evidence(), file=sys.stderr)
        print(f"\n{LOOK_FURTHER.format(hint=target.hint)}", file=sys.stderr)
        raise
    print(f"\n$ kubectl describe --namespace {NAMESPACE} {backend.server}")
    print(demo.describe())
    down = shlex.join(["hack/demo", *target.arguments, "--down"])
    print(DONE.format(seconds=waiting.seconds() - started, hint=target.hint, down=down))
    return 0
