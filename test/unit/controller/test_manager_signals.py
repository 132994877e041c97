"""What a signal does to a process: the first stops it in good order, the second at once."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from fakes.clock import STUCK_AFTER

#: A process that ends when told to, or refuses to if it has an argument.
PROGRAM = """
import sys, threading
from controller.clock import SystemClock
from controller.manager import Manager, stop_on_signals

class Part:
    name = "part"
    def run(self, stop):
        print("running", flush=True)
        stop.wait()
        print("told to stop", flush=True)
        if len(sys.argv) > 1:
            threading.Event().wait()

stop = stop_on_signals()
manager = Manager(clock=SystemClock(), graceful_timeout=3600)
manager.add(Part())
manager.run(stop)
print("ended", flush=True)
"""


class TestSignals:
    @pytest.fixture
    def spawn(self) -> Iterator[Callable[..., subprocess.Popen[str]]]:
        children: list[subprocess.Popen[str]] = []

        def start(*arguments: str) -> subprocess.Popen[str]:
            child = subprocess.Popen(  # noqa: S603 - a program of this file
                [sys.executable, "-c", PROGRAM, *arguments],
                stdout=subprocess.PIPE,
                text=True,
            )
            children.append(child)
            return child

        yield start
        for child in children:
            child.kill()
            child.wait()
            if child.stdout:
                child.stdout.close()

    def expect(self, child: subprocess.Popen[str], line: str) -> None:
        """Read up to a line of the child's own; the manager logs to the same place."""
        assert child.stdout is not None
        for read in child.stdout:
            if read.strip() == line:
                return
        pytest.fail(f"the process ended before it said {line!r}")

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_the_first_ends_in_good_order(
        self, spawn: Callable[..., subprocess.Popen[str]], number: signal.Signals
    ) -> None:
        child = spawn()
        self.expect(child, "running")
        child.send_signal(number)
        self.expect(child, "told to stop")
        self.expect(child, "ended")

        assert child.wait(STUCK_AFTER) == 0

    def test_the_second_ends_at_once(self, spawn: Callable[..., subprocess.Popen[str]]) -> None:
        child = spawn("refuse")
        self.expect(child, "running")
        child.send_signal(signal.SIGTERM)
        self.expect(child, "told to stop")
        child.send_signal(signal.SIGTERM)

        assert child.wait(STUCK_AFTER) == 1
