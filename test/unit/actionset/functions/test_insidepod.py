"""A data function in the workload's own container."""

from __future__ import annotations

import json

import pytest

from controller.commands import OUTCOME_SECONDS
from controller.errors import Forbidden, ServerUnavailable, TransportError
from controller.rest.podexec import ExecResult
from fakes import placed
from fakes.dataphases import ALPHA, PASSWORD, SHOP, Setting
from reconcilers import resources
from reconcilers.actionset.function import Complete, Failed, Running, Step

ARGUMENTS = {
    "namespace": SHOP,
    "pod": "db-0",
    "container": "db",
    "includePath": "/scratch",
    "backupArtifactPrefix": "bucket/shop",
}
OUTPUT = b'###Phase-output###: {"key": "backupID", "value": "1"}\n'
UNKNOWN = "outcome unknown: "


@pytest.fixture
def setting() -> Setting:
    """Return a workload whose data is on no claim."""
    found = Setting()
    container = placed.container("db", placed.mount("scratch", "/scratch"))
    found.reader.put(resources.PODS, placed.pod(container, volumes={"scratch": {"emptyDir": {}}}))
    return found


def ended(setting: Setting, outcome: ExecResult | Exception) -> Step:
    """Return what comes of a backup whose command ends so."""
    phase = setting.phase("BackupData", ARGUMENTS)
    setting.executor.outcome = outcome
    phase.advance()
    phase.advance()
    setting.run_commands()
    return phase.advance()


def test_that_it_begins_is_stored_before_it_does(setting: Setting) -> None:
    phase = setting.phase("BackupData", ARGUMENTS)

    step = phase.advance()

    assert isinstance(step, Running)
    assert step.memo is not None
    assert list(step.memo) == ["inside", "begun"]
    assert setting.threads == []
    assert phase.advance() == Running()
    assert len(setting.threads) == 1
    assert setting.pods.made == {}


def test_what_it_is_told_goes_over_standard_input(setting: Setting) -> None:
    step = ended(setting, ExecResult(0, OUTPUT, b""))

    assert step == Complete({"backupID": "1"})
    (call,) = setting.executor.calls
    assert call["container"] == (SHOP, "db-0", "db")
    argv = call["argv"]
    assert isinstance(argv, tuple)
    assert argv[-2:] == ("repository-server-functions", "from-stdin")
    assert isinstance(call["stdin"], bytes)
    assert json.loads(call["stdin"]) == {
        "arguments": [
            "run",
            "BackupData",
            f"--function-version={ALPHA}",
            "--root=/",
            "--arg=namespace=shop",
            "--arg=pod=db-0",
            "--arg=container=db",
            "--arg=includePath=/scratch",
            "--arg=backupArtifactPrefix=bucket/shop",
            "--url=https://repo-server-files.backup.svc:51515",
            f"--fingerprint={'f' * 64}",
            "--username=backup",
            "--hostname=app",
        ],
        "environment": {"KOPIA_PASSWORD": PASSWORD},
    }
    assert call["stdin"].endswith(b"\n")


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        pytest.param(
            ExecResult(5, OUTPUT, b"a line\nthe storage is full\n\n"),
            Failed(
                "repository-server-functions in container db of pod db-0 has ended with exit code "
                "5: the storage is full",
                {"backupID": "1"},
            ),
            id="it has failed: the cause is its last line, what it has put out is kept",
        ),
        pytest.param(
            ExecResult(0, b"###Phase-output###: nonsense\n", b""),
            Failed(
                'output 1 is no JSON object of the form {"key": "...", "value": "..."}, both of '
                "them texts, with nothing after it on its line"
            ),
            id="what it has put out cannot be read",
        ),
        pytest.param(
            TransportError("reset by peer"),
            Failed(f"{UNKNOWN}the connection to the container was cut while it ran: reset by peer"),
            id="nobody knows how it goes on",
        ),
        pytest.param(
            ServerUnavailable(500, "InternalError", "container is not running"),
            Failed(
                "container db of pod db-0 has not run it: container is not running (500 "
                "InternalError)"
            ),
            id="the container did not take it",
        ),
    ],
)
def test_how_it_ends(setting: Setting, outcome: ExecResult | Exception, expected: Step) -> None:
    assert ended(setting, outcome) == expected


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(
            ServerUnavailable(500, "InternalError", 'exec: "timeout": executable file not found'),
            id="there is not even a timeout",
        ),
        pytest.param(ExecResult(127, b"", b"timeout: can't execute"), id="as BusyBox says it"),
        pytest.param(
            ExecResult(1, b"", b"timeout: failed to run: No such file or directory"),
            id="in words alone",
        ),
    ],
)
def test_what_is_needed_is_said(setting: Setting, outcome: ExecResult | Exception) -> None:
    step = ended(setting, outcome)

    assert isinstance(step, Failed)
    assert step.message == (
        "/scratch is on volume scratch, which is no claim but emptyDir, so that no other pod can "
        "back it up, and container db of pod db-0 cannot do it either: it has no program "
        "repository-server-functions with Kopia. Put the data on a claim, or use an image that has "
        "both (they are in this controller's image)"
    )


