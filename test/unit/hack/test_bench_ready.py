"""What is said of servers beside bare pods and bare ReplicaSets."""

from __future__ import annotations

import pytest

from benchlib import objects, ready
from benchlib.figures import Spread
from benchlib.ready import Round
from benchlib.usage import Usage

USED = Usage(
    requests={"PATCH 200": 84, "GET 200": 24},
    renewals=1,
    watches=0,
    execs=0,
    reconciles=60,
    reconcile_seconds=1.5,
    cpu_seconds=0.4,
    resident_bytes=2**26,
)
STEPS = {name: Spread(1.0, 2.0, 3.0) for name in ready.STEPS.values()}


def a_round(pods: float, replica_sets: float, servers: float) -> Round:
    lasts = {
        objects.PODS: pods,
        objects.REPLICA_SETS: replica_sets,
        objects.SERVERS: servers,
    }
    return Round({key: Spread(1.0, 2.0, last) for key, last in lasts.items()}, STEPS, USED)


def test_each_ratio_is_the_median_of_those_of_the_rounds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rounds = [a_round(5.0, 5.0, 10.0), a_round(5.0, 6.0, 6.0), a_round(10.0, 10.0, 11.0)]

    told = ready.report(rounds, 12)

    assert told["to_replica_sets"] == {"ratio": 1.1, "limit": 1.1, "rounds": [2.0, 1.0, 1.1]}
    assert told["to_pods"] == {"ratio": 1.2, "limit": 1.35, "rounds": [2.0, 1.2, 1.1]}
    assert told["replica_sets"] == {"first": 1.0, "median": 2.0, "last": 6.0}
    printed = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "round 2 5.00 6.00 6.00 1.00 1.20" in printed
    assert "took 1.10 times as long as the last bare ReplicaSet (at most 1.1 is wanted)" in printed
    assert "and 1.20 times as long as the last bare pod (at most 1.35 is wanted)." in printed


@pytest.mark.parametrize(
    ("found", "within"),
    [
        pytest.param(a_round(10.0, 12.0, 13.0), True, id="both limits are met"),
        pytest.param(a_round(10.0, 12.0, 13.3), False, id="slower than the ReplicaSets allow"),
        pytest.param(a_round(10.0, 12.7, 13.6), False, id="slower than the pods allow"),
        pytest.param(a_round(100.0, 100.0, 110.0), True, id="a limit itself is met"),
    ],
)
def test_whoever_is_slower_than_one_of_the_limits_is_not_within_them(
    found: Round, *, within: bool
) -> None:
    assert ready.report([found], 12)["within_limits"] is within


def test_each_side_goes_first_second_and_third_equally_often() -> None:
    orders = [ready.order(number) for number in range(1, 4)]

    assert [sorted(order) for order in orders] == [sorted(ready.SIDES)] * 3
    for place in range(3):
        assert sorted(order[place] for order in orders) == sorted(ready.SIDES)
