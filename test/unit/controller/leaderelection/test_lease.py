"""The terms of a Lease, and who stands for it."""

from __future__ import annotations

import socket

import pytest

from controller.leaderelection.lease import LeaseTerms, new_identity


def test_identities_are_unique_and_name_the_host() -> None:
    first, second = new_identity(), new_identity()

    assert first != second
    assert first.startswith(f"{socket.gethostname()}_")


@pytest.mark.parametrize(
    ("times", "problem"),
    [
        pytest.param((15, 10.0, 2.0), "", id="the defaults"),
        pytest.param(
            (10, 10.0, 2.0),
            r"the lease duration \(10 s\) must be above the renew deadline \(10 s\)",
            id="a leader must give up before others take over",
        ),
        pytest.param(
            (15, 2.4, 2.0),
            r"the renew deadline \(2.4 s\) must be above 1.2 times the retry period \(2 s\)",
            id="a leader must be able to try twice",
        ),
        pytest.param(
            (15, 10.0, 0.0),
            r"the retry period \(0 s\) must be above 0",
            id="a period of zero would be a busy loop",
        ),
    ],
)
def test_terms(times: tuple[int, float, float], problem: str) -> None:
    if not problem:
        assert LeaseTerms("backup", "controller", *times).full_name == "backup/controller"
        return
    with pytest.raises(ValueError, match=problem):
        LeaseTerms("backup", "controller", *times)
