"""Faults of the storage and of the network."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from e2e import outages
from soaklib.scene import undone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.resource import Object
    from e2e.server import Server
    from soaklib.scene import Scene

# Of each packet that comes from or goes to a slow store.
DELAY_SECONDS = 0.05


def on_volume(server: Server) -> bool:
    """Return whether a volume has a server's repository."""
    return server.store is None


def in_store(server: Server) -> bool:
    """Return whether an object store has a server's repository."""
    return server.store is not None


@contextmanager
def without_storage(_scene: Scene, server: Server) -> Iterator[None]:
    """Have a file store away, and Kopia look for it, which makes it wait."""
    with outages.moved_away(server):
        outages.forget_lists(server)
        server.change_password()
        yield


# Each packet from and to the object store takes its time.
with_slow_storage = undone(
    lambda scene, _server: scene.network.slow(DELAY_SECONDS),
    lambda scene, _server: scene.network.slow(0),
)


@contextmanager
def without_store(scene: Scene, _server: Server) -> Iterator[None]:
    """Have the object store out of reach."""
    with outages.cut_off(scene.network):
        yield


@contextmanager
def with_leader_cut_off(scene: Scene, _server: Server) -> Iterator[None]:
    """Have all packets between the controller's leader and the API server dropped."""
    with _cut_off(scene, [scene.controller.pod()]):
        yield


@contextmanager
def with_controller_cut_off(scene: Scene, _server: Server) -> Iterator[None]:
    """Have all packets between the controller's replicas and the API server dropped."""
    with _cut_off(scene, scene.controller.pods()):
        yield


@contextmanager
def _cut_off(scene: Scene, pods: list[Object]) -> Iterator[None]:
    addresses = [pod["status"]["podIP"] for pod in pods if "podIP" in pod["status"]]
    with ExitStack() as mended:
        for address in addresses:
            scene.components.cut_off(address)
            mended.callback(scene.components.reconnect, address)
        yield
