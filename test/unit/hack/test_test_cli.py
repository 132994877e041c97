"""Which stages `hack/test` runs, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clusterlib.errors import ClusterError
from testlib import cli, cluster, templates
from testlib.cli import Timing
from testlib.interruption import Foreground, Interrupted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ALL = ["gate", "unit", "integration", "e2e"]


@pytest.fixture(autouse=True)
def nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep Go out of tests of stages."""
    monkeypatch.setattr(templates, "build", lambda: None)


@pytest.mark.parametrize(
    ("arguments", "stages", "pytest_arguments"),
    [
        pytest.param([], ALL, [], id="none: all stages"),
        pytest.param(["unit"], ["unit"], [], id="one alone"),
        pytest.param(["e2e", "gate"], ["gate", "e2e"], [], id="two run in their own order"),
        pytest.param(["unit", "--", "-k", "x"], ["unit"], ["-k", "x"], id="the rest is pytest's"),
        pytest.param(["--", "-x"], ALL, ["-x"], id="pytest's alone"),
        pytest.param(["--", "-k", "--"], ALL, ["-k", "--"], id="only the first -- is ours"),
    ],
)
def test_the_arguments_name_the_stages(
    arguments: list[str], stages: list[str], pytest_arguments: list[str]
) -> None:
    parsed = cli.parse(arguments)

    assert parsed.stages == stages
    assert parsed.pytest == pytest_arguments


def test_an_unknown_stage_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        cli.parse(["units"])

    assert raised.value.code == 2
    assert "no stage 'units'" in capsys.readouterr().err


class TestRun:
    """The outcome of a run of the stages a, b and c."""

    @staticmethod
    def run(outcome_of_b: bool | BaseException) -> tuple[list[str], int, str]:
        def stage(name: str) -> bool:
            if name == "b" and isinstance(outcome_of_b, BaseException):
                raise outcome_of_b
            return name != "b" or outcome_of_b is True

        timings = [Timing(name) for name in "abc"]
        code, words = cli.run_stages(timings, stage)
        return [timing.outcome for timing in timings], code, words

    def test_all_pass(self) -> None:
        assert self.run(outcome_of_b=True) == (["passed", "passed", "passed"], 0, "passed")

    def test_a_failure_is_the_end_and_says_what_to_run_next(self) -> None:
        outcomes, code, words = self.run(outcome_of_b=False)

        assert outcomes == ["passed", "FAILED", "not run"]
        assert code == 1
        assert "hack/test b -- " in words

    def test_a_stage_that_cannot_run_has_failed(self, capsys: pytest.CaptureFixture[str]) -> None:
        outcomes, code, _ = self.run(ClusterError("no network"))

        assert outcomes == ["passed", "FAILED", "not run"]
        assert code == 1
        assert "error: no network" in capsys.readouterr().err

    @pytest.mark.parametrize("interruption", [Interrupted(), KeyboardInterrupt()])
    def test_an_interruption_is_no_failure_of_the_tests(self, interruption: BaseException) -> None:
        outcomes, code, words = self.run(interruption)

        assert outcomes[2] == "not run"
        assert code == 130
        assert words == "interrupted in b"


class Scripted(Foreground):
    """Runs nothing: pytest ends with the codes that it is given, one after the other."""

    def __init__(self, codes: Sequence[int]) -> None:
        super().__init__()
        self.codes = list(codes)
        self.commands: list[str] = []

    def run(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> int:
        self.commands.append(" ".join(command))
        return self.codes.pop(0)


class TestRunsOfAStage:
    """What comes of the two runs of pytest that make the end-to-end tests."""

    @staticmethod
    def run(monkeypatch: pytest.MonkeyPatch, *codes: int) -> tuple[bool, list[str]]:
        foreground = Scripted(codes)
        monkeypatch.setattr(cli, "Foreground", lambda: foreground)
        monkeypatch.setenv(cluster.KUBECONFIG, "mine")
        return cli.Stages([]).run("e2e"), foreground.commands

    @pytest.mark.parametrize(
        ("codes", "passed"),
        [
            pytest.param((0, 0), True, id="both pass"),
            pytest.param((0, 5), True, id="no test that was asked for is to run alone"),
            pytest.param((5, 0), True, id="all that were asked for are to run alone"),
            pytest.param((5, 5), False, id="there is no such test"),
            pytest.param((1, 0), False, id="one fails beside others, and those alone run still"),
            pytest.param((0, 1), False, id="one fails alone"),
            pytest.param((1, 5), False, id="the only one fails"),
        ],
    )
    def test_both_run(
        self, monkeypatch: pytest.MonkeyPatch, codes: tuple[int, int], *, passed: bool
    ) -> None:
        outcome, commands = self.run(monkeypatch, *codes)

        assert outcome is passed
        side_by_side, alone = commands
        assert "--numprocesses=" in side_by_side
        assert "-m not alone" in side_by_side
        assert "--numprocesses=" not in alone
        assert alone.endswith("-m alone")

    @pytest.mark.parametrize("code", [2, 3, 4])
    def test_what_is_no_outcome_of_tests_is_the_end(
        self, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        """An interruption, also by `-x`, a fault in pytest, a wrong argument."""
        outcome, commands = self.run(monkeypatch, code)

        assert not outcome
        assert len(commands) == 1


def test_on_a_users_cluster_integration_tests_run_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    foreground = Scripted([0])
    monkeypatch.setattr(cli, "Foreground", lambda: foreground)
    monkeypatch.setenv(cluster.KUBECONFIG, "mine")

    assert cli.Stages([]).run("integration")
    assert "--numprocesses" not in foreground.commands[0]


def test_the_tests_do_not_see_a_proxy_that_downloads_go_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[Mapping[str, str]] = []

    class Recorded(Foreground):
        def run(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> int:
            ran.append(environment)
            return 0

    monkeypatch.setattr(cli, "Foreground", Recorded)
    for name in ("HTTPS_PROXY", "http_proxy", "GOPROXY"):
        monkeypatch.setenv(name, "http://proxy.example")

    assert cli.Stages([]).run("unit")

    (environment,) = ran
    assert [name for name in environment if "proxy" in name.lower()] == ["GOPROXY"]


def test_the_summary_has_a_line_for_each_stage() -> None:
    timings = [Timing("unit", "passed", 12.34), Timing("integration")]

    assert cli.summary(timings).splitlines() == [
        "",
        "  unit           12.3 s  passed",
        "  integration            not run",
    ]
