"""Pods that vanish, are cancelled, or have their result stored: what becomes of them."""

from __future__ import annotations

import pytest
from attrs import evolve

from controller.errors import Forbidden
from fakes.apiclient import Action
from fakes.phases import APP, OWN, made, phase_run, state, wanted
from fakes.phaseworld import OUTPUT, PhaseWorld
from fakes.podlogs import stamped
from reconcilers import resources
from reconcilers.actionset.api import ObjectReference
from reconcilers.actionset.function import Complete, Failed, Progress, Running
from reconcilers.actionset.phases import cache, names
from reconcilers.actionset.phases.reading import Source

NAME = names.pod_name(phase_run())
POD = f"shop/{NAME}"


@pytest.fixture
def world() -> PhaseWorld:
    return PhaseWorld()


def actions(world: PhaseWorld) -> list[tuple[str, str]]:
    return [(one.verb, one.resource) for one in world.client.taken()]


class TestVanished:
    """A pod that is gone may have done its work: it is not made again on its own."""

    VANISHED = (
        f"outcome unknown: pod {POD} was made and is gone, with what it has put out; look whether "
        "it has done its work, and run the action again if it has not"
    )

    def vanish(self, world: PhaseWorld) -> None:
        world.advance()
        world.client.drop(resources.PODS, APP, NAME)
        world.client.taken()

    def test_its_outcome_is_unknown(self, world: PhaseWorld) -> None:
        self.vanish(world)

        assert world.advance() == Failed(self.VANISHED)
        assert actions(world) == [("get", "pods")], "the informer alone may be behind"

    def test_its_log_is_forgotten(self, world: PhaseWorld) -> None:
        """It may hold a mebibyte of outputs, and a connection that is half open."""
        world.advance()
        world.schedule()
        world.set_status(phase="Running", containerStatuses=[state(running={})])
        world.logs.expect(stamped('###Phase-progress###: {"percent": 40}'))
        world.advance()
        world.read_logs()
        uid = world.only_pod()["metadata"]["uid"]
        source = Source(APP, NAME, uid, "container")
        before = world.pods.follower.progress(source)
        world.client.drop(resources.PODS, APP, NAME)

        world.advance()

        assert before == Progress(40)
        assert world.pods.follower.progress(source) is None

    def test_another_one_of_its_name_is_left_alone(self, world: PhaseWorld) -> None:
        self.vanish(world)
        world.client.put(resources.PODS, {**made(), "metadata": {**made()["metadata"], "uid": "b"}})

        assert world.advance() == Failed(self.VANISHED)
        assert world.only_pod()["metadata"]["uid"] == "b"

    def test_a_phase_that_may_run_again_gets_another_one(self) -> None:
        world = PhaseWorld(run=phase_run(repeatable=True))
        self.vanish(world)

        step = world.advance()

        why = f"another pod is made, since the phase may run again: {self.VANISHED}"
        assert step == Running(why, memo={"attempt": 1})
        assert world.finish(OUTPUT) == Complete({"size": "5"})
        assert world.only_pod()["metadata"]["name"] != NAME

    def test_but_not_for_ever(self) -> None:
        world = PhaseWorld(run=phase_run(repeatable=True))
        for _ in range(2):
            world.advance()
            world.client.drop(resources.PODS, APP, world.only_pod()["metadata"]["name"])
            assert isinstance(world.advance(), Running)
        world.advance()
        world.client.drop(resources.PODS, APP, world.only_pod()["metadata"]["name"])

        assert isinstance(world.advance(), Failed)

    def test_one_that_was_evicted_makes_room_for_the_next(self) -> None:
        world = PhaseWorld(run=phase_run(repeatable=True))
        world.advance()
        world.set_status(phase="Failed", reason="Evicted")

        assert isinstance(world.advance(), Running)
        assert world.client.store(resources.PODS).list() == []

    def test_a_failure_of_its_own_is_its_result(self) -> None:
        world = PhaseWorld(run=phase_run(repeatable=True))

        assert isinstance(world.finish(code=1), Failed)
        assert len(world.ran) == 1


