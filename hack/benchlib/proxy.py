"""Asks a cluster's API over HTTP, by way of `kubectl proxy`.

kubectl knows how to authenticate with any kubeconfig; one request through its proxy costs about a
millisecond, where a kubectl process costs a tenth of a second, too much between two measurements.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from benchlib.requests import Requests
from clusterlib import waiting

if TYPE_CHECKING:
    from demolib.kubectl import Kubectl

START_TIMEOUT_SECONDS = 10.0


class Proxy(Requests):
    """A running `kubectl proxy`. A context manager; may be used from several threads.

    Args:
        kubectl: names the cluster.
    """

    def __init__(self, kubectl: Kubectl) -> None:
        super().__init__(lambda timeout: _Connection(self._socket, timeout))
        self._kubectl = kubectl
        self._running = contextlib.ExitStack()
        self._socket = Path()

    def __enter__(self) -> Self:
        """Start the proxy.

        Raises:
            ClusterError: it did not start.
        """
        with contextlib.ExitStack() as on_failure:
            folder = Path(on_failure.enter_context(tempfile.TemporaryDirectory()))
            self._socket = folder / "socket"
            command = [self._kubectl.program, *self._kubectl.options, "proxy"]
            # What it complains about is shown; where it serves is known.
            process = on_failure.enter_context(
                subprocess.Popen(
                    [*command, f"--unix-socket={self._socket}"], stdout=subprocess.DEVNULL
                )
            )
            on_failure.callback(process.terminate)
            waiting.until(
                self._listens,
                what="kubectl proxy listens",
                timeout_seconds=START_TIMEOUT_SECONDS,
                alive=lambda: process.poll() is None,
            )
            on_failure.callback(self.close)
            self._running = on_failure.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End the proxy."""
        self._running.close()

    def _listens(self) -> bool:
        # Its file is there a moment before somebody listens at it.
        with socket.socket(socket.AF_UNIX) as asking:
            return asking.connect_ex(str(self._socket)) == 0


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
