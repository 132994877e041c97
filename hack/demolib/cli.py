"""The command `hack/demo`: its arguments and what it prints in the end."""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import TYPE_CHECKING

from clusterlib import waiting
from clusterlib.errors import ClusterError
from demolib.demo import NAMESPACE, SERVER, Demo
from demolib.objects import Images
from demolib.target import GivenCluster, OwnCluster, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_INTERRUPTED = 130
DEFAULT_NAME = "demo"

DESCRIPTION = """\
Deploys the controller and a sample RepositoryServer with a file store, then backs a folder up
through it from another namespace, restores it and compares the two. Run again, it keeps what is
there and makes another backup. Without --kubeconfig and --context it makes a cluster on this
machine, as root.
"""
IMAGE_MISSING = "a cluster that is there needs --image: one of the controller that it can pull"
IMAGE_NOT_TAKEN = "--image and --server-image go with --kubeconfig or --context"
NAME_NOT_TAKEN = "--name goes with a cluster of this machine, not with --kubeconfig or --context"

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
    target = target_of(parsed)
    try:
        if parsed.down:
            target.take_down()
            return 0
        return _run(target)
    except ClusterError as error:
        print(error.report(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the arguments and refuse those that contradict each other."""
    parser = argparse.ArgumentParser(prog="hack/demo", description=DESCRIPTION)
    parser.add_argument("--down", action="store_true", help="remove all that the demo has made")
    parser.add_argument("--name", help=f"the cluster to make (default: {DEFAULT_NAME})")
    parser.add_argument("--kubeconfig", help="use the cluster of this file; nothing is built")
    parser.add_argument("--context", help="use the cluster of this context")
    parser.add_argument("--image", help="the controller's image, for such a cluster")
    parser.add_argument("--server-image", help="Kopia's (default: the one in the manifests)")
    parsed = parser.parse_args(arguments)
    given = parsed.kubeconfig is not None or parsed.context is not None
    if given and parsed.image is None and not parsed.down:
        parser.error(IMAGE_MISSING)
    if given and parsed.name is not None:
        parser.error(NAME_NOT_TAKEN)
    if not given and (parsed.image is not None or parsed.server_image is not None):
        parser.error(IMAGE_NOT_TAKEN)
    return parsed


def target_of(parsed: argparse.Namespace) -> Target:
    """Return the cluster that the arguments name."""
    names = {"--kubeconfig": parsed.kubeconfig, "--context": parsed.context}
    options = tuple(f"{name}={value}" for name, value in names.items() if value is not None)
    if options:
        return GivenCluster(options, Images(parsed.image or "", parsed.server_image or ""))
    return OwnCluster(parsed.name or DEFAULT_NAME)


def _run(target: Target) -> int:
    started = waiting.seconds()
    print(f"The demo uses {target.words}.", file=sys.stderr)
    demo = Demo(*target.prepare(), target)
    try:
        demo.run()
    except ClusterError:
        print(demo.evidence(), file=sys.stderr)
        print(f"\n{LOOK_FURTHER.format(hint=target.hint)}", file=sys.stderr)
        raise
    print(f"\n$ kubectl describe --namespace {NAMESPACE} {SERVER}")
    print(demo.describe())
    down = shlex.join(["hack/demo", *target.arguments, "--down"])
    print(DONE.format(seconds=waiting.seconds() - started, hint=target.hint, down=down))
    return 0