class TestCancel:
    """Nothing of it runs when it is cancelled."""

    def test_before_there_is_a_pod(self, world: PhaseWorld) -> None:
        assert world.pods.cancel(world.run) == Failed("cancelled before it has ended")
        assert actions(world) == [("get", "pods")] * 2, "in both namespaces where it may be"

    def test_a_pod_whose_memo_was_never_stored(self, world: PhaseWorld) -> None:
        world.advance()
        world.schedule()
        world.remember({})

        assert isinstance(world.pods.cancel(world.run), Running)
        assert world.only_pod()["metadata"]["deletionTimestamp"]

    def test_one_that_runs(self, world: PhaseWorld) -> None:
        world.advance()
        world.schedule()
        world.set_status(phase="Running", containerStatuses=[state(running={})])
        world.client.taken()
        waits = Running(f"pod {POD} is being deleted", again_after=5.0)

        assert world.pods.cancel(world.run) == waits
        assert world.pods.cancel(world.run) == waits, "it is ending"
        assert actions(world) == [("delete", "pods")]
        world.run_pod(code=143)

        assert world.pods.cancel(world.run) == Failed("cancelled before it has ended")

    def test_one_that_has_no_node_is_over_once_it_is_deleted(self, world: PhaseWorld) -> None:
        world.advance()

        assert isinstance(world.pods.cancel(world.run), Running)
        assert isinstance(world.pods.cancel(world.run), Failed)

    def test_one_whose_end_nobody_confirms(self, world: PhaseWorld) -> None:
        world.advance()
        world.schedule()
        world.pods.cancel(world.run)
        world.clock.step(331.0)

        step = world.pods.cancel(world.run)

        assert isinstance(step, Failed)
        assert step.message.startswith("outcome unknown")

    def test_one_that_is_gone(self, world: PhaseWorld) -> None:
        world.advance()
        world.client.drop(resources.PODS, APP, NAME)

        assert isinstance(world.pods.cancel(world.run), Failed)


class TestRelease:
    """Nothing of it is left once its result is stored."""

    def test_it_is_deleted_and_let_go(self, world: PhaseWorld) -> None:
        world.finish()
        world.client.taken()

        assert world.pods.release(world.run, failed=False)
        assert actions(world) == [("delete", "pods"), ("patch", "pods")]
        assert world.client.store(resources.PODS).list() == []

    def test_nothing_is_asked_where_there_is_none(self, world: PhaseWorld) -> None:
        assert world.pods.release(world.run, failed=True)
        assert actions(world) == []

    def test_before_the_informer_knows_its_namespace_the_server_is_asked(
        self, world: PhaseWorld
    ) -> None:
        world.finish()
        world.start_process()
        world.informer.synced, world.informer.blind = False, True
        world.client.taken()

        world.pods.release(world.run, failed=False)

        assert actions(world) == [
            ("list", "pods"),
            ("list", "pods"),
            ("delete", "pods"),
            ("patch", "pods"),
        ]
        assert world.client.store(resources.PODS).list() == []

    def test_one_that_no_informer_may_show(self, world: PhaseWorld) -> None:
        world.finish()
        world.informer.blind = True

        world.pods.release(world.run, failed=False)

        assert world.client.store(resources.PODS).list() == []

    def test_one_that_was_made_without_a_memo(self, world: PhaseWorld) -> None:
        world.advance()
        world.remember({})

        world.pods.release(world.run, failed=True)

        assert world.client.store(resources.PODS).list() == []

    def test_one_that_is_kept_as_it_has_failed(self) -> None:
        world = PhaseWorld(run=phase_run(keep_failed_pod=True))
        world.finish(code=1)
        world.client.taken()

        assert world.pods.release(world.run, failed=True)
        assert actions(world) == [("patch", "pods")]
        assert world.only_pod()["metadata"].get("finalizers") is None

    def test_other_finalizers_stay(self, world: PhaseWorld) -> None:
        world.finish()
        pod = world.only_pod()
        finalizers = ["example.com/other", *pod["metadata"]["finalizers"]]
        world.client.put(
            resources.PODS, {**pod, "metadata": {**pod["metadata"], "finalizers": finalizers}}
        )

        world.pods.release(world.run, failed=False)

        assert world.only_pod()["metadata"]["finalizers"] == ["example.com/other"]

    def test_pods_of_other_phases_stay(self, world: PhaseWorld) -> None:
        other = PhaseWorld(run=phase_run(phase="verify"), client=world.client)
        other.advance()
        world.advance()

        world.pods.release(world.run, failed=False)

        assert world.only_pod()["metadata"]["name"] == names.pod_name(other.run)

    def test_all_parts_and_attempts_of_it_go(self, world: PhaseWorld) -> None:
        for part in ("db-0", "db-1"):
            world.pods.advance(world.run, lambda: world.pod, part=part)
        world.pods.advance(evolve(world.run, memo={"attempt": 1}), lambda: world.pod)

        world.pods.release(evolve(world.run, memo={"parts": {}}), failed=False)

        assert world.client.store(resources.PODS).list() == []

    @pytest.mark.parametrize(
        "stored",
        [
            pytest.param({"outputs": {}}, id="that has ended"),
            pytest.param({"memo": {}}, id="whose memo was never stored"),
            pytest.param(None, id="that runs"),
        ],
    )
    @pytest.mark.parametrize("attempt", [0, 2])
    def test_a_part_that_no_informer_may_show(
        self, world: PhaseWorld, stored: dict[str, object] | None, attempt: int
    ) -> None:
        run = evolve(world.run, memo={"attempt": attempt})
        step = world.pods.advance(run, lambda: world.pod, part="db-0")
        assert isinstance(step, Running)
        parts = {"db-0": stored or {"memo": step.memo}}
        world.informer.blind = True
        world.informer.refused = Forbidden(403, "Forbidden", "pods is forbidden")
        memo = {"names": ["db-0", "db-1"], "parts": parts}

        world.pods.release(evolve(world.run, memo=memo), failed=False)

        assert world.client.store(resources.PODS).list() == []

    @pytest.mark.parametrize(
        "memo",
        [
            pytest.param({"names": 3, "parts": {}}, id="names that are none"),
            pytest.param({"names": ["a", 3], "parts": []}, id="parts that are none"),
            pytest.param({"names": ["a"], "parts": {"a": {"memo": 3}}}, id="a memo that is none"),
        ],
    )
    def test_parts_that_somebody_has_changed_by_hand(
        self, world: PhaseWorld, memo: dict[str, object]
    ) -> None:
        world.informer.refused = Forbidden(403, "Forbidden", "pods is forbidden")

        assert world.pods.release(evolve(world.run, memo=memo), failed=False)

    def test_parts_cost_nothing_where_the_informer_shows_them(self, world: PhaseWorld) -> None:
        memo = {"names": ["db-0"], "parts": {"db-0": {"failed": "there is no such pod"}}}

        world.pods.release(evolve(world.run, memo=memo), failed=True)

        assert actions(world) == []

    def test_those_of_an_actionset_that_is_gone(self, world: PhaseWorld) -> None:
        world.advance()
        world.pods.advance(phase_run(phase="verify"), lambda: wanted(namespace=OWN))

        world.pods.sweep(world.run.request, world.run.deadline)

        assert world.client.store(resources.PODS).list() == []


