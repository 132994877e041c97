"""ScaleWorkload: its requests, what it waits for, and what another process makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from controller.errors import ServerUnavailable
from fakes.apiclient import Action
from fakes.clock import FakeClock
from fakes.phaseclient import PhaseClient, client_of
from fakes.phaseruns import Phase, phase_run
from fakes.workloads import DEPLOYMENTS, STATEFUL_SETS, pod, put_pods, replica_set, workload
from reconcilers import resources
from reconcilers.actionset.function import Complete, Failed, Running
from reconcilers.actionset.functions.scaleworkload import ScaleWorkload
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from controller.resource import Resource

NAMED = {"namespace": "app", "name": "db", "kind": "StatefulSet"}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def client() -> PhaseClient:
    made = PhaseClient()
    made.put(STATEFUL_SETS, workload(STATEFUL_SETS))
    put_pods(made, pod("db-0"), pod("db-1"), pod("db-2"))
    return made


def phase(client: PhaseClient, clock: FakeClock, given: dict[str, Any], **changes: Any) -> Phase:
    return Phase(
        ScaleWorkload(client_of(client), clock=clock), clock, given, phase_run(clock, **changes)
    )


def replicas(client: PhaseClient, resource: Resource = STATEFUL_SETS) -> int:
    (found,) = client.store(resource).list()
    return int(found["spec"]["replicas"])


def test_it_is_scaled_down_once_the_count_of_before_is_stored(
    client: PhaseClient, clock: FakeClock
) -> None:
    run = phase(client, clock, NAMED | {"replicas": 0})

    first = run.advance()

    assert isinstance(first, Running)
    assert (first.memo or {})["original"] == 3
    assert client.taken() == [Action("get", "statefulsets/scale", "db")]

    assert run.settle() == Running(waits_for="pods to be gone: db-0, db-1, db-2", again_after=0.5)
    assert client.taken() == [
        Action("patch", "statefulsets/scale", "db"),
        Action("get", "statefulsets/scale", "db"),
        Action("list", "pods", "app"),
    ]
    assert replicas(client) == 0

    put_pods(client)
    assert run.advance() == Complete({"originalReplicaCount": 3})
    assert run.rendered == 1


def test_the_pods_of_a_deployment_are_those_of_its_replica_sets(clock: FakeClock) -> None:
    client = PhaseClient()
    client.put(DEPLOYMENTS, workload(DEPLOYMENTS, replicas=1))
    client.put(resources.REPLICA_SETS, replica_set("old"))
    client.put(resources.REPLICA_SETS, replica_set("new"))
    client.put(resources.REPLICA_SETS, replica_set("foreign", owner="uid-of-another"))
    put_pods(client, pod("a", owner="uid-of-old"), pod("b", owner="uid-of-foreign"))
    run = phase(client, clock, NAMED | {"kind": "deployment", "replicas": "0"})

    assert run.settle() == Running(waits_for="pods to be gone: a", again_after=0.5)

    # The ReplicaSet goes first, and its pod still has the volume.
    client.drop(resources.REPLICA_SETS, "app", "old")
    assert isinstance(run.advance(), Running)
    put_pods(client, pod("b", owner="uid-of-foreign"))
    assert run.advance() == Complete({"originalReplicaCount": 1})


def test_it_is_scaled_up_until_its_pods_are_ready(client: PhaseClient, clock: FakeClock) -> None:
    client.put(STATEFUL_SETS, workload(STATEFUL_SETS, replicas=0))
    put_pods(client)
    run = phase(client, clock, NAMED | {"replicas": 2})

    assert run.settle() == Running(waits_for="0 of 2 pods to be ready", again_after=0.5)
    put_pods(client, pod("db-0"), pod("db-1", ready=False))
    assert run.advance() == Running(waits_for="1 of 2 pods to be ready", again_after=0.5)
    put_pods(client, pod("db-0"), pod("db-1"))
    assert run.advance() == Complete({"originalReplicaCount": 0})


def test_it_need_not_wait(client: PhaseClient, clock: FakeClock) -> None:
    run = phase(client, clock, NAMED | {"replicas": 0, "waitForReady": "false"})

    assert run.settle() == Complete({"originalReplicaCount": 3})
    assert replicas(client) == 0


@pytest.mark.parametrize("after", [pytest.param(n, id=f"after call {n}") for n in range(1, 4)])
def test_another_process_goes_on(client: PhaseClient, clock: FakeClock, after: int) -> None:
    """It has the memo alone, and the scale that it reads is no longer that of the beginning."""
    run = phase(client, clock, NAMED | {"replicas": 0})
    for _ in range(after):
        run.advance()

    run.function = ScaleWorkload(client_of(client), clock=clock)
    run.settle()
    put_pods(client)

    assert run.advance() == Complete({"originalReplicaCount": 3})
    assert run.rendered == 1


def test_a_write_whose_answer_is_lost_is_sent_again(client: PhaseClient, clock: FakeClock) -> None:
    run = phase(client, clock, NAMED | {"replicas": 0})
    run.advance()
    sent = Action("patch", "statefulsets/scale", "db")
    client.failures[sent] = ServerUnavailable(503, "", "away")
    with pytest.raises(ServerUnavailable):
        run.advance()
    client.failures.clear()

    run.settle()

    assert replicas(client) == 0


class TestLimit:
    """No wait is without an end."""

    def test_it_fails_after_ten_minutes(self, client: PhaseClient, clock: FakeClock) -> None:
        run = phase(client, clock, NAMED | {"replicas": 0})

        step = run.finish()

        assert step == Failed(
            "StatefulSet app/db was scaled to 0, and after 600 s it still waits for pods to be"
            " gone: db-0, db-1, db-2; see the events of its pods, or set the annotation"
            " actionset.cr.kanister.io/timeout for a longer time",
            {"originalReplicaCount": 3},
        )
        # With pauses of 5 s and less.
        assert 120 < len(run.steps) < 200

    def test_the_annotation_takes_its_place(self, client: PhaseClient, clock: FakeClock) -> None:
        """The engine cancels it then."""
        run = phase(client, clock, NAMED | {"replicas": 0}, timeout=3600.0)
        run.settle()
        clock.step(3599)

        assert isinstance(run.advance(), Running)

    def test_a_cancelled_one_says_how_it_stands(
        self, client: PhaseClient, clock: FakeClock
    ) -> None:
        run = phase(client, clock, NAMED | {"replicas": 0})

        assert run.function.cancel(run.run) == Failed("cancelled; nothing was scaled")
        run.advance()
        assert run.function.cancel(run.run) == Failed(
            "cancelled; see whether StatefulSet app/db was scaled to 0", {"originalReplicaCount": 3}
        )
        run.settle()
        assert run.function.cancel(run.run) == Failed(
            "cancelled; StatefulSet app/db stays scaled to 0", {"originalReplicaCount": 3}
        )


class TestOthers:
    """Who else changes the workload."""

    def test_one_that_sets_the_scale_again_is_named(
        self, client: PhaseClient, clock: FakeClock
    ) -> None:
        run = phase(client, clock, NAMED | {"replicas": 0})
        run.settle()
        client.put(STATEFUL_SETS, workload(STATEFUL_SETS, replicas=3))

        step = run.advance()

        assert isinstance(step, Running)
        assert step.waits_for == (
            "its scale to be 0: something else, an operator for example, has set it to 3"
        )

    def test_an_autoscaler_may_settle_on_another_number(
        self, client: PhaseClient, clock: FakeClock
    ) -> None:
        run = phase(client, clock, NAMED | {"replicas": 5})
        run.settle()
        client.put(STATEFUL_SETS, workload(STATEFUL_SETS, replicas=3))

        assert run.advance() == Complete({"originalReplicaCount": 3})

    @pytest.mark.parametrize("made_anew", [False, True])
    def test_a_deleted_workload_fails_it(
        self, client: PhaseClient, clock: FakeClock, *, made_anew: bool
    ) -> None:
        run = phase(client, clock, NAMED | {"replicas": 0})
        run.settle()
        client.drop(STATEFUL_SETS, "app", "db")
        if made_anew:
            again = workload(STATEFUL_SETS, replicas=0)
            again["metadata"]["uid"] = "another"
            client.put(STATEFUL_SETS, again)

        assert run.advance() == Failed(
            "StatefulSet app/db was deleted meanwhile, and its scale is not known any more",
            {"originalReplicaCount": 3},
        )


OF_OBJECT = {"StatefulSet": {"Name": "db", "Namespace": "app"}}


@pytest.mark.parametrize(
    ("given", "parameters"),
    [
        pytest.param(NAMED, {}, id="by the arguments"),
        pytest.param({}, OF_OBJECT, id="by the action's object"),
        pytest.param({"name": "db"}, OF_OBJECT, id="by both"),
        pytest.param(NAMED | {"kind": "STATEFULSET"}, {}, id="a kind in any case"),
        pytest.param(
            NAMED, {"Deployment": {"Name": "web", "Namespace": "app"}}, id="arguments come first"
        ),
    ],
)
def test_a_workload_is_named(
    client: PhaseClient, clock: FakeClock, given: dict[str, Any], parameters: dict[str, Any]
) -> None:
    run = phase(client, clock, given | {"replicas": 1}, parameters=parameters)

    run.settle()

    assert replicas(client) == 1


@pytest.mark.parametrize(
    ("given", "parameters", "message"),
    [
        pytest.param(
            {"kind": "statefulset"},
            {},
            "the action's object is none of StatefulSet, Deployment: set the arguments namespace,"
            " name to name the workload to scale",
            id="nothing says which one",
        ),
        pytest.param(
            {},
            {"DeploymentConfig": {"Name": "db", "Namespace": "app"}},
            "the kind of the workload is none that can be scaled; there are: StatefulSet,"
            " Deployment",
            id="a DeploymentConfig is refused with the list of what is",
        ),
        pytest.param(
            NAMED | {"namespace": "other"},
            {},
            "argument namespace is other: a phase acts only in the namespace of the action's"
            " object, app, and in that of the ActionSet, kanister; use one of them",
            id="somebody else's",
        ),
        pytest.param(
            NAMED | {"name": ".."},
            {},
            "argument name is no name that an object can have; check what its template renders",
            id="a path",
        ),
        pytest.param(
            NAMED | {"name": "web"},
            {},
            "StatefulSet app/web does not exist; check the arguments namespace and name",
            id="one that does not exist",
        ),
        pytest.param(
            NAMED | {"replicas": -1},
            {},
            "argument replicas is below 0; set it to 0 or more",
            id="less than none",
        ),
    ],
)
def test_what_cannot_be_scaled_is_refused(
    client: PhaseClient,
    clock: FakeClock,
    given: dict[str, Any],
    parameters: dict[str, Any],
    message: str,
) -> None:
    run = phase(client, clock, {"replicas": 1, **given}, parameters=parameters)

    with pytest.raises(InvalidInput) as refused:
        run.advance()

    assert refused.value.message == message
    assert replicas(client) == 3


def test_phases_at_once_have_nothing_to_do_with_each_other(
    client: PhaseClient, clock: FakeClock
) -> None:
    """One object serves all of them: Kanister's has scaled the wrong workload."""
    client.put(DEPLOYMENTS, workload(DEPLOYMENTS, replicas=2))
    function = ScaleWorkload(client_of(client), clock=clock)
    one = Phase(function, clock, NAMED | {"replicas": 0}, phase_run(clock))
    other = Phase(
        function,
        clock,
        NAMED | {"kind": "Deployment", "replicas": 7, "waitForReady": False},
        evolve(phase_run(clock), phase="other"),
    )

    one.advance()
    other.advance()
    one.settle()

    assert other.settle() == Complete({"originalReplicaCount": 2})
    assert (replicas(client), replicas(client, DEPLOYMENTS)) == (0, 7)
