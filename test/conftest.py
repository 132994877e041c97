"""A test that fails because a component of its cluster did shows the end of the component's log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.excinfo is not None and isinstance(call.excinfo.value, ClusterError):
        report.sections.append(("cluster", call.excinfo.value.report()))
    return report
