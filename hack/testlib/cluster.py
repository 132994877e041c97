"""The clusters of the tests: what their own need, and the one with a node that they share."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from clusterlib import components, images, paths
from clusterlib.errors import ClusterError
from clusterlib.state import State, all_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from testlib.interruption import Foreground

# What the tests are told, in variables. A user who sets the first has a cluster of his own.
KUBECONFIG = "RSC_TEST_KUBECONFIG"
CLUSTER = "RSC_TEST_CLUSTER"
AUDIT_LOG = "RSC_TEST_AUDIT_LOG"
CONTROLLER_IMAGE = "RSC_TEST_CONTROLLER_IMAGE"
SERVER_IMAGE = "RSC_TEST_SERVER_IMAGE"
POSTGRES_IMAGE = "RSC_TEST_POSTGRES_IMAGE"
EVIDENCE = "RSC_TEST_EVIDENCE"

NAME = "test-e2e-{pid}"
# This one, and those that tests make for themselves: the number is the process that takes it down.
NAME_PATTERN = re.compile(r"test-(?:e2e|e2e-local|integration|outages|controllers)-(\d+)")

# What integration tests run beside kube-apiserver and etcd: the controllers of Kubernetes, nodes of
# which nothing runs, a server of Kopia's, which some of them have a client talk to, Helm, and what
# tests alerts and the dashboard.
PROGRAMS = (
    *("kube-controller-manager", "kube-scheduler", "kwok"),
    *("kopia", "helm", "promtool", "dashboard-check"),
)

# States of a process as proc(5) has them: a zombie, and one that is going.
ENDED = frozenset("ZX")

FAILED = "`{command}` failed; what it printed above says why"


@contextlib.contextmanager
def control_planes_built(given: Mapping[str, str], foreground: Foreground) -> Iterator[None]:
    """Build what the integration tests bring up by themselves, as a first build takes minutes.

    What killed runs have left is taken down before, and what this one leaves afterwards: processes
    of tests that were interrupted.

    Args:
        given: the variables of the tests. If they name a cluster, nothing is needed.
        foreground: runs the commands.

    Raises:
        ClusterError: something did not build.
    """
    if KUBECONFIG in given:
        yield
        return
    _take_down_orphans(foreground)
    _run(["cluster", "build", "--control-plane-only"], given, foreground)
    _run(["cluster", "build", *PROGRAMS], given, foreground)
    try:
        yield
    finally:
        _take_down_orphans(foreground)


@contextlib.contextmanager
def for_tests(given: Mapping[str, str], foreground: Foreground) -> Iterator[Mapping[str, str]]:
    """Bring a cluster up with the images in it, and take it down in the end.

    Args:
        given: the variables so far. If they name the kubeconfig of a cluster, then that is used
            as it is, with images that its user has put there.
        foreground: runs the commands.

    Yields:
        The variables for the tests.

    Raises:
        ClusterError: the cluster did not come up.
    """
    # What the processes that run tests side by side leave to the one that looks at all of it.
    with tempfile.TemporaryDirectory(prefix="evidence-") as evidence:
        told = {**given, EVIDENCE: evidence}
        if KUBECONFIG in given:
            yield told
            return
        with _made_for_tests(told, foreground) as all_told:
            yield all_told


@contextlib.contextmanager
def _made_for_tests(
    given: Mapping[str, str], foreground: Foreground
) -> Iterator[Mapping[str, str]]:
    _take_down_orphans(foreground)
    state, known = State(NAME.format(pid=os.getpid())), components.load()
    _run(["stores", "build"], given, foreground)
    _run(["cluster", "build", "helm", "prometheus"], given, foreground)
    try:
        _run(["cluster", "up", "--audit", "--name", state.name], given, foreground)
        _run(["images", "load", "--name", state.name], given, foreground)
        kubectl = known.program("kubectl").parent
        yield {
            **given,
            "PATH": os.pathsep.join([str(kubectl), given["PATH"]]),
            KUBECONFIG: str(state.kubeconfig),
            CLUSTER: state.name,
            AUDIT_LOG: str(state.audit_log),
            CONTROLLER_IMAGE: images.reference(images.CONTROLLER, known),
            SERVER_IMAGE: images.reference(images.KOPIA, known),
            POSTGRES_IMAGE: images.reference(images.POSTGRES, known),
        }
    finally:
        _take_down(state.name, foreground)
        # Processes of tests that were ended have made some of their own.
        _take_down_orphans(foreground)


def orphans(names: Iterable[str], runs: Callable[[int], bool]) -> list[str]:
    """Return the clusters whose run of the tests was killed before it could take them down.

    Args:
        names: the clusters that there are.
        runs: tells whether there is a process of an id.
    """
    matches = [NAME_PATTERN.fullmatch(name) for name in names]
    return [match[0] for match in matches if match is not None and not runs(int(match[1]))]


def runs(pid: int) -> bool:
    """Tell whether there is a process of an id that has not ended.

    One that was killed is there until who started it, or the machine's first process, looks at it.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    # Its state follows its program's name, which may hold anything.
    return text.rpartition(")")[2].split()[0] not in ENDED


def _take_down_orphans(foreground: Foreground) -> None:
    for name in orphans(all_names(), runs):
        _take_down(name, foreground)


def _take_down(name: str, foreground: Foreground) -> None:
    foreground.clean_up([str(paths.HACK / "cluster"), "down", "--name", name], paths.CHECKOUT)


def _run(arguments: list[str], environment: Mapping[str, str], foreground: Foreground) -> None:
    program, *rest = arguments
    command = [str(paths.HACK / program), *rest]
    if foreground.run(command, environment, paths.CHECKOUT) != 0:
        raise ClusterError(FAILED.format(command=f"hack/{' '.join(arguments)}"))
