"""The logs of phases' pods on a real node: long lines, restarts of the engine, rotation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attrs import evolve

from e2e.conftest import KUBECONFIG, told
from e2e.phasepods import OUTPUT, Engine, Phase, is_running, python
from e2e.waiting import wait_for
from reconcilers.actionset.function import Complete, Failed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.cluster import Cluster

#: More than a kubelet keeps in one file (containerLogMaxSize, 10 MiB), in lines of a KiB.
FILL = "\nfor number in range(12 * 1024): print(str(number).ljust(1000, 'x'))\n"
#: More than the kubelet takes between two looks at the sizes (containerLogMonitorInterval, 10 s).
ROTATION_SECONDS = 25


@pytest.fixture(scope="module")
def engine(cluster: Cluster) -> Iterator[Engine]:
    started = Engine.start(cluster, told(KUBECONFIG))
    yield started
    started.end()


def test_lines_longer_than_any_buffer(engine: Engine, cluster: Cluster) -> None:
    """The runtime cuts lines into pieces of 16 KiB, with times of their own."""
    script = OUTPUT + "print('x' * 300_000)\noutput('long', 'v' * 200_000)\noutput('last', 'é')"
    phase = Phase(engine, "long-lines", python(cluster, script))

    assert phase.result() == Complete({"long": "v" * 200_000, "last": "é"})
    wait_for("the pod to be gone", phase.pod, lambda pod: pod is None)


def test_an_output_on_standard_error(engine: Engine, cluster: Cluster) -> None:
    script = OUTPUT + "sys.stdout = sys.stderr\noutput('a', 'b')"

    assert Phase(engine, "stderr", python(cluster, script)).result() == Complete({"a": "b"})


def test_a_process_that_ends_in_between(engine: Engine, cluster: Cluster) -> None:
    script = OUTPUT + "output('early', '1')\ntime.sleep(6)\noutput('late', '2')"
    first = Engine.start(cluster, told(KUBECONFIG))
    phase = Phase(first, "restart", python(cluster, script))
    wait_for("the pod to run", lambda: (phase.advance(), phase.pod())[1], is_running)
    first.end()
    made = phase.pod()
    phase.engine = engine

    assert phase.result() == Complete({"early": "1", "late": "2"})
    assert made is not None


def test_a_log_that_the_node_rotates(engine: Engine, cluster: Cluster) -> None:
    """Who has followed it has all of it; who has not knows what is missing."""
    script = (
        f"{OUTPUT}output('early', '1'){FILL}time.sleep({ROTATION_SECONDS})\noutput('late', '2')\n"
        "time.sleep(3)"
    )
    phase = Phase(engine, "rotated", python(cluster, script))
    wait_for(
        "its first line to be remembered", lambda: (phase.advance(), phase.memo)[1].get("firstLine")
    )
    follower = evolve(phase)
    other = Engine.start(cluster, told(KUBECONFIG))
    late = Phase(other, "rotated", phase.wanted, memo=phase.memo)
    wait_for(
        "the end of the pod",
        lambda: (phase.advance(), phase.pod())[1],
        lambda pod: pod is not None and pod["status"]["phase"] == "Succeeded",
    )
    found = wait_for("the log", late.advance, lambda step: isinstance(step, Complete | Failed))
    other.end()

    assert follower.result() == Complete({"early": "1", "late": "2"})
    assert isinstance(found, Failed)
    assert "its node has thrown away the beginning of its log" in found.message
