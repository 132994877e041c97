"""The connections to one API server: made within the time of a request, and kept for the next.

urllib3 does proxies, tunnels, TLS and the pool. What it leaves open is bounded here: the look-up of
a name, several addresses, and the handshakes, by the guard of the request that needs them.
"""

import contextlib
import queue
import socket
import threading
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import urlsplit

import kubernetes.client
import urllib3
from attrs import define
from kubernetes.client.rest import should_bypass_proxies
from kubernetes.utils.keepalive import tcp_keepalive_socket_options
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

from controller.rest.credentials import Tls
from controller.rest.cutoff import Guard, current

#: Seconds for one address of a server, of which the next may answer. TCP asks again after 1 and 3.
CONNECT_SECONDS: Final = 5.0

#: The guards bound requests, not the sockets' timeouts: without one a read is one system call.
_NO_TIMEOUT: Final = urllib3.Timeout(connect=None, read=None)
_NO_RETRIES: Final = urllib3.Retry(total=False, redirect=False)

_CUT: Final = "cut off"


@define
class _Shared:
    """What a pool and its connections have in common.

    A connection does not know its pool. urllib3 keeps the idle connections until nobody has the
    pool any more, and closes them then: a pool that they know would be kept, with them, for ever.

    Args:
        tls: The TLS settings.
        generation: Counts how often the idle connections were closed.
    """

    tls: Tls
    generation: int = 0


class Connections:
    """The connections to one server. Safe to share between threads.

    As many are kept as were ever in use at once.

    Args:
        configuration: Where the server is, and the proxy before it.
        tls: The TLS settings.
    """

    def __init__(self, configuration: kubernetes.client.Configuration, tls: Tls) -> None:
        self._shared = _Shared(tls)
        self._server = urlsplit(configuration.host)
        self._pool = _pool(configuration, tls)
        self._pool.conn_kw["shared"] = self._shared
        self._base = self._server.path.rstrip("/")
        self._headers: dict[str, str] = {}
        if self._pool.proxy is not None and self._server.scheme == "http":
            # The proxy passes requests on one by one, and is told where to (RFC 9112, 3.2.2).
            self._base = configuration.host.rstrip("/")
            self._headers = {"Host": self._server.netloc.rpartition("@")[2]}

    def request(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str],
        body: Any,  # noqa: ANN401
    ) -> urllib3.BaseHTTPResponse:
        """Send a request and return the answer, whatever its status, with its body unread.

        Args:
            method: The HTTP method.
            target: Path and query.
            headers: All but those that HTTP itself needs.
            body: Bytes or an iterable of bytes; None for none.

        Raises:
            urllib3.exceptions.HTTPError: No answer came.
        """
        return self._pool.urlopen(
            method,
            self._base + target,
            body=body,
            headers={**headers, **self._headers},
            timeout=_NO_TIMEOUT,
            retries=_NO_RETRIES,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
        )

    def connect(self) -> socket.socket:
        """Return a new connection to the server, for a protocol other than HTTP.

        It takes the way of all requests: the proxy, as a tunnel, and TLS.

        Raises:
            urllib3.exceptions.HTTPError: The server or the proxy cannot be reached.
            OSError: As well, or the proxy refuses.
        """
        proxy, host = self._pool.proxy, self._server.hostname or ""
        secure = self._server.scheme == "https"
        if proxy is not None and proxy.scheme == "https" and not secure:
            raise OSError("no tunnel leads through an https:// proxy to a server without TLS")
        port = self._server.port or (443 if secure else 80)
        made: HTTPConnection = (GuardedHTTPSConnection if secure else GuardedHTTPConnection)(
            host if proxy is None else proxy.host,
            port if proxy is None else proxy.port,
            timeout=None,
            **self._pool.conn_kw,
        )
        if proxy is not None:
            headers, scheme = self._pool.proxy_headers, proxy.scheme or ""
            made.set_tunnel(host, port, headers=headers, scheme=scheme)
        try:
            made.connect()
        except BaseException:
            made.close()
            raise
        return cast("socket.socket", made.sock)

    def close_idle(self) -> None:
        """Use none of the connections again that there are now.

        What has silenced one, a load balancer or a network, has as a rule silenced all, and each
        would cost a request its whole time. client-go has one HTTP/2 connection for everything, and
        gives that up when it does not answer a ping. Those in use are closed when they come back.
        """
        self._shared.generation += 1
        if (idle := self._pool.pool) is not None:
            with contextlib.suppress(queue.Empty):
                while True:
                    # None is the place of a connection that broke.
                    if (connection := idle.get_nowait()) is not None:
                        connection.close()


