"""KubeExec and KubeExecAll: what is run, once, and what comes of it."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from attrs import evolve

from controller import errors
from controller.clock import DeadlineExceeded
from fakes.executions import WENT_WELL, Result, World, finish
from fakes.phaseruns import NAME, OWN, UID
from reconcilers.actionset.function import Complete, Failed, Running, Step
from reconcilers.actionset.functions import executions, shellscript
from reconcilers.errors import InvalidInput


@pytest.fixture
def world() -> World:
    return World()


ONE = {"namespace": "app", "pod": "db-0", "command": ["pg_dump", "--password", "hunter2"]}
ALL = {
    "namespace": "app",
    "pods": "db-0 db-1",
    "containers": "main tools",
    "command": ["sh", "-c", "sync"],
}
#: The command stands in the request itself.
PLAIN = {"actionset.cr.kanister.io/plain-exec": "true"}


def action_set(annotations: dict[str, str]) -> dict[str, Any]:
    """Return an ActionSet with annotations."""
    metadata = {"namespace": OWN, "name": NAME, "uid": UID, "annotations": annotations}
    return {"metadata": metadata}


class TestOnce:
    """A command runs once, whatever becomes of the process."""

    def test_it_begins_once_the_memo_is_stored(self, world: World) -> None:
        run = world.phase(ONE)

        assert run.advance() == Running(memo={"attempt": 1, "where": "pod app/db-0"})
        assert world.threads == []
        assert run.advance() == Running(waits_for="its command")
        world.run_commands()
        assert [(request.namespace, request.name) for request in world.woken] == [(OWN, NAME)]
        assert run.advance() == Complete()
        assert (len(world.pods.ran), run.rendered) == (1, 1)

    def test_a_result_that_was_not_stored_is_given_again(self, world: World) -> None:
        """The write of the status has failed, however often."""
        run = world.phase(ONE)
        first = finish(world, run)
        world.clock.step(3000)

        assert finish(world, run) == first
        assert len(world.pods.ran) == 1

    def test_a_memo_that_was_not_stored_begins_nothing(self, world: World) -> None:
        run = world.phase(ONE)
        run.advance()
        run.run = evolve(run.run, memo={})

        run.advance()

        assert world.threads == []
        assert finish(world, run) == Complete()
        assert len(world.pods.ran) == 1

    def test_another_process_does_not_know_what_became_of_it(self, world: World) -> None:
        run = world.phase(ONE)
        run.settle()
        world.run_commands()
        world.restart()
        world.go_on(run)

        assert run.advance() == Failed(
            "outcome unknown: actionset-controller was restarted while the command ran in pod"
            " app/db-0; find out what it has done, and set the annotation"
            " actionset.cr.kanister.io/repeatable if the phase may run twice"
        )
        assert len(world.pods.ran) == 1

    def test_one_that_may_run_twice_begins_once_that_of_before_has_ended(
        self, world: World
    ) -> None:
        """Its connection ended with the process, and the command with its connection."""
        run = world.phase(ONE, repeatable=True)
        run.settle()
        world.restart()
        world.go_on(run)

        run.settle()
        assert run.advance() == Running(waits_for="its command of before to end", again_after=10.0)
        assert world.threads == []
        assert finish(world, run) == Complete()

    def test_one_that_may_run_twice_is_run_three_times_at_most(self, world: World) -> None:
        """However often the engine is killed while it runs."""
        run = world.phase(ONE, repeatable=True)
        for _ in range(3):
            run.settle()
            world.clock.step(10.0)
            run.settle()
            world.run_commands()
            world.restart()
            world.go_on(run)

        step = run.settle()

        assert len(world.pods.ran) == 3
        assert isinstance(step, Failed)
        assert step.message.startswith("outcome unknown: actionset-controller was restarted")

    def test_one_that_nobody_asks_for_is_forgotten_and_not_run_again(self, world: World) -> None:
        run = world.phase(ONE)
        finish(world, run)
        world.clock.step(executions.KEPT_SECONDS + 1)
        world.phase(ONE, phase="another").advance()

        step = run.advance()

        assert isinstance(step, Failed)
        assert step.message.startswith("outcome unknown")
        assert len(world.pods.ran) == 1

    def test_nothing_is_kept_of_one_whose_result_nobody_has_asked_for(self, world: World) -> None:
        """Its ActionSet was deleted, for example."""
        run = world.phase(ONE)
        run.settle()
        world.run_commands()
        (outcome,) = world.pods.outcomes
        world.clock.step(executions.KEPT_SECONDS + world.pods.seconds[0] + 1)

        world.phase(ONE, phase="another").advance()

        gc.collect()
        assert outcome() is None


class TestAudit:
    """What stands in the URL of the request, and so in the audit log."""

    def test_it_is_a_script_that_is_always_the_same(self, world: World) -> None:
        finish(world, world.phase(ONE))

        ((_, _, argv, head),) = world.pods.ran
        assert argv == shellscript.ARGV
        assert b"'pg_dump' '--password' 'hunter2'" in head

    def test_a_container_without_a_shell_is_no_reason_to_write_it_there(self, world: World) -> None:
        said = 'exec: "sh": executable file not found in $PATH'
        world.pods.results["db-0", ""] = [errors.ServerUnavailable(500, "InternalError", said)]

        assert finish(world, world.phase(ONE)) == Failed(
            "the command was not run in pod app/db-0: it has no sh, which reads the command from"
            " its input, so that the audit log does not have it. Use an image with sh, or KubeTask;"
            ' or set the annotation actionset.cr.kanister.io/plain-exec: "true", if the command has'
            " no secret"
        )

    def test_unless_the_user_says_so(self, world: World) -> None:
        finish(world, world.phase(ONE, action_set=action_set(PLAIN)))

        ((_, _, argv, head),) = world.pods.ran
        assert (argv, head) == (tuple(ONE["command"]), b"")


OUTPUT = b'log\n###Phase-output###: {"key": "size", "value": "7"}\n'


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        pytest.param(WENT_WELL, Complete(), id="no outputs are null, as Kanister's"),
        pytest.param((0, OUTPUT, b""), Complete({"size": "7"}), id="an output"),
        pytest.param((0, b"", OUTPUT), Complete(), id="an output on standard error is none"),
        pytest.param(
            (0, b"###Phase-output###: {broken\n", b""),
            Failed(
                'pod app/db-0: output 1 is no JSON object of the form {"key": "...", "value":'
                ' "..."}, both of them texts, with nothing after it on its line'
            ),
            id="a broken output",
        ),
        pytest.param(
            (3, OUTPUT, b"one\n\nlast words\n"),
            Failed(
                "command terminated with exit code 3 in pod app/db-0; its last lines: one\nlast"
                " words"
            ),
            id="an exit code, with the errors",
        ),
        pytest.param(
            (1, b"said here\n", b""),
            Failed(
                "command terminated with exit code 1 in pod app/db-0; its last lines: said here"
            ),
            id="an exit code, with the output if there are no errors",
        ),
        pytest.param(
            (1, b"", b""),
            Failed("command terminated with exit code 1 in pod app/db-0"),
            id="an exit code alone",
        ),
        pytest.param(
            errors.NotFound(404, "NotFound", 'pods "db-0" not found'),
            Failed('the command was not run in pod app/db-0: pods "db-0" not found'),
            id="no such pod",
        ),
        pytest.param(
            (127, b"", b"executable file `sh` not found in $PATH: No such file or directory"),
            Failed(
                "the command was not run in pod app/db-0: it has no sh, which reads the command"
                " from its input, so that the audit log does not have it. Use an image with sh, or"
                ' KubeTask; or set the annotation actionset.cr.kanister.io/plain-exec: "true", if'
                " the command has no secret"
            ),
            id="no shell, in the words of crun",
        ),
    ],
)
def test_what_comes_of_it(world: World, result: Result, expected: Complete | Failed) -> None:
    world.pods.results["db-0", ""] = [result]

    assert finish(world, world.phase(ONE)) == expected


LOST = errors.TransportError("the connection was reset: hunter2")
UNKNOWN = (
    "outcome unknown: pod app/db-0: {why}; find out what it has done, and set the annotation"
    " actionset.cr.kanister.io/repeatable if the phase may run twice"
)


@pytest.mark.parametrize(
    ("result", "why"),
    [
        pytest.param(
            LOST, "the connection to the container was lost while the command ran", id="lost"
        ),
        pytest.param(
            errors.ServerUnavailable(502, "", "bad gateway"),
            "the connection to the container was lost while the command ran",
            id="a proxy",
        ),
        pytest.param(
            DeadlineExceeded("passed"), "the command did not end in 86400 s", id="out of time"
        ),
    ],
)
class TestUnknown:
    """It may have run, or half of it."""

    def test_it_fails(self, world: World, result: Exception, why: str) -> None:
        world.pods.results["db-0", ""] = [result]

        assert finish(world, world.phase(ONE)) == Failed(UNKNOWN.format(why=why))
        assert len(world.pods.ran) == 1

    def test_it_is_tried_again_if_it_may_run_twice(
        self, world: World, result: Exception, why: str
    ) -> None:
        world.pods.results["db-0", ""] = [result, WENT_WELL]

        assert finish(world, world.phase(ONE, repeatable=True)) == Complete()
        assert len(world.pods.ran) == 2

    def test_not_for_ever(self, world: World, result: Exception, why: str) -> None:
        world.pods.results["db-0", ""] = [result]

        step = finish(world, world.phase(ONE, repeatable=True))

        assert step == Failed(UNKNOWN.format(why=why))
        assert len(world.pods.ran) == 3


def test_a_fault_of_ours_does_not_run_it_again(world: World, logged: list[Any]) -> None:
    world.pods.results["db-0", ""] = [ZeroDivisionError()]

    assert finish(world, world.phase(ONE)) == Failed(
        UNKNOWN.format(
            why="actionset-controller failed while the command ran (ZeroDivisionError); see its log"
        )
    )
    assert len(world.pods.ran) == 1
    assert [line["event"] for line in logged] == ["a command of a phase failed"]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(errors.TransportError("x", refused=True), id="no server listens"),
        pytest.param(errors.TooManyRequests(429, "", "later"), id="the server sheds load"),
        pytest.param(
            errors.Forbidden(403, "Forbidden", "no pods/exec"),
            id="the engine lacks the right, which somebody may give",
        ),
    ],
)
def test_what_certainly_was_not_begun_is_begun_later(world: World, error: Exception) -> None:
    world.pods.results["db-0", ""] = [error, WENT_WELL]
    run = world.phase(ONE)
    run.settle()
    world.run_commands()

    with pytest.raises(type(error)):
        run.advance()

    assert finish(world, run) == Complete()


class TestAll:
    """Each container in each pod."""

    def test_they_run_at_once_up_to_a_limit(self, world: World) -> None:
        world.limit = 3
        world.restart()
        run = world.phase(ALL)

        assert run.settle() == Running(waits_for="its command in 4 of 4 containers")
        assert len(world.threads) == 3
        world.run_commands()
        assert run.advance() == Running(waits_for="its command in 1 of 4 containers")
        world.run_commands()
        assert run.advance() == Complete()
        assert {(pod, container) for pod, container, _, _ in world.pods.ran} == {
            (pod, container) for pod in ("db-0", "db-1") for container in ("main", "tools")
        }

    def test_outputs_are_merged_in_the_order_of_the_containers(self, world: World) -> None:
        def output(key: str, value: str) -> list[Result]:
            line = f'###Phase-output###: {{"key": "{key}", "value": "{value}"}}'
            return [(0, line.encode(), b"")]

        world.pods.results = {
            ("db-1", "tools"): output("same", "last"),
            ("db-0", "main"): output("same", "first"),
            ("db-0", "tools"): output("other", "1"),
        }

        assert finish(world, world.phase(ALL)) == Complete({"same": "last", "other": "1"})

    def test_a_failure_is_named_and_the_rest_is_kept(self, world: World) -> None:
        world.pods.results = {
            ("db-0", "main"): [(0, OUTPUT, b"")],
            ("db-0", "tools"): [(1, OUTPUT, b"no space left\n")],
            ("db-1", "main"): [errors.NotFound(404, "NotFound", "no such pod")],
        }

        assert finish(world, world.phase(ALL)) == Failed(
            "command terminated with exit code 1 in container tools of pod app/db-0; its last"
            " lines: no space left; the command was not run in container main of pod app/db-1: no"
            " such pod",
            {"size": "7"},
        )
        assert len(world.pods.ran) == 4

    def test_a_container_that_is_named_twice_gets_it_once(self, world: World) -> None:
        finish(world, world.phase(ALL | {"pods": "db-0 db-0", "containers": "main main"}))

        assert len(world.pods.ran) == 1


class TestCancel:
    """A cancelled command ends before the phase does."""

    def test_one_that_has_not_begun(self, world: World) -> None:
        run = world.phase(ONE)
        run.advance()

        assert run.function.cancel(run.run) == Failed("cancelled; its command was ended")

    def test_one_that_another_process_has_begun_ended_with_it(self, world: World) -> None:
        run = world.phase(ONE)
        run.settle()
        world.restart()
        world.go_on(run)

        assert run.function.cancel(run.run) == Failed("cancelled; its command was ended")

    @pytest.mark.parametrize(
        "annotations",
        [
            pytest.param({}, id="with a shell"),
            pytest.param(PLAIN, id="without one, so that nothing could end it"),
        ],
    )
    def test_one_that_is_queued_never_runs(self, world: World, annotations: dict[str, str]) -> None:
        run = world.phase(ONE, action_set=action_set(annotations))
        run.settle()

        assert run.function.cancel(run.run) == Failed("cancelled; its command was ended")
        world.run_commands()

        assert world.pods.ran == []

    def test_one_that_runs_is_told_to_end(self, world: World) -> None:
        run = world.phase(ONE)
        run.settle()
        steps: list[Step] = []
        world.pods.meanwhile = lambda: steps.append(run.function.cancel(run.run))

        world.run_commands()

        (waits,) = steps
        assert isinstance(waits, Running)
        assert waits.again_after == 1.0
        assert run.function.cancel(run.run) == Failed("cancelled; its command was ended")

    def test_one_whose_container_does_not_answer_is_given_up(self, world: World) -> None:
        run = world.phase(ONE)
        run.settle()
        steps: list[Step] = []

        def hang() -> None:
            steps.append(run.function.cancel(run.run))
            world.clock.step(executions.END_SECONDS)
            steps.append(run.function.cancel(run.run))

        world.pods.meanwhile = hang
        world.run_commands()

        assert isinstance(steps[0], Running)
        assert steps[1] == Failed(
            "cancelled; its command was told to end, and the container has not answered: see"
            " whether it still runs"
        )


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [
        pytest.param(None, 24 * 3600, id="a day where nothing is said"),
        pytest.param(90.0, 150, id="the annotation, which the engine holds, and some more"),
    ],
)
def test_no_command_is_without_a_limit(world: World, timeout: float | None, seconds: float) -> None:
    finish(world, world.phase(ONE, timeout=timeout))

    assert world.pods.seconds == [seconds]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(
            ONE | {"namespace": "other"},
            "argument namespace is other: a phase acts only in the namespace of the action's"
            " object, app, and in that of the ActionSet, kanister; use one of them",
            id="somebody else's pod",
        ),
        pytest.param(
            ONE | {"pod": "../../kanister/pods/x"},
            "the name of a pod in the arguments is no name that an object can have; check what its"
            " template renders",
            id="a path",
        ),
        pytest.param(
            ONE | {"command": ["", "hunter2"]},
            "argument command begins with an empty text; set it to a program",
            id="no program",
        ),
        pytest.param(
            ONE | {"command": ["echo", "hunter2\0"]},
            "argument command has a NUL in it, which no argument of a program can; remove it",
            id="a NUL",
        ),
    ],
)
def test_what_cannot_be_run_is_refused(world: World, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        world.phase(given).advance()

    assert refused.value.message == message


def test_no_representation_has_the_command(world: World) -> None:
    run = world.phase(ONE)
    run.settle()
    (phase,) = world.executions._phases.values()  # noqa: SLF001 - nothing else holds it

    assert "hunter2" not in repr(phase)
