"""The arguments that say which cluster a command uses: `hack/demo` and `hack/bench` share them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demolib.objects import Images
from demolib.target import GivenCluster, OwnCluster

if TYPE_CHECKING:
    import argparse

    from demolib.target import Target

IMAGE_MISSING = "a cluster that is there needs --image: one of the controller that it can pull"
IMAGE_NOT_TAKEN = "--image and --server-image go with --kubeconfig or --context"
NAME_NOT_TAKEN = "--name goes with a cluster of this machine, not with --kubeconfig or --context"


def add(parser: argparse.ArgumentParser, default_name: str) -> None:
    """Add the arguments to a parser.

    Args:
        parser: takes them.
        default_name: of the cluster that is made if none is given.
    """
    parser.set_defaults(default_name=default_name)
    parser.add_argument("--name", help=f"the cluster to make (default: {default_name})")
    parser.add_argument("--kubeconfig", help="use the cluster of this file; nothing is built")
    parser.add_argument("--context", help="use the cluster of this context")
    parser.add_argument("--image", help="the controller's image, for such a cluster")
    parser.add_argument("--server-image", help="Kopia's (default: the one in the manifests)")


def check(
    parser: argparse.ArgumentParser, parsed: argparse.Namespace, *, image_needed: bool = True
) -> None:
    """End with a usage error if the arguments contradict each other.

    Args:
        parser: ends.
        parsed: what it has read.
        image_needed: whether the command starts anything.
    """
    given = parsed.kubeconfig is not None or parsed.context is not None
    if given and parsed.image is None and image_needed:
        parser.error(IMAGE_MISSING)
    if given and parsed.name is not None:
        parser.error(NAME_NOT_TAKEN)
    if not given and (parsed.image is not None or parsed.server_image is not None):
        parser.error(IMAGE_NOT_TAKEN)


def target_of(parsed: argparse.Namespace) -> Target:
    """Return the cluster that the arguments name."""
    names = {"--kubeconfig": parsed.kubeconfig, "--context": parsed.context}
    options = tuple(f"{name}={value}" for name, value in names.items() if value is not None)
    if options:
        return GivenCluster(options, Images(parsed.image or "", parsed.server_image or ""))
    return OwnCluster(parsed.name or parsed.default_name)
