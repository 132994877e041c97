"""The objects of the bench of ActionSets, and what its figures say."""

from __future__ import annotations

import pytest

from benchlib import actionsets
from benchlib.actionsets import PODS, SETS, Round, bare_spec, report
from benchlib.figures import Spread
from benchlib.usage import Usage


def used(requests: int = 1800, resident_mib: int = 60) -> Usage:
    return Usage({"GET 200": requests}, 0, 0, 0, 900, 3.0, 2.5, resident_mib * actionsets.MIB)


def rounds(ratio: float) -> list[Round]:
    sides = {PODS: Spread(1.0, 5.0, 10.0), SETS: Spread(1.0, 5.0, 10.0 * ratio)}
    return [Round(sides, used())] * 3


def test_a_bare_pod_has_the_spec_of_a_phase_without_what_the_cluster_has_added() -> None:
    mounts = [{"name": "kube-api-access-x", "mountPath": "/var/run"}, {"name": "tmp"}]
    pod = {
        "spec": {
            "nodeName": "node",
            "tolerations": [{"key": "node.kubernetes.io/not-ready"}],
            "restartPolicy": "Never",
            "volumes": [{"name": "kube-api-access-x"}, {"name": "tmp", "emptyDir": {}}],
            "containers": [{"name": "container", "command": ["exit"], "volumeMounts": mounts}],
        }
    }

    assert bare_spec(pod) == {
        "restartPolicy": "Never",
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "containers": [
            {
                "name": "container",
                "command": ["/bin/sh", "-c", actionsets.OUTPUT],
                "volumeMounts": [{"name": "tmp"}],
            }
        ],
    }


@pytest.mark.parametrize(
    ("alone", "beside", "idle", "more", "within"),
    [
        pytest.param(1.1, 1.15, 0, 12.0, True, id="all as it is wanted"),
        pytest.param(1.3, 1.1, 0, 12.0, False, id="too slow"),
        pytest.param(1.1, 1.3, 0, 12.0, False, id="too slow beside those that have ended"),
        pytest.param(1.1, 1.1, 1, 12.0, False, id="those that have ended cost a request"),
        pytest.param(1.1, 1.1, 0, 21.0, False, id="or too much memory"),
    ],
)
def test_figures_are_within_limits(
    alone: float,
    beside: float,
    idle: int,
    more: float,
    *,
    within: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = report(rounds(alone), rounds(beside), used(idle), more, count=200, ended=10_000)

    assert found["within_limits"] is within
    assert found["requests_each"] == 9.0
    assert f"{alone:.2f} times as long" in capsys.readouterr().out
