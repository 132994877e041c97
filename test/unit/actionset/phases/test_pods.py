"""The pod of a phase: made once, followed, read at its end, and removed once that is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attrs import evolve

from controller.errors import Forbidden, Invalid, NotFound
from fakes.apiclient import Action
from fakes.phases import APP, Object, phase_run, state, wanted
from fakes.phaseworld import OUTPUT, PhaseWorld
from fakes.podlogs import Opened, stamped
from reconcilers import resources
from reconcilers.actionset.function import Complete, Failed, Progress, Running
from reconcilers.actionset.phases import names
from reconcilers.actionset.phases.follower import LONG_LOG
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from reconcilers.actionset.phases.model import PodResult

NAME = names.pod_name(phase_run())
POD = f"shop/{NAME}"
NOT_FOUND = NotFound(404, "NotFound", "no such thing")


@pytest.fixture
def world() -> PhaseWorld:
    return PhaseWorld()


def memo(world: PhaseWorld) -> Object:
    return dict(world.run.memo)


def actions(world: PhaseWorld) -> list[tuple[str, str]]:
    return [(one.verb, one.resource) for one in world.client.taken()]


class TestStart:
    """It is made once."""

    def test_the_first_call_makes_it(self, world: PhaseWorld) -> None:
        step = world.advance()

        uid = world.only_pod()["metadata"]["uid"]
        expected = {"namespace": APP, "pod": NAME, "uid": uid}
        assert step == Running(f"pod {POD} is starting", memo=expected)
        assert actions(world) == [("create", "pods")]
        assert world.followed == {APP}, "before it was made, so that the cache shows it at once"

    def test_one_that_was_made_before_a_kill_is_taken_over(self, world: PhaseWorld) -> None:
        world.advance()
        world.remember({})
        world.client.taken()

        world.advance()

        assert actions(world) == [("create", "pods"), ("get", "pods")]
        assert memo(world)["uid"] == world.only_pod()["metadata"]["uid"]

    def test_somebody_elses_of_that_name_is_left_alone(self, world: PhaseWorld) -> None:
        other = {"metadata": {"namespace": APP, "name": NAME, "labels": {"app": "x"}}}
        world.client.put(resources.PODS, other)

        assert world.advance() == Failed(
            f"there is a pod {POD} already, which is none of this ActionSet; delete it and run the "
            "action again"
        )
        assert world.only_pod()["metadata"]["labels"] == {"app": "x"}

    def test_its_secret_follows_it(self, world: PhaseWorld) -> None:
        world.pod = wanted(secret={"password": b"x"})

        world.advance()

        assert actions(world) == [("create", "pods"), ("create", "secrets")]
        secret = world.client.store(resources.SECRETS).get(APP, NAME)
        assert secret is not None
        (owner,) = secret["metadata"]["ownerReferences"]
        assert owner["uid"] == world.only_pod()["metadata"]["uid"]

    def test_a_secret_that_is_there_was_made_before_a_kill(self, world: PhaseWorld) -> None:
        world.pod = wanted(secret={"password": b"x"})
        world.advance()
        world.remember({})

        assert isinstance(world.advance(), Running)

    def test_a_secret_of_somebody_else_is_not_used(self, world: PhaseWorld) -> None:
        """It could have the pod send the data of the application to another server."""
        world.pod = wanted(secret={"url": b"https://ours"})
        evil = {"metadata": {"namespace": APP, "name": NAME}, "data": {"url": "ZXZpbA=="}}
        world.client.put(resources.SECRETS, evil)

        assert world.advance() == Failed(
            f"there is a Secret {POD} already, which is none of this ActionSet; delete it and run "
            "the action again"
        )
        assert world.client.store(resources.PODS).list() == []

    def test_a_namespace_that_asks_for_it_gets_a_restricted_one(self, world: PhaseWorld) -> None:
        message = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot'

        def admit(_resource: object, pod: Object) -> None:
            if "runAsNonRoot" not in pod["spec"]["securityContext"]:
                raise Forbidden(403, "Forbidden", message)

        world.client.admission = admit

        assert isinstance(world.advance(), Running)
        assert world.only_pod()["spec"]["securityContext"]["runAsNonRoot"] is True

    def test_another_refusal_is_raised_and_tried_again(self, world: PhaseWorld) -> None:
        refusal = Forbidden(403, "Forbidden", "exceeded quota: pods")
        world.client.failures[Action("create", "pods", NAME)] = refusal

        with pytest.raises(Forbidden, match="exceeded quota"):
            world.advance()

        world.client.failures.clear()
        assert isinstance(world.advance(), Running)

    @pytest.mark.parametrize(
        ("error", "words"),
        [
            pytest.param(NOT_FOUND, "namespace shop does not exist", id="no namespace"),
            pytest.param(
                Invalid(422, "Invalid", 'spec.containers[0].name: Invalid value: "hunter2"'),
                "spec.containers[0].name: Invalid value; correct",
                id="a wrong field",
            ),
        ],
    )
    def test_one_that_can_never_be_made_is_refused(
        self, world: PhaseWorld, error: Exception, words: str
    ) -> None:
        world.client.failures[Action("create", "pods", NAME)] = error

        with pytest.raises(InvalidInput) as refusal:
            world.advance()

        assert words in refusal.value.message
        assert "hunter2" not in refusal.value.message


class TestMeanwhile:
    """It is looked at without a request, and its log is followed."""

    def test_it_starts(self, world: PhaseWorld) -> None:
        world.advance()
        world.client.taken()

        step = world.advance()

        assert step == Running(f"pod {POD} is starting", again_after=900.0)
        assert actions(world) == []

    def test_it_runs(self, world: PhaseWorld) -> None:
        world.advance()
        world.schedule()
        world.set_status(phase="Running", containerStatuses=[state(running={})])
        world.client.taken()
        world.logs.expect(stamped("one"))

        assert world.advance() == Running(again_after=300.0)
        world.read_logs()

        assert world.logs.opened == [Opened(APP, NAME, "container", follow=True)]
        assert actions(world) == []

    def test_the_first_line_of_a_long_log_is_remembered_once(self, world: PhaseWorld) -> None:
        world.advance()
        world.schedule()
        world.set_status(phase="Running", containerStatuses=[state(running={})])
        world.logs.expect(stamped("x" * LONG_LOG))
        world.advance()
        world.read_logs()

        step = world.advance()

        assert isinstance(step, Running)
        assert memo(world)["firstLine"] == 1767225600 * 10**9
        assert world.advance() == evolve(step, memo=None)

    def test_how_far_it_is_by_its_log(self, world: PhaseWorld) -> None:
        world.logs.expect(stamped('###Phase-progress###: {"percent": 40}'))
        world.advance()
        world.schedule()
        world.set_status(phase="Running", containerStatuses=[state(running={})])
        world.advance()
        world.read_logs()

        step = world.advance()

        assert isinstance(step, Running)
        assert step.progress == Progress(40)

    def test_one_that_the_informer_does_not_show_is_looked_at_again(
        self, world: PhaseWorld
    ) -> None:
        """Before the first list of its namespace, or without the right to list."""
        world.advance()
        world.informer.blind = True
        world.client.taken()

        step = world.advance()

        assert isinstance(step, Running)
        assert step.again_after == 5.0
        assert actions(world) == [("get", "pods")]


class TestEnd:
    """What came of it."""

    def test_it_has_succeeded(self, world: PhaseWorld) -> None:
        assert world.finish("rows: 5", OUTPUT) == Complete({"size": "5"})
        assert len(world.ran) == 1

    def test_without_outputs_there_is_an_empty_map(self, world: PhaseWorld) -> None:
        assert world.finish("done") == Complete({})

    def test_it_has_failed_with_its_last_lines(self, world: PhaseWorld) -> None:
        step = world.finish("connecting", OUTPUT, "FATAL: no such database", code=3)

        assert step == Failed(
            f"container container of pod {POD} has ended with exit code 3; the last lines of its "
            "log:\nconnecting\nFATAL: no such database"
        )

    def test_a_broken_output_fails_it(self, world: PhaseWorld) -> None:
        step = world.finish("###Phase-output###: {hunter2")

        assert isinstance(step, Failed)
        assert step.message.startswith(f"pod {POD} has done its work, but output 1 is no JSON")
        assert "hunter2" not in step.message

    def test_a_function_may_judge_by_itself(self, world: PhaseWorld) -> None:
        seen: list[PodResult] = []

        def judge(result: PodResult) -> Complete:
            seen.append(result)
            return Complete({"code": str(result.exit_code)})

        assert world.finish(OUTPUT, code=3, result=judge) == Complete({"code": "3"})
        assert seen[-1].outputs == {"size": "5"}
        assert seen[-1].failure
        assert not seen[-1].problem

    def test_of_the_container_that_has_failed_the_lines_are_shown(self) -> None:
        spec = {
            "containers": [{"name": "output", "image": "a"}, {"name": "background", "image": "b"}]
        }
        pod = wanted(spec=spec, main="output", others=("background",))
        world = PhaseWorld(pod=pod)
        world.advance()
        world.schedule()
        ended = {"exitCode": 2, "finishedAt": "2026-01-01T00:00:01Z"}
        statuses = [state("output", running={}), state("background", terminated=ended)]
        world.set_status(phase="Running", containerStatuses=statuses)
        world.logs.expect(stamped("cannot dump"))
        world.advance()
        world.read_logs()

        step = world.advance()

        assert world.logs.opened == [Opened(APP, NAME, "background", follow=False)]
        assert isinstance(step, Failed)
        assert step.message.endswith("the last lines of its log:\ncannot dump")

    def test_a_log_that_is_lost_fails_it_as_its_outputs_are(self, world: PhaseWorld) -> None:
        world.advance()
        world.run_pod()
        world.logs.script.clear()
        for _ in range(20):
            world.logs.expect(NotFound(404, "NotFound", "no log"))
            step = world.advance()
            world.read_logs()
            world.clock.step(10.0)

        assert step == Failed(
            f"pod {POD} has done its work, but its log cannot be read, and its outputs are lost: "
            "no log (404 NotFound)"
        )

    def test_meanwhile_it_says_so(self, world: PhaseWorld) -> None:
        world.advance()
        world.run_pod()
        world.logs.script.clear()
        world.logs.expect(NotFound(404, "NotFound", "no log"))
        first = world.advance()
        world.read_logs()

        assert first == Running(f"the log of pod {POD} is being read")
        assert world.advance() == Running(
            f"the log of pod {POD} cannot be read, and is tried again: no log (404 NotFound)",
            again_after=1.0,
        )

    def test_for_the_last_lines_of_a_failure_nobody_waits(self, world: PhaseWorld) -> None:
        world.advance()
        world.run_pod(code=1)
        world.logs.script.clear()
        world.logs.expect(NotFound(404, "NotFound", "no log"))
        world.advance()
        world.read_logs()

        assert world.advance() == Failed(
            f"container container of pod {POD} has ended with exit code 1"
        )

    def test_a_log_whose_beginning_is_gone_fails_it(self, world: PhaseWorld) -> None:
        world.advance()
        world.remember({**memo(world), "firstLine": 1})
        world.run_pod("late")
        world.advance()
        world.read_logs()

        step = world.advance()

        assert isinstance(step, Failed)
        assert "its node has thrown away the beginning of its log before it was read" in (
            step.message
        )
