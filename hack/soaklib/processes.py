"""Faults of processes and machines: what is killed, hangs, or is lost."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from e2e.waiting import CLOCK
from soaklib.scene import repeated, undone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.server import Server
    from soaklib.scene import Breaks, Scene

# For so long the API server does nothing, and works, in turns.
STUTTER_SECONDS = 0.5


def kill_kopia(scene: Scene, server: Server) -> None:
    """Kill a server's process."""
    scene.node.kill(server.pod())


def kill_leader(scene: Scene, _server: Server) -> None:
    """Kill the process of the controller that leads."""
    scene.controller.kill(scene.node)


@contextmanager
def with_leader_paused(scene: Scene, _server: Server) -> Iterator[None]:
    """Have the controller's leader do nothing, and wake."""
    with scene.node.paused(scene.controller.pod()):
        yield


def paused(component: str) -> Breaks:
    """Have a component of the cluster do nothing, with its connections left open."""
    return undone(
        lambda scene, _server: scene.components.pause(component),
        lambda scene, _server: scene.components.resume(component),
    )


def killed(component: str) -> Breaks:
    """Have a component of the cluster away."""

    def start(scene: Scene, _server: Server) -> None:
        scene.components.start(component)
        scene.components.wait_for_api()

    return undone(lambda scene, _server: scene.components.kill(component), start)


@contextmanager
def with_slow_api(scene: Scene, _server: Server) -> Iterator[None]:
    """Have the API server work half of the time."""

    def stutter() -> None:
        scene.components.pause("kube-apiserver")
        try:
            CLOCK.wait_event(threading.Event(), STUTTER_SECONDS)
        finally:
            scene.components.resume("kube-apiserver")
        CLOCK.wait_event(threading.Event(), STUTTER_SECONDS)

    with repeated(stutter):
        yield
