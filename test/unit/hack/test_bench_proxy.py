"""Requests through `kubectl proxy`, which a script stands for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from benchlib.proxy import Proxy
from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from demolib.kubectl import Kubectl

# Answers at a Unix socket as an API server does, with what it was asked.
PROXY = """\
import json, socketserver, sys
from http.server import BaseHTTPRequestHandler

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        asked = {"method": self.command, "path": self.path, "body": body}
        self.send_response(404 if self.path == "/missing" else 200)
        if "watch" in self.path:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b'10\\r\\n{"number": "1"}\\n\\r\\n')
            self.close_connection = False
            return
        content = json.dumps(asked).encode()
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_DELETE = do_GET

class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

(path,) = [word.split("=", 1)[1] for word in sys.argv if word.startswith("--unix-socket=")]
Server(path, Handler).serve_forever()
"""


@pytest.fixture
def kubectl(scripted_kubectl: Callable[[str], Kubectl]) -> Callable[[str], Kubectl]:
    """Return a way to make a kubectl that is a program in Python."""
    return lambda program: scripted_kubectl(f"#!{sys.executable}\n{program}")


@pytest.fixture
def proxy(kubectl: Callable[[str], Kubectl]) -> Iterator[Proxy]:
    with Proxy(kubectl(PROXY)) as started:
        yield started


def test_requests_carry_method_path_and_body(proxy: Proxy) -> None:
    assert proxy.get("/a?b=c") == {"method": "GET", "path": "/a?b=c", "body": ""}
    assert proxy.create("/a", {"kind": "Pod"}) == {
        "method": "POST",
        "path": "/a",
        "body": '{"kind": "Pod"}',
    }
    assert '"GET"' in proxy.text("/metrics")


def test_a_refusal_is_told_with_the_servers_words(proxy: Proxy) -> None:
    with pytest.raises(ClusterError, match=r"DELETE /missing: 404: .*missing"):
        proxy.delete("/missing")


def test_a_watch_gives_each_event_as_it_comes_and_tells_silence(proxy: Proxy) -> None:
    with proxy.stream("/a?watch=true", 60.0) as stream:
        lines = iter(stream)
        assert next(lines) == b'{"number": "1"}\n'

        # From here on it is silent, and only that takes a time that is worth being short.
        connection = stream._connection.sock  # noqa: SLF001 - as above
        assert connection.gettimeout() == 60.0
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            next(lines)


def test_a_proxy_is_asked_once_it_listens(kubectl: Callable[[str], Kubectl]) -> None:
    """Its socket has a file before."""
    late = PROXY.replace(
        "Server(path, Handler).serve_forever()",
        "server = Server(path, Handler, bind_and_activate=False)\n"
        "server.server_bind()\n"
        "time.sleep(0.5)\n"
        "server.server_activate()\n"
        "server.serve_forever()",
    )

    with Proxy(kubectl(f"import time\n{late}")) as proxy:
        assert proxy.get("/a")["path"] == "/a"


def test_a_proxy_that_ends_is_not_waited_for(
    kubectl: Callable[[str], Kubectl], capfd: pytest.CaptureFixture[str]
) -> None:
    failing = kubectl("import sys; sys.exit('no such context')")

    with pytest.raises(ClusterError, match="the process ended instead"), Proxy(failing):
        pass

    assert "no such context" in capfd.readouterr().err


def test_a_watch_is_ended_by_another_thread_than_the_one_that_reads(proxy: Proxy) -> None:
    with proxy.stream("/a?watch=true", 60.0) as stream:
        lines = iter(stream)
        next(lines)
        stream.end()

        assert list(lines) == []
