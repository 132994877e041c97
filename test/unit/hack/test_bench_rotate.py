"""What is told of changed passwords."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchlib import rotate
from benchlib.client import Server
from benchlib.figures import Spread

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., subprocess.CompletedProcess[str]]

# Stands for Kopia, which refuses a client as often as a file has lines.
KOPIA = """\
grep -q . "$HERE/refusals" || exit 0
sed -i 1d "$HERE/refusals"
exit 1
"""


def test_the_worst_change_and_the_time_of_each_of_many_users_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = rotate.report(Spread.of([1.0, 2.0, 5.0]), 4.0, users=50)

    assert told["seconds"] == {"first": 1.0, "median": 2.0, "last": 5.0}
    assert told["milliseconds_per_user"] == 8.0
    assert "8.0 ms a user" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "within"),
    [
        pytest.param([0.5, 0.9, 2.9], True, id="less than a second, and three at worst"),
        pytest.param([0.5, 1.0, 2.9], False, id="a second at the median is too much"),
        pytest.param([0.5, 0.9, 3.0], False, id="so are three once"),
    ],
)
def test_the_median_and_the_worst_are_limited(seconds: list[float], *, within: bool) -> None:
    assert rotate.report(Spread.of(seconds), 1.0, users=1)["within_limits"] is within


@pytest.mark.parametrize(
    ("refusals", "said", "code"),
    [
        pytest.param(3, "refused", 0, id="the change is accepted in the end"),
        pytest.param(0, "accepted before the change", 1, id="nothing was changed"),
    ],
)
def test_a_client_is_refused_before_it_is_accepted(
    run_script: Run, tmp_path: Path, refusals: int, said: str, code: int
) -> None:
    (tmp_path / "refusals").write_text("once\n" * refusals)
    server = Server("server-00", "service.bench.svc", "ab" * 32, "backup")

    ran = run_script(
        rotate.CLIENT, {"kopia": KOPIA}, "password\n", *server.arguments("here", "client-0")
    )

    assert (ran.stdout.strip(), ran.returncode) == (said, code)
    assert (tmp_path / "refusals").read_text() == ""
