"""Images on the node of a local cluster."""

from __future__ import annotations

import os

import pytest

from clusterlib import namespace, processes
from clusterlib.state import State
from e2e.stores import CLUSTER


def tag_again(image: str) -> str:
    """Give an image another tag, as if it were of another version; return its name."""
    cluster = os.environ.get(CLUSTER)
    if not cluster:
        pytest.skip("images are tagged on a node of hack/cluster only")
    other = f"{image.rpartition(':')[0]}:another"
    command = ["ctr", "--namespace=k8s.io", "images", "tag", "--force", image, other]
    inside = namespace.enter(State(cluster))
    processes.run([*inside, *command], what=f"tagging the image {image}")
    return other
