"""What the two other programs of a contest make is what this controller makes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from benchlib import contenders
from clusterlib import components
from fakes import children, objects
from reconcilers.repositoryserver.children import names, network, revision, secrets

if TYPE_CHECKING:
    from demolib.objects import Object

SERVER = children.server()
INPUTS = children.inputs()

# As a peer fills them in, the longest first: $NAME begins $NAMESPACE.
WORDS = {
    "$NAMESPACE": objects.NAMESPACE,
    "$FINGERPRINT": children.FINGERPRINT,
    "$DIRECTORY": INPUTS.storage.directory,
    "$MANAGER": names.MANAGER,
    "$DIGEST": children.DIGEST,
    "$CLAIM": objects.CLAIM,
    "$IMAGE": objects.IMAGE,
    "$NAME": objects.NAME,
    "$UID": objects.UID,
}


def templates() -> dict[str, Object]:
    """Return the children of a server as the peers make them."""
    folder = components.load().group_of(contenders.GO_PEER).folder
    text = (folder / "children.json").read_text()
    for word, value in WORDS.items():
        text = text.replace(word, value)
    found: dict[str, Object] = json.loads(text)
    return found


@pytest.mark.parametrize(
    ("template", "ours"),
    [
        pytest.param(
            "replicaSet",
            revision.replica_set(SERVER, INPUTS, children.DIGEST, replicas=1),
            id="the ReplicaSet, with all that a node does for its pod",
        ),
        pytest.param("networkPolicy", network.network_policy(SERVER), id="the NetworkPolicy"),
        pytest.param("service", network.service(SERVER, children.DIGEST), id="the Service"),
    ],
)
def test_a_peer_makes_the_same_child(template: str, ours: Object) -> None:
    assert templates()[template] == ours


@pytest.mark.parametrize(
    ("template", "ours"),
    [
        pytest.param(
            "secret",
            revision.snapshot_secret(SERVER, INPUTS, children.DIGEST),
            id="the Secret that a pod is started with",
        ),
        pytest.param("users", secrets.users_secret(SERVER, "", "", ""), id="the users"),
    ],
)
def test_a_peer_makes_a_secret_with_the_same_keys(template: str, ours: Object) -> None:
    made = templates()[template]

    assert {**made, "data": sorted(made["data"])} == {**ours, "data": sorted(ours["data"])}


def test_a_peer_makes_as_many_children() -> None:
    assert len(templates()) == 5
