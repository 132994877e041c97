"""The network that fails on request: nothing gets through that must not."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from fakes.clock import STUCK_AFTER
from fakes.ports import port_of, reserved
from fakes.tcpproxy import TcpProxy

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def network(server: socket.socket) -> Iterator[TcpProxy]:
    with TcpProxy("127.0.0.1", port_of(server)) as proxy:
        yield proxy


def test_a_connection_that_is_being_made_is_cut_as_well(
    network: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, begun, may_connect = socket.create_connection, threading.Event(), threading.Event()

    def slowly(*arguments: Any) -> socket.socket:
        begun.set()
        assert may_connect.wait(STUCK_AFTER)
        return connect(*arguments)

    monkeypatch.setattr(socket, "create_connection", slowly)

    def cut_off() -> None:
        network.refuse()
        network.cut()

    with connect(("127.0.0.1", network.port), STUCK_AFTER) as client:
        assert begun.wait(STUCK_AFTER)
        cutting = threading.Thread(target=cut_off)
        cutting.start()
        # Cut off already, if it does not wait.
        cutting.join(0.1)
        may_connect.set()

        assert client.recv(1) == b""


def test_a_server_that_is_away_for_a_moment_is_reached_when_it_is_back() -> None:
    with reserved() as kept, TcpProxy("127.0.0.1", port_of(kept)) as network:
        with socket.create_connection(("127.0.0.1", network.port), STUCK_AFTER) as refused:
            assert refused.recv(1) == b""

        with (
            socket.create_server(("127.0.0.1", port_of(kept))) as server,
            socket.create_connection(("127.0.0.1", network.port), STUCK_AFTER) as client,
        ):
            server.settimeout(STUCK_AFTER)
            accepted, _ = server.accept()
            with accepted:
                accepted.sendall(b"a")
                assert client.recv(1) == b"a"


def test_a_network_that_refuses_keeps_its_port(network: TcpProxy) -> None:
    network.refuse()

    with socket.socket() as another, pytest.raises(OSError, match="in use"):
        another.bind(("127.0.0.1", network.port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", network.port), STUCK_AFTER)
