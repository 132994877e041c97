"""How long tests may take, and what those show that fail because a component of a cluster did."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from clusterlib.errors import ClusterError
from sidebyside import OneByOne

if TYPE_CHECKING:
    from collections.abc import Generator


# The same examples in each run, and as long as a busy machine takes for one: by itself Hypothesis
# draws others each time, and fails a test of which one takes 0.2 s.
settings.register_profile(
    "tests", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")

# Seconds for what waits for several things of a cluster. Each wait has its own limit, whose failure
# says more, and on a busy machine they add up to more than the limit of other tests.
STUCK_AFTER = {"integration": 300, "e2e": 600}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        seconds = STUCK_AFTER.get(item.path.relative_to(Path(__file__).parent).parts[0])
        if seconds is not None and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(seconds))


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> OneByOne | None:
    """Have tests that share nothing go to whichever process is free."""
    return OneByOne(config, log) if config.getvalue("dist") == "loadscope" else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.excinfo is not None and isinstance(call.excinfo.value, ClusterError):
        report.sections.append(("cluster", call.excinfo.value.report()))
    return report
