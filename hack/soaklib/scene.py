"""What can be broken, and what a way to break it is."""

from __future__ import annotations

import contextlib
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import frozen

from controller.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from clusterlib.outages import Outages
    from e2e.installation import Controller
    from e2e.node import Node
    from e2e.server import Server
    from fakes.tcpproxy import TcpProxy


@frozen
class Scene:
    """What can be broken.

    Attributes:
        controller: The controller.
        node: The node.
        components: The cluster's components.
        network: Between the servers and the object store.
    """

    controller: Controller
    node: Node
    components: Outages
    network: TcpProxy


if TYPE_CHECKING:
    # Breaks something, for one of the servers where one is concerned, and mends it when left.
    Breaks = Callable[[Scene, Server], AbstractContextManager[None]]


def at_once(act: Callable[[Scene, Server], object]) -> Breaks:
    """Make a fault of something that is over when it is done."""

    @contextmanager
    def broken(scene: Scene, server: Server) -> Iterator[None]:
        act(scene, server)
        yield

    return broken


def undone(
    act: Callable[[Scene, Server], object], undo: Callable[[Scene, Server], object]
) -> Breaks:
    """Make a fault of something that lasts until it is undone."""

    @contextmanager
    def broken(scene: Scene, server: Server) -> Iterator[None]:
        act(scene, server)
        try:
            yield
        finally:
            undo(scene, server)

    return broken


@contextmanager
def repeated(act: Callable[[], object]) -> Iterator[None]:
    """Do something over and over in another thread; what the API server refuses is no matter."""
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            with contextlib.suppress(ClientError):
                act()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
