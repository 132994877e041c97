"""kubectl, as a user has it: for manifests, commands in pods, logs and descriptions."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.resource import Object

TIMEOUT_SECONDS = 120.0
WAIT_SECONDS = 90


@frozen
class Ran:
    """What a command came to.

    Attributes:
        code: Its exit code.
        output: What it printed.
        complaint: What it printed to standard error.
    """

    code: int
    output: str
    complaint: str

    def __str__(self) -> str:
        """Return both outputs."""
        return f"exit code {self.code}: {self.output}{self.complaint}"


@frozen
class Kubectl:
    """kubectl for one cluster.

    Attributes:
        kubeconfig: Says which.
    """

    kubeconfig: str

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of kubectl with arguments."""
        return ["kubectl", f"--kubeconfig={self.kubeconfig}", *arguments]

    def run(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl and return what it prints.

        Raises:
            AssertionError: It failed; the message has what it said.
        """
        ran = self.attempt(*arguments, stdin=stdin)
        assert ran.code == 0, f"kubectl {' '.join(arguments)}: {ran}"
        return ran.output

    def wait(self, namespace: str, obj: str, condition: str) -> None:
        """Wait until an object is as told; by itself kubectl gives up after 30 s.

        Raises:
            AssertionError: It did not come to be.
        """
        limit = f"--timeout={WAIT_SECONDS}s"
        self.run("wait", f"--namespace={namespace}", f"--for={condition}", limit, obj)

    def attempt(self, *arguments: str, stdin: str = "") -> Ran:
        """Run kubectl and return what came of it."""
        result = subprocess.run(  # noqa: S603 - a program that the test run names
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        return Ran(result.returncode, result.stdout, result.stderr)

    def create(self, objects: Iterable[Object]) -> None:
        """Create objects; what they hold goes over standard input."""
        body = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.run("create", "--filename=-", stdin=json.dumps(body))

    def apply(self, objects: Iterable[Object]) -> None:
        """Create objects or make them as they are given, whoever else does the same at the time."""
        body = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.run("apply", "--server-side", "--filename=-", stdin=json.dumps(body))

    def shell(self, namespace: str, pod: str, script: str) -> Ran:
        """Run a script in a pod; as it goes over standard input, it may hold a password."""
        return self.attempt(
            "exec", "--stdin", f"--namespace={namespace}", pod, "--", "/bin/sh", "-eu", stdin=script
        )
