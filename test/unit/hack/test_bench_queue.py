"""The load on the work queue, in small, and how its figures are shown."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from benchlib import queue, queueload

if TYPE_CHECKING:
    import pytest

FIGURES: dict[str, Any] = {
    "add_ns": 1000.4,
    "get_ns": 2000.0,
    "done_ns": 500.0,
    "at_once": {"wakeups": 1.0, "empty_wakeups": 0.0, "cpu_us": 25.678},
    "delayed": {"wakeups": 2.5, "empty_wakeups": 1.5, "cpu_us": 89.2},
}


def test_each_call_has_a_cost_whatever_the_number_of_workers() -> None:
    costs = queueload.calls(workers=3, batches=6, rounds=1)

    assert set(costs) == {"add_ns", "get_ns", "done_ns"}
    assert all(nanoseconds > 0 for nanoseconds in costs.values())


def test_an_item_wakes_a_worker_at_least() -> None:
    found = queueload.wakeups(workers=3, after=0.0, items=5)

    assert found["wakeups"] >= 1
    assert found["empty_wakeups"] == found["wakeups"] - 1


def test_the_program_prints_one_line_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["queueload", "2"])
    monkeypatch.setattr(queueload, "measure", lambda workers: {"workers": workers})
    lines: list[str] = []

    queueload.main(lines.append)

    assert [json.loads(line) for line in lines] == [{"workers": 2}]


def test_a_table_has_a_column_for_each_number_of_workers() -> None:
    assert queue.table({1: FIGURES, 256: FIGURES}).splitlines() == [
        "                                            1 worker  256 workers",
        "CPU nanoseconds of a call, no worker waits",
        "  add                                           1000         1000",
        "  get                                           2000         2000",
        "  done                                           500          500",
        "  together                                      3500         3500",
        "an item ready at once, all workers sleep",
        "  workers that wake up                          1.00         1.00",
        "  of them without an item                       0.00         0.00",
        "  CPU microseconds                                26           26",
        "an item after 1 ms, all workers sleep",
        "  workers that wake up                          2.50         2.50",
        "  of them without an item                       1.50         1.50",
        "  CPU microseconds                                89           89",
    ]


def test_json_is_rounded() -> None:
    assert queue.rounded(FIGURES)["at_once"]["cpu_us"] == 25.68
