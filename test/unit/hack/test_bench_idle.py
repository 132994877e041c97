"""When a controller counts as idle, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from benchlib import idle, usage
from benchlib.exposition import Metrics
from fakes.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTHING = usage.Usage(
    requests={},
    renewals=60,
    watches=2,
    execs=0,
    reconciles=0,
    reconcile_seconds=0.0,
    cpu_seconds=0.1,
    resident_bytes=2**26,
)


@pytest.mark.parametrize(
    ("status", "searched"),
    [
        pytest.param({}, False, id="nothing is known yet"),
        pytest.param({"progress": "Ready"}, False, id="a Ready server is searched later"),
        pytest.param({"progress": "Ready", "repositoryUsers": 0}, True, id="nobody was found"),
        pytest.param({"progress": "Ready", "repositoryUsers": 2}, True, id="users were found"),
    ],
)
def test_a_repository_was_searched_once_the_status_says_how_many_users_it_has(
    status: dict[str, Any], *, searched: bool
) -> None:
    assert idle.is_searched({"status": status}) is searched
    assert not idle.is_searched({})


def pages(clock: FakeClock, reconciled_at: list[float]) -> Iterator[Metrics]:
    """Return what the controller shows whenever it is asked."""
    while True:
        count = sum(at <= clock.monotonic() for at in reconciled_at)
        yield Metrics(f"{usage.RECONCILES} {count}")


@pytest.mark.parametrize(
    ("reconciled_at", "settled_at"),
    [
        pytest.param([], 35.0, id="nothing happens"),
        pytest.param([2.0], 40.0, id="the last reconcile of the start"),
        pytest.param([2.0, 32.0], 70.0, id="what was put off for half a minute is waited for"),
        pytest.param(
            [float(at) for at in range(0, 1000, 20)], 300.0, id="one that never rests is measured"
        ),
    ],
)
def test_a_controller_is_idle_once_nothing_has_happened_for_longer_than_it_puts_things_off(
    reconciled_at: list[float], settled_at: float
) -> None:
    clock = FakeClock()
    started = clock.monotonic()
    shown = pages(clock, [started + at for at in reconciled_at])

    idle.settled(lambda: next(shown), clock.step, clock.monotonic)

    assert clock.monotonic() - started == settled_at


@pytest.mark.parametrize(
    ("used", "within"),
    [
        pytest.param(NOTHING, True, id="renewals of the lease and watches are no requests"),
        pytest.param(replace(NOTHING, requests={"GET 200": 1}), False, id="one request"),
        pytest.param(replace(NOTHING, execs=1), False, id="one command in a pod"),
    ],
)
def test_no_request_is_wanted(used: usage.Usage, *, within: bool) -> None:
    assert idle.report(used, 12, 120.0)["within_limits"] is within
