"""What the work queue costs: its calls in nanoseconds, and how many workers wake up for an item.

Needs no cluster: `benchlib.queueload` loads the queue of this checkout, in a process of its own for
each number of workers.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any, Final

from benchlib.figures import columns
from clusterlib.errors import ClusterError
from clusterlib.progress import Progress
from testlib.environment import Environment, variables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WORKERS: Final = (1, 10, 256)
PROGRAM: Final = ("-m", "benchlib.queueload")

FAILED: Final = "the queue could not be measured with {workers} workers:\n{output}"

CALLS: Final = {"add": "add_ns", "get": "get_ns", "done": "done_ns"}
SLEEPING: Final = {"an item ready at once": "at_once", "an item after 1 ms": "delayed"}
COSTS: Final = {
    "workers that wake up": ("wakeups", 2),
    "of them without an item": ("empty_wakeups", 2),
    "CPU microseconds": ("cpu_us", 0),
}


def measure() -> dict[str, Any]:
    """Measure, and print what was found.

    Returns:
        The figures for JSON, by the number of workers.

    Raises:
        ClusterError: The queue could not be measured.
    """
    environment = Environment()
    environment.make()
    progress = Progress(len(WORKERS))
    found: dict[int, dict[str, Any]] = {}
    for workers in WORKERS:
        with progress.step(f"measuring with {_counted(workers)}"):
            found[workers] = _run(environment, workers)
    print(f"\n{table(found)}")
    return {str(workers): rounded(figures) for workers, figures in found.items()}


def table(found: Mapping[int, Mapping[str, Any]]) -> str:
    """Return the figures as a table with a column for each number of workers."""
    each = list(found.values())
    rows: list[tuple[str, Sequence[str]]] = [
        ("CPU nanoseconds of a call, no worker waits", [""] * len(each))
    ]
    rows += [(f"  {name}", [f"{one[key]:.0f}" for one in each]) for name, key in CALLS.items()]
    rows.append(("  together", [f"{sum(one[key] for key in CALLS.values()):.0f}" for one in each]))
    for title, case in SLEEPING.items():
        rows.append((f"{title}, all workers sleep", [""] * len(each)))
        rows += [
            (f"  {name}", [f"{one[case][key]:.{digits}f}" for one in each])
            for name, (key, digits) in COSTS.items()
        ]
    return columns([_counted(workers) for workers in found], rows)


def rounded(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures with as many digits as mean something."""
    return {
        key: rounded(value) if isinstance(value, dict) else round(value, 2)
        for key, value in figures.items()
    }


def _counted(workers: int) -> str:
    return "1 worker" if workers == 1 else f"{workers} workers"


def _run(environment: Environment, workers: int) -> dict[str, Any]:
    result = subprocess.run(
        [environment.program("python"), *PROGRAM, str(workers)],
        env=variables(dict(os.environ), environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise ClusterError(FAILED.format(workers=workers, output=result.stderr))
    figures: dict[str, Any] = json.loads(result.stdout)
    return figures
