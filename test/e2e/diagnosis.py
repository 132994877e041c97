"""What an operator would look at when a test has failed: elsewhere only the output is left."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster import NAMESPACE
from e2e.installation import SELECTOR
from reconcilers.repositoryserver.children import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.kubectl import Kubectl

LINES = 100
# Of the controller's log, which is about all servers.
SEARCHED_LINES = 3000
BAD = ('"level": "warning"', '"level": "error"', "Traceback")

# What leads packets to pods. Their logs are beside that of the requests.
AGENTS = ("kube-proxy", "kube-router")
AUDIT_LOG = "RSC_TEST_AUDIT_LOG"

# Of one command, where the API server may be what has failed.
REQUEST_SECONDS = 10


def sections(kubectl: Kubectl, server: str) -> Iterator[tuple[str, str]]:
    """Yield what there is to see, with a title each.

    Args:
        kubectl: For the cluster.
        server: The name of the server that the test was about; "" for none.
    """
    yield "pods", _said(kubectl, "get", "pods", "--all-namespaces", "--output=wide")
    if server:
        pods = f"--selector={names.LABEL_INSTANCE}={server}"
        logs = ("--all-containers", "--prefix", f"--tail={LINES}")
        yield "the server", _in_namespace(kubectl, "describe", f"repositoryserver/{server}")
        yield "its pods", _in_namespace(kubectl, "describe", "pods", pods)
        yield "their logs", _in_namespace(kubectl, "logs", pods, *logs)
    searched = (f"--selector={SELECTOR}", "--prefix", f"--tail={SEARCHED_LINES}")
    log = _in_namespace(kubectl, "logs", *searched, lines=SEARCHED_LINES)
    yield "the controller's log", _about(server, log)
    ended = _in_namespace(kubectl, "logs", *searched, "--previous", lines=SEARCHED_LINES)
    yield "the log of the controller that ended before", _about(server, ended)
    yield "events", _in_namespace(kubectl, "get", "events", "--sort-by=.metadata.creationTimestamp")
    yield from _agents()


def _agents() -> Iterator[tuple[str, str]]:
    """Yield the end of the log of each agent of the node; none where the cluster is not ours."""
    audit_log = os.environ.get(AUDIT_LOG)
    for agent in AGENTS if audit_log else ():
        path = Path(audit_log or "").with_name(f"{agent}.log")
        if path.exists():
            yield agent, "\n".join(path.read_text(errors="replace").splitlines()[-LINES:])


def _in_namespace(kubectl: Kubectl, *arguments: str, lines: int = LINES) -> str:
    return _said(kubectl, *arguments, f"--namespace={NAMESPACE}", lines=lines)


def _said(kubectl: Kubectl, *arguments: str, lines: int = LINES) -> str:
    """Return the end of what kubectl says, whatever that is."""
    try:
        ran = kubectl.attempt(*arguments, f"--request-timeout={REQUEST_SECONDS}s")
    except subprocess.TimeoutExpired as error:
        return str(error)
    return "\n".join((ran.output + ran.complaint).splitlines()[-lines:])


def _about(server: str, log: str) -> str:
    """Return the last lines of a log that name a server, or tell of trouble."""
    told = [line for line in log.splitlines() if server in line or any(bad in line for bad in BAD)]
    return "\n".join(told[-LINES:])
