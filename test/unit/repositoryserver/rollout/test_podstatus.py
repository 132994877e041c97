"""What was seen of a pod becomes a verdict."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from fakes import objects
from reconcilers.kopia import failures
from reconcilers.repositoryserver.rollout import podstatus
from reconcilers.repositoryserver.verdict import PodContext, Problem, Waiting

Object = dict[str, Any]

POD = objects.POD
CONTEXT = PodContext(
    claim=objects.CLAIM,
    setting=failures.Setting(
        storage="files/ on PersistentVolumeClaim backup/files-data",
        location="backup/files-location",
        password="backup/files-repository-password",
        user=65532,
    ),
)

SERVER_SETUP = "ServerSetup"
REPOSITORY_CONNECTED = "RepositoryConnected"
SERVER_INITIALIZED = "ServerInitialized"

WRONG_PASSWORD = "error opening repository: invalid repository password"
NOT_PASSED = Waiting(
    SERVER_INITIALIZED,
    "WaitingForAnswer",
    f"pod {POD} fails its readiness probe; if this lasts, files/ on PersistentVolumeClaim "
    "backup/files-data may be away: check it",
)
NODE_LOST = Problem(
    SERVER_SETUP,
    "NodeLost",
    f"node node does not answer, so the state of pod {POD} is unknown; bring the node back, or, "
    "if it is gone for good, delete the Node, and the pod is created on another one",
)
WRONG_PASSWORD_MESSAGE = (
    "Kopia cannot open the repository at files/ on PersistentVolumeClaim backup/files-data: the "
    "password in key repo-password of Secret backup/files-repository-password is wrong; correct "
    "it"
)


def test_without_a_pod_one_is_being_created() -> None:
    verdict = podstatus.examine(None, POD, CONTEXT)

    message = f"a pod of ReplicaSet {POD} is being created"
    assert verdict == Waiting(SERVER_SETUP, "PodPending", message)


def test_a_pod_whose_end_no_node_confirms_is_told_to_hang() -> None:
    pod = objects.terminating(objects.pod(objects.node_lost()))

    assert podstatus.examine(pod, POD, CONTEXT) == NODE_LOST


def test_a_server_on_a_lost_node_answers_nothing() -> None:
    assert podstatus.answers(objects.pod(objects.serving()))
    assert not podstatus.answers(objects.pod(objects.node_lost()))


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        pytest.param("ContainersNotReady", "containers with unready status: [proxy]", id="sidecar"),
        pytest.param("ReadinessGatesNotReady", 'pod readiness gate "x" is missing', id="gate"),
    ],
)
def test_what_else_keeps_a_pod_from_being_ready_is_told(reason: str, message: str) -> None:
    of = objects.not_ready(reason, message)

    assert podstatus.examine(objects.pod(of), POD, CONTEXT) == Waiting(
        SERVER_INITIALIZED,
        "WaitingForAnswer",
        f"the server answers in pod {POD}, but the pod is not Ready: {message}",
    )


@pytest.mark.parametrize(
    ("proxy", "told"),
    [
        pytest.param(
            {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}},
            f"pod {POD} waits for its init container proxy: ImagePullBackOff: no such image",
            id="that has not got its image",
        ),
        pytest.param(
            {"waiting": {"reason": "CrashLoopBackOff"}},
            f"pod {POD} waits for its init container proxy: CrashLoopBackOff",
            id="that fails without a word",
        ),
        pytest.param(
            {"waiting": {"reason": "PodInitializing"}},
            podstatus.WAITING_CONTAINER.format(pod=POD),
            id="that waits for another one",
        ),
        pytest.param(
            {"running": {}}, podstatus.WAITING_CONTAINER.format(pod=POD), id="that is at work"
        ),
    ],
)
def test_an_init_container(proxy: Object, told: str) -> None:
    of = objects.creating("PodInitializing")
    of["initContainerStatuses"] = [{"name": "proxy", "state": proxy}]

    verdict = podstatus.examine(objects.pod(of), POD, CONTEXT)

    assert verdict == Waiting(SERVER_SETUP, "PodPending", told)


@pytest.mark.parametrize("of", [objects.serving(), objects.crash_looping(WRONG_PASSWORD)])
def test_a_pod_that_is_being_deleted_is_waited_for_whatever_it_does(of: Object) -> None:
    verdict = podstatus.examine(objects.terminating(objects.pod(of)), POD, CONTEXT)

    message = f"pod {POD} is being deleted, and another one takes its place"
    assert verdict == Waiting(SERVER_SETUP, "PodPending", message)


@pytest.mark.parametrize(
    ("of", "verdict"),
    [
        pytest.param(
            None,
            Waiting(
                SERVER_SETUP,
                "PodPending",
                f"the container of pod {POD} is starting; if this lasts, see the events of the pod",
            ),
            id="a pod that nobody has looked at yet",
        ),
        pytest.param(
            objects.unscheduled(),
            Problem(
                SERVER_SETUP,
                "PodUnschedulable",
                f"no node can run pod {POD}: 0/1 nodes are available: 1 Insufficient memory; fix "
                "the nodes or the volume, or change resources, nodeSelector or tolerations of "
                "spec.server or of the controller's settings",
            ),
            id="no node takes it: in the scheduler's words",
        ),
        pytest.param(
            objects.claim_missing(),
            Problem(
                SERVER_SETUP,
                "ClaimMissing",
                "PersistentVolumeClaim backup/files-data, named by key claimName of Secret "
                "backup/files-location, does not exist; create it or correct the key",
            ),
            id="no node takes it, for its claim does not exist",
        ),
        pytest.param(
            objects.claim_missing("somebody-elses"),
            Problem(
                SERVER_SETUP,
                "PodUnschedulable",
                f"no node can run pod {POD}: 0/1 nodes are available: persistentvolumeclaim "
                '"somebody-elses" not found. preemption: 0/1 nodes are available: 1 Preemption '
                "is not helpful for scheduling; fix the nodes or the volume, or change "
                "resources, nodeSelector or tolerations of spec.server or of the controller's "
                "settings",
            ),
            id="a claim that is not the resource's own",
        ),
        pytest.param(
            objects.scheduled(),
            Waiting(
                SERVER_SETUP,
                "PodPending",
                f"the container of pod {POD} is starting; if this lasts, see the events of the pod",
            ),
            id="a node has it, and has not written about it",
        ),
        *(
            pytest.param(
                objects.image_pull_failed(reason, "no such image"),
                Problem(
                    SERVER_SETUP,
                    "ImagePullFailed",
                    f"image {objects.IMAGE} of pod {POD} cannot be pulled: no such image; correct "
                    "it in spec.server.image or spec.server.podOverride or, if neither names it, "
                    "in --server-image or the settings of the controller, or name a Secret for its "
                    "registry in spec.server.imagePullSecrets",
                ),
                id=f"the image cannot be had: {reason}",
            )
            for reason in (
                "ErrImagePull",
                "ImagePullBackOff",
                "InvalidImageName",
                "ErrImageNeverPull",
            )
        ),
        pytest.param(
            objects.creating(),
            Waiting(
                SERVER_SETUP,
                "PodPending",
                f"the container of pod {POD} is starting; if this lasts, see the events of the pod",
            ),
            id="its container is being created",
        ),
        *(
            pytest.param(
                objects.creating(reason, "no such thing"),
                Problem(
                    SERVER_SETUP,
                    "ContainerNotCreated",
                    f"the container of pod {POD} cannot be created: no such thing; see the events "
                    "of the pod",
                ),
                id=f"its container cannot be created: {reason}",
            )
            for reason in (
                "CreateContainerConfigError",
                "CreateContainerError",
                "RunContainerError",
            )
        ),
        pytest.param(
            objects.running(),
            Waiting(
                REPOSITORY_CONNECTED,
                "OpeningRepository",
                f"Kopia is opening the repository in pod {POD}; if this "
                "lasts, see the log of the pod",
            ),
            id="Kopia runs and does not listen yet",
        ),
        pytest.param(
            objects.started(),
            NOT_PASSED,
            id="Kopia listens and does not answer",
        ),
        pytest.param(
            objects.started(ended_before=WRONG_PASSWORD),
            NOT_PASSED,
            id="the same after an end long ago, which explains nothing any more",
        ),
        pytest.param(objects.serving(), None, id="it serves"),
        pytest.param(
            objects.killed(),
            Waiting(
                REPOSITORY_CONNECTED,
                "KopiaRestarting",
                f"Kopia exited with code 137 in pod {POD}; the kubelet is starting it again",
            ),
            id="Kopia was killed and is not back yet",
        ),
        pytest.param(
            objects.restarted(),
            Waiting(
                REPOSITORY_CONNECTED,
                "KopiaRestarting",
                f"Kopia exited with code 137 in pod {POD}; the kubelet is starting it again",
            ),
            id="Kopia was killed and is starting",
        ),
        pytest.param(
            objects.killed(1, message=WRONG_PASSWORD),
            Problem(REPOSITORY_CONNECTED, "RepositoryPasswordWrong", WRONG_PASSWORD_MESSAGE),
            id="Kopia has ended for a known reason",
        ),
        pytest.param(
            objects.restarted(1, message=WRONG_PASSWORD),
            Problem(REPOSITORY_CONNECTED, "RepositoryPasswordWrong", WRONG_PASSWORD_MESSAGE),
            id="and tries again: the reason stands until it listens",
        ),
        pytest.param(
            objects.crash_looping(WRONG_PASSWORD),
            Problem(REPOSITORY_CONNECTED, "RepositoryPasswordWrong", WRONG_PASSWORD_MESSAGE),
            id="and the kubelet waits before the next try",
        ),
        pytest.param(
            objects.crash_looping("tls: something is wrong"),
            Problem(
                REPOSITORY_CONNECTED,
                "KopiaExited",
                "Kopia exited with code 1: tls: something is wrong; see the log of the pod",
            ),
            id="Kopia ends again and again for an unknown reason: nothing shows what it got to",
        ),
        pytest.param(
            objects.crash_looping("SERVER ADDRESS: https://[::]:51515\ntls: something is wrong"),
            Problem(
                SERVER_INITIALIZED,
                "KopiaExited",
                "Kopia exited with code 1: tls: something is wrong; see the log of the pod",
            ),
            id="the same after it had opened the repository",
        ),
        pytest.param(
            objects.out_of_memory(),
            Problem(
                REPOSITORY_CONNECTED,
                "OutOfMemory",
                failures.OUT_OF_MEMORY.format(code=137),
            ),
            id="the kernel killed it for want of memory",
        ),
        pytest.param(
            objects.restarted(reason="OOMKilled"),
            Problem(
                REPOSITORY_CONNECTED,
                "OutOfMemory",
                failures.OUT_OF_MEMORY.format(code=137),
            ),
            id="even once: the next time will be no better",
        ),
        pytest.param(
            objects.evicted(),
            Problem(
                SERVER_SETUP,
                "PodEnded",
                f"pod {POD} has ended and is being replaced: Evicted: The node was low on "
                "resource: memory.",
            ),
            id="the kubelet has put it off its node: no container comes back",
        ),
        pytest.param(
            objects.node_lost(),
            NODE_LOST,
            id="its node is lost: what the kubelet said last is that it serves",
        ),
    ],
)
def test_a_pods_state_has_one_verdict(of: Object | None, verdict: Problem | Waiting | None) -> None:
    assert podstatus.examine(objects.pod(of), POD, CONTEXT) == verdict


def test_the_container_of_a_service_mesh_is_not_looked_at() -> None:
    of = objects.serving()
    sidecar = {"name": "proxy", "image": "proxy:1", "state": {"waiting": {}}, "ready": False}
    of["containerStatuses"].insert(0, sidecar)

    assert podstatus.examine(objects.pod(of), POD, CONTEXT) is None


FAILURE = Problem(SERVER_INITIALIZED, "KopiaExited", "Kopia ended")
IMAGE_ERROR = Problem(SERVER_SETUP, "ImagePullFailed", "no such image")
IMAGE_PAUSE = Problem(SERVER_SETUP, "ImagePullFailed", "back-off pulling image")


@pytest.mark.parametrize(
    ("failure", "verdict", "told"),
    [
        pytest.param(None, FAILURE, FAILURE, id="nothing failed before: what is seen"),
        pytest.param(None, None, None, id="nor is anything seen"),
        pytest.param(FAILURE, None, None, id="all is well again"),
        pytest.param(
            FAILURE,
            Waiting(SERVER_SETUP, "PodPending", "a new pod"),
            FAILURE,
            id="a new try has not got as far as the step that failed",
        ),
        pytest.param(
            FAILURE,
            Waiting(SERVER_INITIALIZED, "WaitingForAnswer", "a probe"),
            FAILURE,
            id="or just as far",
        ),
        pytest.param(
            Problem(SERVER_SETUP, "ClaimMissing", "no claim"),
            Waiting(REPOSITORY_CONNECTED, "OpeningRepository", "opening"),
            Waiting(REPOSITORY_CONNECTED, "OpeningRepository", "opening"),
            id="it has got past it",
        ),
        pytest.param(
            FAILURE, IMAGE_ERROR, IMAGE_ERROR, id="it has found another fault, of an earlier step"
        ),
        pytest.param(
            IMAGE_ERROR,
            IMAGE_PAUSE,
            IMAGE_ERROR,
            id="the pause between two pulls of an image is no news",
        ),
        pytest.param(IMAGE_ERROR, FAILURE, FAILURE, id="another fault after that of an image is"),
        pytest.param(
            Problem(SERVER_SETUP, "PodUnschedulable", "no node"),
            Waiting(SERVER_SETUP, "ImagePulling", "its image is pulled"),
            Waiting(SERVER_SETUP, "ImagePulling", "its image is pulled"),
            id="a node has been found for the same pod",
        ),
    ],
)
def test_a_fault_is_told_until_a_try_gets_past_it(
    failure: Problem | None, verdict: Problem | Waiting | None, told: Problem | Waiting | None
) -> None:
    assert podstatus.lasting_problem(failure, verdict) == told


def _without_time(of: Object) -> Object:
    """Return a status as a kubelet writes it that has lost when the container ended."""
    of["containerStatuses"][0]["lastState"]["terminated"]["finishedAt"] = None
    return of


class TestFailedSince:
    @pytest.mark.parametrize(
        ("of", "since"),
        [
            pytest.param(
                objects.crash_looping(),
                objects.NOW - timedelta(seconds=10),
                id="its last end, while the kubelet waits before the next start",
            ),
            pytest.param(
                objects.evicted(), None, id="one that has ended for good is made again by others"
            ),
        ],
    )
    def test_only_another_pod_would_help(self, of: Object, since: datetime) -> None:
        assert podstatus.failed_since(objects.pod(of)) == since

    @pytest.mark.parametrize(
        "of",
        [
            pytest.param(None, id="no status"),
            pytest.param(objects.running(), id="it never ended"),
            pytest.param(objects.killed(), id="it has just ended: the kubelet acts"),
            pytest.param(objects.restarted(), id="it runs again"),
            pytest.param(objects.image_pull_failed(), id="it waits for something else"),
            pytest.param(_without_time(objects.crash_looping()), id="nobody knows when it ended"),
        ],
    )
    def test_it_may_yet_come_up(self, of: Object | None) -> None:
        assert podstatus.failed_since(objects.pod(of)) is None


class TestPodReady:
    def test_ready(self) -> None:
        assert podstatus.is_ready(objects.pod(objects.serving()))

    @pytest.mark.parametrize(
        "pod",
        [
            pytest.param(objects.pod(), id="no status"),
            pytest.param(objects.pod(objects.started()), id="the container is not ready"),
            pytest.param(
                objects.terminating(objects.pod(objects.serving())), id="it is being deleted"
            ),
        ],
    )
    def test_not_ready(self, pod: Object) -> None:
        assert not podstatus.is_ready(pod)
