"""Images on the node of a local cluster."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

from clusterlib import cluster, components, images, locks, namespace, processes
from clusterlib.state import State
from e2e.stores import CLUSTER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterlib.images import Image

NO_NODE: Final = "images are put on a node of hack/cluster only"


def tag_again(image: str) -> str:
    """Give an image another tag, as if it were of another version; return its name."""
    other = f"{image.rpartition(':')[0]}:another"
    _tag(_state(), image, [other])
    return other


def load_as(image: Image, names: Iterable[str]) -> str:
    """Build an image, load it, and give it other names; return its own.

    Args:
        image: The image.
        names: Those that pods refer to it by.
    """
    state, known = _state(), components.load()
    with locks.exclusive(state.lock):
        for name, archive in cluster.build_images([image], known).items():
            images.load(name, archive, state)
    own = images.reference(image, known)
    _tag(state, own, names)
    return own


def _state() -> State:
    name = os.environ.get(CLUSTER)
    if not name:
        pytest.skip(NO_NODE)
    return State(name)


def _tag(state: State, image: str, names: Iterable[str]) -> None:
    command = ["ctr", "--namespace=k8s.io", "images", "tag", "--force", image, *names]
    processes.run([*namespace.enter(state), *command], what=f"tagging the image {image}")