def test_a_result_that_could_not_be_stored_comes_again(setting: Setting) -> None:
    phase = setting.phase("BackupData", ARGUMENTS)
    setting.executor.outcome = ExecResult(0, OUTPUT, b"")
    phase.advance()
    phase.advance()
    setting.run_commands()

    assert phase.advance() == phase.advance() == Complete({"backupID": "1"})
    assert len(setting.executor.calls) == 1


def test_without_the_right_it_is_not_begun_and_tried_again(setting: Setting) -> None:
    phase = setting.phase("BackupData", ARGUMENTS)
    setting.executor.outcome = Forbidden(403, "Forbidden", "no pods/exec")
    phase.advance()
    phase.advance()
    setting.run_commands()

    with pytest.raises(Forbidden):
        phase.advance()

    setting.executor.outcome = ExecResult(0, OUTPUT, b"")
    phase.advance()
    setting.run_commands()
    assert phase.advance() == Complete({"backupID": "1"})


@pytest.mark.parametrize(
    ("repeatable", "expected"),
    [
        pytest.param(
            False,
            Failed(f"{UNKNOWN}the controller was restarted while it ran in a container"),
            id="it is not run twice",
        ),
        pytest.param(
            True, Running(memo={"begun": 1}), id="unless the Blueprint says that it may be"
        ),
    ],
)
def test_another_process_cannot_know_what_came_of_it(
    setting: Setting, repeatable: bool, expected: Step
) -> None:
    phase = setting.phase("BackupData", ARGUMENTS, repeatable=repeatable)
    phase.advance()
    phase.advance()
    setting.restart()

    assert setting.again(phase).advance() == expected


def test_one_that_may_run_twice_is_run_three_times_at_most(setting: Setting) -> None:
    """However often the controller is restarted while it runs."""
    phase = setting.phase("BackupData", ARGUMENTS, repeatable=True)
    for _ in range(9):
        for _ in range(3):
            phase.advance()
        setting.run_commands()
        setting.restart()
        phase = setting.again(phase)

    assert len(setting.executor.calls) == 3
    assert phase.advance() == Failed(
        f"{UNKNOWN}the controller was restarted while it ran in a container"
    )


def test_a_cancel_says_that_it_may_go_on(setting: Setting) -> None:
    phase = setting.phase("BackupData", ARGUMENTS)
    phase.advance()
    phase.advance()
    steps: list[Step] = []
    setting.executor.meanwhile = lambda _deadline: steps.append(phase.cancel())

    setting.run_commands()

    assert steps == [Failed(f"{UNKNOWN}it was given up, and may go on in the container")]


def test_it_runs_once_even_if_nobody_asks_for_its_end_for_long(setting: Setting) -> None:
    """The API server may be away, or the workers behind."""
    phase = setting.phase("BackupData", ARGUMENTS)
    phase.advance()
    phase.advance()
    setting.run_commands()
    setting.clock.step(2 * OUTCOME_SECONDS)

    assert not isinstance(phase.advance(), Running)
    assert setting.threads == []


def test_one_that_is_cancelled_while_it_is_queued_never_runs(setting: Setting) -> None:
    phase = setting.phase("BackupData", ARGUMENTS)
    phase.advance()
    phase.advance()

    assert phase.cancel() == Failed("cancelled before it had begun")
    setting.run_commands()

    assert setting.executor.calls == []


def test_of_several_pods_each_is_a_command_of_its_own(setting: Setting) -> None:
    arguments = {key: value for key, value in ARGUMENTS.items() if key != "pod"}
    phase = setting.phase("BackupDataAll", arguments)
    info = '{"db-0": {"PodName": "db-0", "BackupID": "1", "BackupTag": "t"}}'
    line = json.dumps({"key": "BackupAllInfo", "value": info})
    setting.executor.outcome = ExecResult(0, f"###Phase-output###: {line}\n".encode(), b"")
    for _ in range(3):
        phase.advance()
    setting.run_commands()

    assert phase.advance() == Complete({"BackupAllInfo": info, "version": ALPHA})
