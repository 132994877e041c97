"""The status has the version of Kopia of the pod that it names, or none."""

from __future__ import annotations

import pytest

from fakes import objects
from reconcilers.repositoryserver.status.conditions import Outcome, desired_status


@pytest.mark.parametrize(
    ("before", "pod_name", "found", "expected"),
    [
        pytest.param({}, "a", "1.0", "1.0", id="what was read is written"),
        pytest.param({}, "a", "", None, id="what is not known is not written"),
        pytest.param({"podName": "a", "kopiaVersion": "1.0"}, "a", "", "1.0", id="it is kept"),
        pytest.param({"podName": "a", "kopiaVersion": "1.0"}, "a", "2", "2", id="it is replaced"),
        pytest.param(
            {"podName": "a", "kopiaVersion": "1.0"}, "b", "", None, id="that of another pod goes"
        ),
        pytest.param(
            {"podName": "a", "kopiaVersion": "1.0"}, "b", "2", "2", id="that of a new pod is known"
        ),
        pytest.param(
            {"podName": "a", "kopiaVersion": "1.0"}, "", "", "1.0", id="no pod is known, both stay"
        ),
        pytest.param({"kopiaVersion": "1.0"}, "a", "", None, id="it was of nobody knows which pod"),
    ],
)
def test_the_version(
    before: dict[str, str], pod_name: str, found: str, expected: str | None
) -> None:
    outcome = Outcome((), available=True, pod_name=pod_name, kopia_version=found)

    after = desired_status({"serverInfo": before}, outcome, generation=1, now=objects.NOW)

    assert after["serverInfo"].get("kopiaVersion") == expected
