"""What a pod's status says: what it waits for, or how it has ended."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from fakes.phases import NOW, Object, exited, made, state
from reconcilers.actionset.phases import cache, ended
from reconcilers.actionset.phases.ended import Ended, Waiting
from reconcilers.actionset.phases.podview import PodView

POD = f"shop/{made()['metadata']['name']}"
START_LIMIT = NOW + timedelta(seconds=900)


def running(name: str = "container") -> Object:
    return state(name, running={"startedAt": "2026-01-01T00:00:01Z"})


def waiting(reason: str, message: str = "", name: str = "container") -> Object:
    return state(name, waiting={"reason": reason, **({"message": message} if message else {})})


def examined(
    *statuses: Object,
    now: datetime = NOW,
    containers: tuple[str, ...] = ("container",),
    first: tuple[Object, ...] = (),
    sidecars: tuple[str, ...] = (),
    **status: Any,
) -> Waiting | Ended:
    pod = made(
        containers=containers,
        containerStatuses=list(statuses),
        initContainerStatuses=list(first),
        **status,
    )
    pod["spec"]["initContainers"] = [
        {"name": one["name"], **({"restartPolicy": "Always"} if one["name"] in sidecars else {})}
        for one in first
    ]
    # As the informer shows it.
    return ended.examine(PodView.of(cache.trimmed(pod)), now)


SUCCEEDED = Ended(container="container", exit_code=0)


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        pytest.param([exited()], {"phase": "Succeeded"}, id="the pod has succeeded"),
        pytest.param(
            [exited(), running("injected")],
            {"phase": "Running"},
            id="a sidecar that was injected never ends",
        ),
        pytest.param(
            [exited(), exited("injected", 1)],
            {"phase": "Failed"},
            id="a sidecar that was injected has failed",
        ),
        pytest.param(
            [exited()],
            {"phase": "Failed", "reason": "Evicted"},
            id="it was evicted after its container had done its work",
        ),
    ],
)
def test_it_has_succeeded(statuses: list[Object], status: Object) -> None:
    assert examined(*statuses, **status) == SUCCEEDED


def test_a_pod_that_has_succeeded_without_a_word_of_its_container() -> None:
    assert examined(phase="Succeeded") == Ended(container="container")


@pytest.mark.parametrize(
    ("terminated", "cause"),
    [
        pytest.param(
            {"code": 3, "reason": "Error"},
            f"container container of pod {POD} has ended with exit code 3",
            id="by its exit code",
        ),
        pytest.param(
            {"code": 137, "reason": "Error"},
            f"container container of pod {POD} was ended by signal 9",
            id="by a signal",
        ),
        pytest.param(
            {"code": 255},
            f"container container of pod {POD} has ended with exit code 255",
            id="by a large exit code, which is no signal",
        ),
        pytest.param(
            {"code": 137, "reason": "OOMKilled"},
            f"container container of pod {POD} was killed as it took more memory than its limit; "
            "set a higher one by podOverride",
            id="for lack of memory",
        ),
        pytest.param(
            {
                "code": 128,
                "reason": "StartError",
                "message": 'failed to create containerd task: exec: "pg_dump --password=x": '
                "executable file not found in $PATH: unknown",
            },
            f"container container of pod {POD} could not be run: executable file not found in "
            "$PATH: unknown",
            id="as its program is not there, whose arguments are not shown",
        ),
    ],
)
def test_its_container_has_failed(terminated: Object, cause: str) -> None:
    found = examined(exited(**terminated), phase="Failed")

    assert found == Ended(cause, "container", terminated["code"])


def test_the_limit_of_memory_is_named_where_it_is_known() -> None:
    pod = made(containerStatuses=[exited(code=137, reason="OOMKilled")], phase="Failed")
    pod["spec"]["containers"][0]["resources"] = {"limits": {"memory": "128Mi"}}

    found = ended.examine(PodView.of(pod), NOW)

    assert isinstance(found, Ended)
    assert "than its limit of 128Mi;" in found.cause


@pytest.mark.parametrize(
    ("statuses", "status", "cause", "container"),
    [
        pytest.param(
            [exited(code=137)],
            {"reason": "Evicted", "message": "The node was low on resource: memory."},
            "Evicted: The node was low on resource: memory",
            "container",
            id="evicted by its node",
        ),
        pytest.param(
            [],
            {"reason": "OutOfcpu", "message": "Pod was rejected"},
            "OutOfcpu: Pod was rejected",
            "",
            id="refused by its node",
        ),
        pytest.param(
            [exited(code=143)],
            {
                "conditions": [
                    {
                        "type": "DisruptionTarget",
                        "status": "True",
                        "reason": "PreemptionByScheduler",
                        "message": "default-scheduler: preempting",
                    }
                ]
            },
            "PreemptionByScheduler: default-scheduler: preempting",
            "container",
            id="preempted",
        ),
        pytest.param(
            [running()],
            {
                "conditions": [
                    {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}
                ]
            },
            "DeletionByPodGC",
            "",
            id="failed by the collector of pods, as its node is gone",
        ),
        pytest.param([], {}, "its status says no more", "", id="without a word"),
    ],
)
def test_it_was_ended_from_outside(
    statuses: list[Object], status: Object, cause: str, container: str
) -> None:
    found = examined(*statuses, phase="Failed", **status)

    assert isinstance(found, Ended)
    assert (found.cause, found.container) == (f"pod {POD} has failed: {cause}", container)
    assert found.disrupted, "it may succeed when it is run again"


def test_a_limit_of_its_own_is_no_disruption() -> None:
    found = examined(
        exited(code=137), phase="Failed", reason="DeadlineExceeded", message="Pod was active"
    )

    cause = f"pod {POD} has failed: DeadlineExceeded: Pod was active"
    assert found == Ended(cause, "container", 137)


class TestSeveralContainers:
    """The phase is over when all of its own are, or one has failed."""

    BOTH = ("output", "background")

    def test_it_goes_on_while_one_runs(self) -> None:
        found = examined(
            exited("output"), running("background"), containers=self.BOTH, phase="Running"
        )

        assert found == Waiting(container="output")

    def test_it_has_succeeded_with_both(self) -> None:
        found = examined(
            exited("background"), exited("output"), containers=self.BOTH, phase="Running"
        )

        assert found == Ended(container="output", exit_code=0)

    def test_the_failure_of_one_ends_it_as_the_other_may_wait_for_ever(self) -> None:
        found = examined(
            running("output"), exited("background", 2), containers=self.BOTH, phase="Running"
        )

        cause = f"container background of pod {POD} has ended with exit code 2"
        assert found == Ended(cause, "background", 2)

    def test_what_failed_first_is_the_cause(self) -> None:
        output = exited("output", 1, finishedAt="2026-01-01T00:00:11Z")
        found = examined(output, exited("background", 2), containers=self.BOTH, phase="Failed")

        assert found == Ended(
            f"container background of pod {POD} has ended with exit code 2; "
            f"container output of pod {POD} has ended with exit code 1",
            "background",
            2,
        )

    def test_an_init_container_has_failed(self) -> None:
        found = examined(
            waiting("PodInitializing", name="output"),
            waiting("PodInitializing", name="background"),
            containers=self.BOTH,
            first=(exited("init", 5),),
            phase="Failed",
        )

        assert found == Ended(f"container init of pod {POD} has ended with exit code 5", "init", 5)


@pytest.mark.parametrize(
    ("statuses", "status", "why"),
    [
        pytest.param([], {}, f"pod {POD} is starting", id="nobody has looked at it"),
        pytest.param(
            [waiting("ContainerCreating")], {}, f"pod {POD} is starting", id="it is being created"
        ),
        pytest.param(
            [],
            {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/1 nodes are available: 1 Insufficient memory.",
                    }
                ]
            },
            f"pod {POD} waits for a node: 0/1 nodes are available: 1 Insufficient memory",
            id="no node takes it",
        ),
        pytest.param(
            [waiting("ImagePullBackOff", 'Back-off pulling image "tools:1"')],
            {},
            f"the image of container container of pod {POD} cannot be pulled: Back-off pulling "
            'image "tools:1"',
            id="its image cannot be pulled",
        ),
        pytest.param(
            [waiting("ErrImagePull")],
            {},
            f"the image of container container of pod {POD} cannot be pulled: ErrImagePull",
            id="the same, without a message",
        ),
        pytest.param(
            [waiting("CreateContainerConfigError", 'secret "db" not found')],
            {},
            f'container container of pod {POD} cannot be created: secret "db" not found',
            id="a Secret is missing",
        ),
    ],
)
class TestPending:
    """It has not started."""

    def test_it_waits(self, statuses: list[Object], status: Object, why: str) -> None:
        assert examined(*statuses, phase="Pending", **status) == Waiting(why, until=START_LIMIT)

    def test_it_is_given_up_with_the_cause_first(
        self, statuses: list[Object], status: Object, why: str
    ) -> None:
        found = examined(*statuses, phase="Pending", now=START_LIMIT, **status)

        limit = "it has not started within 15 min of 2026-01-01T00:00:00Z"
        assert found == Ended(f"{why}; {limit}", disrupted=True)


@pytest.mark.parametrize("reason", ["InvalidImageName", "ErrImageNeverPull"])
def test_what_no_wait_mends_ends_it_at_once(reason: str) -> None:
    found = examined(waiting(reason), phase="Pending")

    assert isinstance(found, Ended)
    assert found.cause.endswith(f"cannot be pulled: {reason}; correct its name")


def test_an_init_container_may_take_as_long_as_it_likes() -> None:
    """Its image and its work are no part of the time to start."""
    found = examined(
        waiting("PodInitializing"),
        first=(running("init"),),
        phase="Pending",
        now=NOW + timedelta(days=1),
    )

    assert found == Waiting()


def test_the_time_to_start_begins_with_the_end_of_the_init_containers() -> None:
    done = exited("init", finishedAt="2026-01-02T00:00:00Z")

    found = examined(
        waiting("ContainerCreating"), first=(done,), phase="Pending", now=NOW + timedelta(days=1)
    )

    until = START_LIMIT + timedelta(days=1)
    assert found == Waiting(f"pod {POD} is starting", until=until)


@pytest.mark.parametrize(
    "mesh",
    [
        pytest.param(running("mesh"), id="it runs"),
        pytest.param(
            exited("mesh", 1, finishedAt="2026-01-01T00:14:59Z"), id="it ends again and again"
        ),
    ],
)
@pytest.mark.parametrize("reason", ["PodInitializing", "ContainerCreating"])
def test_the_time_to_start_holds_beside_a_sidecar_that_was_injected(
    mesh: Object, reason: str
) -> None:
    """It runs for as long as the pod: it is no work that the main container waits for."""
    found = examined(
        waiting(reason),
        first=(mesh,),
        sidecars=("mesh",),
        phase="Pending",
        now=START_LIMIT,
    )

    limit = "it has not started within 15 min of 2026-01-01T00:00:00Z"
    assert found == Ended(f"pod {POD} is starting; {limit}", disrupted=True)


def test_an_init_container_beside_such_a_sidecar_may_take_as_long_as_it_likes() -> None:
    found = examined(
        waiting("PodInitializing"),
        first=(running("mesh"), running("init")),
        sidecars=("mesh",),
        phase="Pending",
        now=NOW + timedelta(days=1),
    )

    assert found == Waiting()


def test_of_a_pod_that_has_failed_its_init_container_is_named_and_no_sidecar() -> None:
    """A sidecar is ended with the pod, by whatever signal."""
    found = examined(
        first=(exited("mesh", 137), exited("init", 3)),
        sidecars=("mesh",),
        phase="Failed",
    )

    assert isinstance(found, Ended)
    assert found.cause == f"container init of pod {POD} has ended with exit code 3"


def test_a_fault_counts_while_a_sidecar_of_the_init_containers_runs() -> None:
    found = examined(
        waiting("PodInitializing"),
        first=(running("mesh"), waiting("ImagePullBackOff", name="init")),
        phase="Pending",
        now=START_LIMIT,
    )

    assert isinstance(found, Ended)
    assert found.cause.startswith(f"the image of container init of pod {POD}")


def test_it_runs() -> None:
    assert examined(running(), phase="Running") == Waiting(container="container")


def test_the_log_of_the_main_container_is_there_while_another_one_starts() -> None:
    found = examined(
        running("output"),
        waiting("ContainerCreating", name="background"),
        containers=("output", "background"),
        phase="Pending",
    )

    assert found == Waiting(f"pod {POD} is starting", "output", START_LIMIT)


SILENT = [
    {"type": "Ready", "status": "False"},
    {"type": "ContainersReady", "status": "True"},
]


def test_a_node_that_does_not_answer_is_named() -> None:
    found = examined(running(), phase="Running", conditions=SILENT)

    assert found == Waiting(f"node node-a of pod {POD} does not answer", "container")


@pytest.mark.parametrize("field", [{"reason": "ReadinessGatesNotReady"}, {"status": "True"}])
def test_a_node_that_answers_is_not(field: Object) -> None:
    conditions = [{**SILENT[0], **field}, SILENT[1]]

    assert examined(running(), phase="Running", conditions=conditions) == Waiting(
        container="container"
    )
