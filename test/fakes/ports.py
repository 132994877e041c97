"""Ports that stay a test's own while nobody listens at them."""

import socket


def reserved(address: str = "127.0.0.1") -> socket.socket:
    """Return a socket at a free port, which is given to nobody while the socket is open.

    A port that was found free and closed again is: to whoever connects to anything next. This one
    can still be bound by who names it, with SO_REUSEADDR as servers have it. While none listens
    there, connections are refused.
    """
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind((address, 0))
    return kept


def port_of(kept: socket.socket) -> int:
    """Return the port of a socket."""
    port: int = kept.getsockname()[1]
    return port
