"""What the soak is told, and what it says in the end."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from soaklib import cli, session
from soaklib.clients import Counts
from soaklib.faults import FAULTS
from soaklib.session import Recovery, Soak

if TYPE_CHECKING:
    from soaklib.faults import Scene


def test_the_defaults_are_those_of_the_help() -> None:
    parsed = cli.parse([])

    assert (parsed.minutes, parsed.servers, parsed.name, parsed.keep) == (30.0, 3, "soak", False)
    assert 0 <= parsed.seed < 10_000


def test_a_seed_is_taken_as_it_is() -> None:
    assert cli.parse(["--seed", "7"]).seed == 7


@pytest.mark.parametrize("minutes", ["0", "-1", "soon"])
def test_no_time_at_all_is_refused(minutes: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.parse([f"--minutes={minutes}"])

    assert f"'{minutes}' is no positive number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("samples", "flat"),
    [
        pytest.param([], True, id="a process that was never seen"),
        pytest.param([50.0, 90.0], True, id="one that has only begun"),
        pytest.param([50.0, 90.0, 91.0, 95.0], True, id="one that does each thing once, and stays"),
        pytest.param([50.0, 60.0, 61.0, 70.0, 80.0], False, id="one that grows on"),
    ],
)
def test_memory_is_flat(samples: list[float], flat: bool) -> None:
    assert session.is_flat(samples) is flat


def soak(*, recovery: float | None = 3.0, memory: list[float] | None = None) -> Soak:
    """Build a soak that is over, with two clients."""
    loops: Any = [SimpleNamespace(counts=Counts(done=4, failed=1, restored=3))] * 2
    recoveries = [Recovery("Kopia is killed", "server-0", 0.04, 0.0, recovery)]
    chance = random.Random()  # noqa: S311 - no secret
    return Soak(
        cast("Scene", None),
        loops,
        chance,
        recoveries=recoveries,
        memory={"controller-x 0": memory or [50.0]},
    )


def test_a_soak_in_which_all_came_back_is_well() -> None:
    assert session.figures(soak(), [], 2) == {
        "ok": True,
        "faults": [
            {
                "fault": "Kopia is killed",
                "server": "server-0",
                "at": 0.0,
                "held": 0.0,
                "recovery": 3.0,
            }
        ],
        "backups_done": 8,
        "backups_failed": 2,
        "restores_compared": 6,
        "backups_lost": 0,
        "servers": 2,
        "servers_ready": 2,
        "memory_megabytes": {"controller-x 0": [50.0]},
        "memory_flat": True,
    }


@pytest.mark.parametrize(
    ("of", "lost", "ready"),
    [
        pytest.param(soak(recovery=None), [], 2, id="a fault that is not over by itself"),
        pytest.param(soak(), ["k1"], 2, id="a backup that is lost"),
        pytest.param(soak(), [], 1, id="a server that is not Ready in the end"),
        pytest.param(soak(memory=[1.0, 1.0, 1.0, 99.0]), [], 2, id="memory that grows"),
    ],
)
def test_a_soak_is_not_well_with(of: Soak, lost: list[str], ready: int) -> None:
    assert session.figures(of, lost, ready)["ok"] is False


def test_every_fault_has_a_name_of_its_own() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