class TestLookAfter:
    """What an earlier process has left in a namespace where no phase runs now."""

    def look_after(self, world: PhaseWorld) -> list[tuple[str, str]]:
        world.client.taken()
        world.pods.look_after([OWN, APP], world.run.deadline)
        return actions(world)

    def test_its_namespace_is_followed_so_that_it_is_swept(self, world: PhaseWorld) -> None:
        world.finish(code=1)
        world.followed.clear()
        world.start_process()

        assert self.look_after(world) == [("list", "pods")] * 2
        assert world.followed == {APP}

    def test_it_is_looked_for_once(self, world: PhaseWorld) -> None:
        self.look_after(world)

        assert self.look_after(world) == []
        assert world.followed == set(), "each costs a watch"

    def test_not_where_its_namespace_is_followed(self, world: PhaseWorld) -> None:
        world.followed |= {OWN, APP}

        assert self.look_after(world) == []

    def test_not_where_it_may_not_be_looked_for(self, world: PhaseWorld) -> None:
        selector = cache.SELECTION.labels
        refused = Forbidden(403, "Forbidden", "pods is forbidden")
        world.client.failures[Action("list", "pods", selector)] = refused

        self.look_after(world)

        assert self.look_after(world) == []


class TestMemoThatWasChanged:
    """Whoever may change the ActionSet may change it: it leads to no other pod."""

    @pytest.fixture
    def victim(self, world: PhaseWorld) -> PhaseWorld:
        """Give the pod of another ActionSet, in another namespace."""
        run = phase_run(phase="verify", object=ObjectReference("db", "victim", "statefulset"))
        found = PhaseWorld(run=run, client=world.client, pod=wanted(namespace="victim"))
        found.advance()
        return found

    @pytest.mark.parametrize("blind", [True, False], ids=["no informer", "an informer shows it"])
    def test_it_is_not_removed(self, world: PhaseWorld, victim: PhaseWorld, *, blind: bool) -> None:
        world.informer.blind = blind
        world.remember(dict(victim.run.memo))

        world.pods.cancel(world.run)
        world.pods.release(world.run, failed=True)

        assert world.only_pod() == victim.only_pod()

    def test_nor_is_its_log_read(self, world: PhaseWorld, victim: PhaseWorld) -> None:
        world.remember(dict(victim.run.memo))

        step = world.advance()

        assert isinstance(step, Running)
        assert (step.memo or {})["namespace"] == APP
        assert "victim" not in world.followed
