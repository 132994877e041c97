"""The controller as a process, started again whenever it ends, as the kubelet does it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from attrs import define, field, frozen
from prometheus_client.parser import text_string_to_metric_families

from controller.clock import SystemClock
from e2e.waiting import wait_for
from fakes.ports import port_of, reserved

if TYPE_CHECKING:
    import socket

ROOT: Final = Path(__file__).parents[2]
PROGRAM: Final = ("-c", "from reconcilers.main import main; main()")
#: What it runs ends when who started it does, however that ends.
ENDS_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL")

METRICS, PROBES = "metrics-bind-address", "health-probe-bind-address"

#: The kubelet's back-off: none at first, then 10 s, and twice as long each time.
FIRST_DELAY: Final = 10.0

#: Real seconds after which a process is stuck, not slow.
REQUEST_SECONDS = 30.0
START_SECONDS = 60.0


Run = Callable[..., "Container"]


@frozen
class End:
    """That a process ended: with which code, and when, in monotonic seconds."""

    code: int
    at: float


@define(eq=False)
class Container:
    """A controller that is started again when it ends. A context manager.

    Attributes:
        arguments: Flags, beside those for its ports.
        ends: How it has ended so far.
        lines: What the present process has logged.
    """

    arguments: tuple[str, ...]
    ends: list[End] = field(factory=list)
    lines: list[dict[str, Any]] = field(factory=list)
    _ports: dict[str, socket.socket] = field(init=False)
    _process: subprocess.Popen[str] | None = None
    _stop: threading.Event = field(factory=threading.Event)
    _starting: threading.Lock = field(factory=threading.Lock)
    _thread: threading.Thread = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._ports = {flag: reserved() for flag in (METRICS, PROBES)}

    def __enter__(self) -> Self:
        self._start()
        self._thread = threading.Thread(target=self._supervise, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._starting:
            self._stop.set()
            assert self._process is not None
            self._process.kill()
        self._thread.join(START_SECONDS)
        for kept in self._ports.values():
            kept.close()

    def get(self, server: str, path: str) -> tuple[int, str]:
        """Return the status and the body of what it serves, once it does."""
        port = port_of(self._ports[server])
        wait_for(
            f"{server} to be served",
            lambda: [line for line in self.lines if line.get("port") == port],
            seconds=START_SECONDS,
        )
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_SECONDS)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def probe(self, path: str) -> int:
        """Return the status that the kubelet gets."""
        status, _ = self.get(PROBES, path)
        return status

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of a metric with these labels."""
        _, text = self.get(METRICS, "/metrics")
        samples = (one for family in text_string_to_metric_families(text) for one in family.samples)
        return sum(
            one.value
            for one in samples
            if one.name == name and labels.items() <= one.labels.items()
        )

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of the present process about an event."""
        return [line for line in list(self.lines) if line["event"] == event]

    def _start(self) -> None:
        with self._starting:
            if self._stop.is_set():
                return
            self.lines = []
            addresses = (f"--{flag}=127.0.0.1:{port_of(at)}" for flag, at in self._ports.items())
            program = [*ENDS_WITH_US, sys.executable, *PROGRAM, "--log-format=json"]
            self._process = subprocess.Popen(  # noqa: S603 - a program of ours
                [*program, *addresses, *self.arguments],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stderr=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                text=True,
            )

    def _supervise(self) -> None:
        delay = 0.0
        while not self._stop.is_set():
            assert self._process is not None
            self._read(self._process)
            self.ends.append(End(self._process.wait(), SystemClock().monotonic()))
            if not SystemClock().wait_event(self._stop, delay):
                self._start()
            delay = delay * 2 or FIRST_DELAY

    def _read(self, process: subprocess.Popen[str]) -> None:
        """Take note of what it logs until it ends; pytest shows it where a test fails."""
        assert process.stderr is not None
        with process.stderr as lines:
            for line in lines:
                logged = line.startswith("{")
                self.lines.append(json.loads(line) if logged else {"event": line})
                print(process.pid, line, end="")  # noqa: T201 - see above
