"""The controller of this checkout, but without Kopia.

Nothing runs in the fake pods, so commands in them succeed at once. All that concerns Kubernetes is
the controller's own.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from controller import log
from controller.manager import stop_on_signals
from controller.rest.kubeconfig import load_api_client
from controller.rest.podexec import ExecResult
from reconcilers.main import build
from reconcilers.options import parse_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from controller.clock import Deadline


class NoKopia:
    """Answers as Kopia does when it has done what it was told to."""

    def run(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: bytes | Iterable[bytes] = b"",
        deadline: Deadline,
        on_stdout: Callable[[bytes], None] | None = None,
    ) -> ExecResult:
        """Say that all went well, and that the repository has no users; each with a version."""
        del namespace, pod, container, command, stdin, deadline, on_stdout
        return ExecResult(0, b"0.23.1\n[]", b"")


def main() -> None:
    """Run until a signal comes."""
    options = parse_options(sys.argv[1:], {})
    log.configure(options.log_level, options.log_format)
    stop = stop_on_signals()
    api_client = load_api_client(options.kubeconfig)
    build(options, options.namespace, api_client, executor=NoKopia()).run(stop)
    # As a controller ends: threads that still read are not waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