class _Guarded:
    """What both kinds of connections have in common: a request's guard can cut them.

    Args:
        shared: Says whether connections as old as this one are still to be used.
    """

    #: urllib3's own fields.
    sock: socket.socket | None
    socket_options: Any
    port: int
    _dns_host: str

    def __init__(self, *args: Any, shared: _Shared, **options: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **options)
        self._shared = shared
        self._generation = shared.generation
        self._guard: Guard | None = None

    @property
    def is_connected(self) -> bool:
        """Whether a connection that was kept can be used by the request that takes it.

        The pool asks right before. From here on that request's guard has the socket, and no longer
        that of the request before.
        """
        if self.sock is None or self._generation != self._shared.generation:
            return False
        self._hand_over()
        if self._guard is not None and not self._guard.attach(self.sock):
            return False
        return bool(super().is_connected)  # type: ignore[misc]

    def _hand_over(self) -> None:
        before, self._guard = self._guard, current.guard
        if before is not None:
            before.detach()

    def _new_conn(self) -> socket.socket:
        self._generation = self._shared.generation
        self._hand_over()
        connection = cast("HTTPConnection", self)
        try:
            return _dial(self._dns_host.strip("[]"), self.port, self._guard, self.socket_options)
        except (socket.gaierror, UnicodeError) as error:
            unknown = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
            raise NameResolutionError(self._dns_host, connection, unknown) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(f"no connection to {self._dns_host} in time") from error
        except OSError as error:
            raise NewConnectionError(connection, f"cannot connect: {error}") from error


class GuardedHTTPConnection(_Guarded, HTTPConnection):
    """A connection to a server or a proxy without TLS."""


class GuardedHTTPSConnection(_Guarded, HTTPSConnection):
    """A connection with TLS, by the settings as they are when it is made."""

    def connect(self) -> None:
        """Connect, through the proxy's tunnel if there is one, and shake hands."""
        self.ssl_context = self._shared.tls.context
        super().connect()


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = GuardedHTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = GuardedHTTPSConnection


def _pool(configuration: kubernetes.client.Configuration, tls: Tls) -> HTTPConnectionPool:
    """Return the pool of the connections to a server."""
    options: dict[str, Any] = {
        # Any number: it holds those that were in use at once.
        "maxsize": 0,
        "ssl_context": tls.context,
        "socket_options": _socket_options(configuration),
        "server_hostname": configuration.tls_server_name or None,
    }
    if configuration.assert_hostname is not None:
        options["assert_hostname"] = configuration.assert_hostname
    proxy = configuration.proxy
    manager: urllib3.PoolManager
    if proxy and not should_bypass_proxies(configuration.host, configuration.no_proxy or ""):
        manager = urllib3.ProxyManager(
            proxy,
            proxy_headers=configuration.proxy_headers,
            proxy_ssl_context=tls.proxy_context,
            **options,
        )
    else:
        manager = urllib3.PoolManager(**options)
    manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    return manager.connection_from_url(configuration.host)


def _socket_options(configuration: kubernetes.client.Configuration) -> list[tuple[int, int, int]]:
    if configuration.socket_options is not None:
        return list(configuration.socket_options)
    if configuration.keep_alive:
        return list(tcp_keepalive_socket_options())
    return list(HTTPConnection.default_socket_options)


def _dial(host: str, port: int, guard: Guard | None, options: Any) -> socket.socket:  # noqa: ANN401
    """Return a socket that is connected to the first of a host's addresses that answers."""
    addresses = _resolve(host, port, guard)
    failure: OSError = OSError("the name has no address")
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            for option in options or ():
                sock.setsockopt(*option)
            if guard is not None and not guard.attach(sock):
                raise ConnectionAbortedError(_CUT)
            sock.settimeout(_share(guard, len(addresses) - index))
            sock.connect(address)
            sock.settimeout(None)
        except OSError as error:
            sock.close()
            failure = error
            if guard is not None and guard.cause is not None:
                break
        else:
            return sock
    raise failure


def _share(guard: Guard | None, addresses: int) -> float:
    """Return the seconds for one of so many addresses (Go's net/dial.go, partialDeadline).

    None has more than `CONNECT_SECONDS`. The guard ends the last one if less is left.
    """
    if guard is None or addresses == 1:
        return CONNECT_SECONDS
    return max(0.001, min(CONNECT_SECONDS, guard.left() / addresses))


def _resolve(host: str, port: int, guard: Guard | None) -> list[Any]:
    """Return the addresses of a host, as `socket.getaddrinfo` does.

    A look-up cannot be given a time, nor be woken: another thread makes it, and is left to itself
    when the request's time is over.
    """
    kind = socket.SOCK_STREAM
    with contextlib.suppress(socket.gaierror):
        return socket.getaddrinfo(host, port, type=kind, flags=socket.AI_NUMERICHOST)
    found: list[list[Any] | Exception] = []
    done = threading.Event()

    def look_up() -> None:
        try:
            found.append(list(socket.getaddrinfo(host, port, allowed_gai_family(), kind)))
        except (OSError, UnicodeError) as error:
            found.append(error)
        finally:
            done.set()

    if guard is not None and not guard.attach_waker(done.set):
        raise ConnectionAbortedError(_CUT)
    threading.Thread(target=look_up, name=f"look up {host}", daemon=True).start()
    done.wait()
    if not found:
        raise ConnectionAbortedError(_CUT)
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]
