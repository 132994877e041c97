"""What was seen of a pod becomes a verdict, and verdicts become the status."""

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from controller.conditions import get_condition, timestamp
from fakes import objects
from reconcilers.repositoryserver import kopia, status
from reconcilers.repositoryserver.errors import Problem
from reconcilers.repositoryserver.status import Outcome, Waiting, desired_status

Object = dict[str, Any]

POD = objects.POD
CONTEXT = status.PodContext(
    claim=objects.CLAIM,
    setting=kopia.Setting(
        storage="files/ on PersistentVolumeClaim backup/files-data",
        location="backup/files-location",
        password="backup/files-repository-password",
        user=65532,
    ),
)

SERVER_SETUP = "ServerSetup"
REPOSITORY_CONNECTED = "RepositoryConnected"
SERVER_INITIALIZED = "ServerInitialized"
CLIENT_USER_INITIALIZED = "ClientUserInitialized"
SERVER_REFRESHED = "ServerRefreshed"

WRONG_PASSWORD = "error opening repository: invalid repository password"
NOT_PASSED = Waiting(
    SERVER_INITIALIZED,
    f"pod {POD} does not pass its readiness probe; if that lasts, files/ on PersistentVolumeClaim "
    "backup/files-data may be away",
)
NODE_LOST = Problem(
    SERVER_SETUP,
    "NodeLost",
    f"node node does not answer, so nobody knows of pod {POD}; bring the node back, or delete the "
    "Node if it is gone for good, and the pod is made again elsewhere",
)
WRONG_PASSWORD_MESSAGE = (
    "Kopia cannot open the repository at files/ on PersistentVolumeClaim backup/files-data: key "
    "repo-password of Secret backup/files-repository-password is not its password; correct the key"
)


def test_without_a_pod_one_is_being_created() -> None:
    verdict = status.examine_pod(None, POD, CONTEXT)

    assert verdict == Waiting(SERVER_SETUP, f"pod {POD} is being created")


def test_a_pod_whose_end_no_node_confirms_is_told_to_hang() -> None:
    pod = objects.terminating(objects.pod(objects.node_lost()))

    assert status.examine_pod(pod, POD, CONTEXT) == NODE_LOST


def test_a_server_on_a_lost_node_answers_nothing() -> None:
    assert status.answers(objects.pod(objects.serving()))
    assert not status.answers(objects.pod(objects.node_lost()))


def test_a_pod_that_waits_for_a_readiness_gate_is_on_no_lost_node() -> None:
    of = objects.node_lost()
    (ready,) = (one for one in of["conditions"] if one["type"] == "Ready")
    ready["reason"] = "ReadinessGatesNotReady"

    assert status.examine_pod(objects.pod(of), POD, CONTEXT) is None


@pytest.mark.parametrize("of", [objects.serving(), objects.crash_looping(WRONG_PASSWORD)])
def test_a_pod_that_is_being_deleted_is_waited_for_whatever_it_does(of: Object) -> None:
    verdict = status.examine_pod(objects.terminating(objects.pod(of)), POD, CONTEXT)

    assert verdict == Waiting(SERVER_SETUP, f"pod {POD} is being deleted and will be made again")


@pytest.mark.parametrize(
    ("of", "verdict"),
    [
        pytest.param(
            None,
            Waiting(SERVER_SETUP, f"the container of pod {POD} is starting"),
            id="a pod that nobody has looked at yet",
        ),
        pytest.param(
            objects.unscheduled(),
            Problem(
                SERVER_SETUP,
                "PodUnschedulable",
                f"no node takes pod {POD}: 0/1 nodes are available: 1 Insufficient memory.",
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
                f"no node takes pod {POD}: 0/1 nodes are available: persistentvolumeclaim "
                '"somebody-elses" not found. preemption: 0/1 nodes are available: 1 Preemption is '
                "not helpful for scheduling.",
            ),
            id="a claim that is not the resource's own",
        ),
        pytest.param(
            objects.scheduled(),
            Waiting(SERVER_SETUP, f"the container of pod {POD} is starting"),
            id="a node has it, and has not written about it",
        ),
        *(
            pytest.param(
                objects.image_pull_failed(reason, "no such image"),
                Problem(
                    SERVER_SETUP,
                    "ImagePullFailed",
                    f"image {objects.IMAGE} of pod {POD} cannot be pulled: no such image",
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
            Waiting(SERVER_SETUP, f"the container of pod {POD} is starting"),
            id="its container is being created",
        ),
        *(
            pytest.param(
                objects.creating(reason, "no such thing"),
                Problem(
                    SERVER_SETUP,
                    "ContainerNotCreated",
                    f"the container of pod {POD} cannot be created: no such thing",
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
            Waiting(REPOSITORY_CONNECTED, f"Kopia is opening the repository in pod {POD}"),
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
                SERVER_INITIALIZED,
                f"Kopia ended with exit code 137 in pod {POD}; the kubelet starts it again",
            ),
            id="Kopia was killed and is not back yet",
        ),
        pytest.param(
            objects.restarted(),
            Waiting(
                SERVER_INITIALIZED,
                f"Kopia ended with exit code 137 in pod {POD}; the kubelet starts it again",
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
                SERVER_INITIALIZED,
                "KopiaExited",
                "Kopia ended with exit code 1: tls: something is wrong",
            ),
            id="Kopia ends again and again for an unknown reason",
        ),
        pytest.param(
            objects.out_of_memory(),
            Problem(
                SERVER_INITIALIZED,
                "OutOfMemory",
                kopia.OUT_OF_MEMORY.format(code=137),
            ),
            id="the kernel killed it for want of memory",
        ),
        pytest.param(
            objects.restarted(reason="OOMKilled"),
            Problem(
                SERVER_INITIALIZED,
                "OutOfMemory",
                kopia.OUT_OF_MEMORY.format(code=137),
            ),
            id="even once: the next time will be no better",
        ),
        pytest.param(
            objects.evicted(),
            Problem(
                SERVER_SETUP,
                "PodEnded",
                f"pod {POD} has ended for good and is made again: "
                "Evicted: The node was low on resource: memory.",
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
    assert status.examine_pod(objects.pod(of), POD, CONTEXT) == verdict


def test_the_container_of_a_service_mesh_is_not_looked_at() -> None:
    of = objects.serving()
    sidecar = {"name": "proxy", "image": "proxy:1", "state": {"waiting": {}}, "ready": False}
    of["containerStatuses"].insert(0, sidecar)

    assert status.examine_pod(objects.pod(of), POD, CONTEXT) is None


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
            Waiting(SERVER_SETUP, "a new pod"),
            FAILURE,
            id="a new try has not got as far as the step that failed",
        ),
        pytest.param(
            FAILURE,
            Waiting(SERVER_INITIALIZED, "a probe"),
            FAILURE,
            id="or just as far",
        ),
        pytest.param(
            Problem(SERVER_SETUP, "ClaimMissing", "no claim"),
            Waiting(REPOSITORY_CONNECTED, "opening"),
            Waiting(REPOSITORY_CONNECTED, "opening"),
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
    ],
)
def test_a_fault_is_told_until_a_try_gets_past_it(
    failure: Problem | None, verdict: Problem | Waiting | None, told: Problem | Waiting | None
) -> None:
    assert status.lasting_problem(failure, verdict) == told


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
                objects.evicted(),
                objects.NOW - timedelta(minutes=10),
                id="its creation, once it has ended for good",
            ),
        ],
    )
    def test_only_another_pod_would_help(self, of: Object, since: datetime) -> None:
        assert status.failed_since(objects.pod(of)) == since

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
        assert status.failed_since(objects.pod(of)) is None


class TestPodReady:
    def test_ready(self) -> None:
        assert status.pod_ready(objects.pod(objects.serving()))

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
        assert not status.pod_ready(pod)


def test_a_time_is_written_and_read_as_kubernetes_does() -> None:
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    assert timestamp(when) == "2026-01-02T03:04:05Z"
    assert status.parse_time("2026-01-02T03:04:05Z") == when


NOW = objects.NOW
EARLIER = "2025-12-31T00:00:00Z"
AT = "2026-01-01T00:00:00Z"

HEALTHY = Outcome(
    verdicts=(),
    serving=True,
    pod_name=POD,
    service_name="repo-server-files",
    network_policy_name="repo-server-files",
    fingerprint="ab" * 32,
    registered_users=("backup@b", "backup@a"),
)
PROBLEM = Problem(REPOSITORY_CONNECTED, "RepositoryMissing", "there is no repository")
WAITING = Waiting(REPOSITORY_CONNECTED, "Kopia is opening the repository")
SECRET_PROBLEM = Problem(SERVER_SETUP, "SecretMissing", "a Secret is missing")
USER_PROBLEM = Problem(CLIENT_USER_INITIALIZED, "UserNameInvalid", "a user is refused")


def outcome(*verdicts: Problem | Waiting, serving: bool = False) -> Outcome:
    return attrs.evolve(HEALTHY, verdicts=verdicts, serving=serving)


def written(current: Object, of: Outcome, *, generation: int = 3) -> Object:
    return desired_status(current, of, generation=generation, now=NOW)


def conditions(of: Object) -> dict[str, tuple[str, str]]:
    """Return status and reason of each condition."""
    return {found["type"]: (found["status"], found["reason"]) for found in of["conditions"]}


def statuses(of: Object) -> list[str]:
    """Return the statuses of the five steps, then that of Ready."""
    found = conditions(of)
    return [found[step][0] for step in (*status.STEPS, status.READY)]


def message(of: Object, condition_type: str) -> str:
    found = get_condition(of["conditions"], condition_type)
    assert found is not None
    return str(found["message"])


# As the removed controller left it: no observedGeneration, no message, no Ready.
REMOVED = {
    "conditions": [
        {"type": type_, "status": "True", "reason": succeeded, "lastTransitionTime": EARLIER}
        for type_, (succeeded, _) in status.STEPS.items()
    ],
    "progress": "Ready",
    "serverInfo": {"podName": "repo-server-pod-x", "serviceName": "repo-server-service-x"},
}
UP = written({}, HEALTHY)

OUTCOMES = [
    pytest.param(HEALTHY, id="healthy"),
    pytest.param(outcome(), id="about to be Ready"),
    pytest.param(outcome(WAITING), id="waiting"),
    pytest.param(outcome(WAITING, serving=True), id="waiting for a newer pod"),
    pytest.param(outcome(PROBLEM), id="a problem"),
    pytest.param(outcome(PROBLEM, serving=True), id="a problem of a newer pod"),
    pytest.param(outcome(WAITING, USER_PROBLEM), id="waiting, and a problem"),
]
BEFORE = [
    pytest.param({}, id="from nothing"),
    pytest.param(REMOVED, id="from the removed controller's"),
    pytest.param(UP, id="from healthy"),
    pytest.param(written({}, outcome(SECRET_PROBLEM)), id="from failed"),
]


class TestDesiredStatus:
    def test_a_healthy_server_has_all_steps_and_all_that_clients_need(self) -> None:
        def condition(type_: str, reason: str, words: str) -> Object:
            return {
                "type": type_,
                "status": "True",
                "reason": reason,
                "message": words,
                "observedGeneration": 3,
                "lastTransitionTime": AT,
            }

        assert written({}, HEALTHY) == {
            "observedGeneration": 3,
            "progress": "Ready",
            "conditions": [
                condition(
                    SERVER_SETUP,
                    "KopiaRepositoryServerSetupSucceeded",
                    "Secrets are valid; pod, service and network policy are in place",
                ),
                condition(
                    REPOSITORY_CONNECTED,
                    "KopiaRepositoryConnectionSucceeded",
                    "Kopia has opened the repository",
                ),
                condition(
                    SERVER_INITIALIZED,
                    "KopiaRepositoryServerInitializationSucceeded",
                    "the Kopia server answers",
                ),
                condition(
                    CLIENT_USER_INITIALIZED,
                    "ClientInitializationSucceeded",
                    "the users of the access Secret are known",
                ),
                condition(
                    SERVER_REFRESHED,
                    "ServerRefreshed",
                    "the server has taken up the users",
                ),
                condition(
                    "Ready", "ServerReady", "clients can connect to service repo-server-files"
                ),
            ],
            "serverInfo": {
                "podName": POD,
                "serviceName": "repo-server-files",
                "networkPolicyName": "repo-server-files",
                "tlsFingerprint": "ab" * 32,
            },
            "registeredUsers": ["backup@a", "backup@b"],
        }

    @pytest.mark.parametrize("of", OUTCOMES)
    @pytest.mark.parametrize("before", BEFORE)
    def test_the_same_outcome_twice_changes_nothing(self, before: Object, of: Outcome) -> None:
        once = written(before, of)

        assert desired_status(once, of, generation=3, now=NOW + timedelta(hours=1)) == once

    @pytest.mark.parametrize("of", OUTCOMES)
    def test_what_was_is_left_alone(self, of: Outcome) -> None:
        before = written({}, HEALTHY)

        written(before, of)

        assert before == UP

    @pytest.mark.parametrize(
        ("step", "reason"),
        [
            (SERVER_SETUP, "KopiaRepositoryServerSetupFailed"),
            (REPOSITORY_CONNECTED, "KopiaRepositoryConnectionFailed"),
            (SERVER_INITIALIZED, "KopiaRepositoryServerInitializationFailed"),
            (CLIENT_USER_INITIALIZED, "ClientInitializationFailed"),
            (SERVER_REFRESHED, "ServerRefreshFailed"),
        ],
    )
    def test_a_problem_is_told_on_its_step_and_on_ready(self, step: str, reason: str) -> None:
        after = written({}, outcome(Problem(step, "ItsReason", "its words")))

        assert conditions(after)[step] == ("False", reason)
        assert conditions(after)["Ready"] == ("False", "ItsReason")
        assert message(after, step) == message(after, "Ready") == "its words"

    @pytest.mark.parametrize(
        ("before", "of", "expected"),
        [
            pytest.param(
                {},
                outcome(WAITING),
                ["True", "Unknown", "Unknown", "Unknown", "Unknown", "False"],
                id="on the way up: the steps behind are True, the others not known",
            ),
            pytest.param(
                {},
                outcome(PROBLEM),
                ["True", "False", "Unknown", "Unknown", "Unknown", "False"],
                id="a problem on the way up",
            ),
            pytest.param(
                {},
                outcome(),
                ["True", "True", "True", "True", "True", "False"],
                id="all done, and the kubelet has not said so yet",
            ),
            pytest.param(
                UP,
                outcome(WAITING),
                ["True", "Unknown", "Unknown", "True", "True", "False"],
                id="the process ended: what it did is not known, its users stay registered",
            ),
            pytest.param(
                UP,
                outcome(WAITING, serving=True),
                ["True", "True", "True", "True", "True", "True"],
                id="a newer pod comes up while the old one serves: nothing flaps",
            ),
            pytest.param(
                UP,
                outcome(PROBLEM, serving=True),
                ["True", "False", "True", "True", "True", "False"],
                id="a newer pod fails while the old one serves: the change is what fails",
            ),
            pytest.param(
                UP,
                outcome(USER_PROBLEM, serving=True),
                ["True", "True", "True", "False", "True", "False"],
                id="a wrong user beside a server that serves the others",
            ),
            pytest.param(
                {},
                outcome(WAITING, USER_PROBLEM),
                ["True", "Unknown", "Unknown", "False", "Unknown", "False"],
                id="a wrong user is told before the server is up",
            ),
            pytest.param(
                written(UP, outcome(PROBLEM, serving=True)),
                outcome(WAITING, serving=True),
                ["True", "Unknown", "True", "True", "True", "True"],
                id="a failure that is being tried anew is no longer known to be one",
            ),
            pytest.param(
                written(UP, outcome(USER_PROBLEM, serving=True)),
                outcome(WAITING),
                ["True", "Unknown", "Unknown", "Unknown", "True", "False"],
                id="nor is one whose cause is gone while an earlier step waits",
            ),
            pytest.param(
                REMOVED,
                outcome(WAITING),
                ["True", "Unknown", "Unknown", "True", "True", "False"],
                id="the removed controller's server is replaced",
            ),
        ],
    )
    def test_steps_and_ready(self, before: Object, of: Outcome, expected: list[str]) -> None:
        assert statuses(written(before, of)) == expected

    def test_a_later_step_says_what_it_waits_for(self) -> None:
        after = written({}, outcome(WAITING))

        assert message(after, REPOSITORY_CONNECTED) == "Kopia is opening the repository"
        assert message(after, SERVER_REFRESHED) == "waits for RepositoryConnected"
        assert message(after, "Ready") == "Kopia is opening the repository"

    def test_and_goes_with_the_time(self) -> None:
        before = written({}, outcome(SECRET_PROBLEM))

        after = written(before, outcome(WAITING))

        assert message(before, SERVER_REFRESHED) == "waits for ServerSetup"
        assert message(after, SERVER_REFRESHED) == "waits for RepositoryConnected"

    def test_of_several_problems_the_first_is_that_of_ready(self) -> None:
        after = written({}, outcome(SECRET_PROBLEM, USER_PROBLEM))

        assert message(after, "Ready") == "a Secret is missing"
        assert message(after, CLIENT_USER_INITIALIZED) == "a user is refused"

    def test_two_verdicts_of_one_step_show_the_first(self) -> None:
        second = Problem(SERVER_SETUP, "Other", "another")

        assert message(written({}, outcome(SECRET_PROBLEM, second)), SERVER_SETUP) == (
            "a Secret is missing"
        )

    def test_a_failed_change_says_that_the_former_pod_serves(self) -> None:
        after = written(UP, outcome(SECRET_PROBLEM, serving=True))

        words = f"a Secret is missing (meanwhile pod {POD} serves as before)"
        assert message(after, "Ready") == words
        assert message(after, SERVER_SETUP) == "a Secret is missing"

    def test_before_the_kubelet_has_said_ready_that_is_waited_for(self) -> None:
        after = written({}, outcome())

        assert conditions(after)["Ready"] == ("False", "Pending")
        assert message(after, "Ready") == f"the Service is about to route to pod {POD}"


class TestTimes:
    def test_a_condition_that_stays_keeps_its_time(self) -> None:
        later = desired_status(UP, outcome(PROBLEM), generation=4, now=NOW + timedelta(minutes=5))

        times = {found["type"]: found["lastTransitionTime"] for found in later["conditions"]}
        assert times[SERVER_SETUP] == AT
        assert times[REPOSITORY_CONNECTED] == "2026-01-01T00:05:00Z"
        assert times["Ready"] == "2026-01-01T00:05:00Z"

    def test_what_is_looked_at_anew_is_of_the_new_generation(self) -> None:
        after = written(UP, HEALTHY, generation=4)

        assert after["observedGeneration"] == 4
        assert {found["observedGeneration"] for found in after["conditions"]} == {4}


class TestTheRemovedControllersStatus:
    def test_its_conditions_are_taken_over_with_their_times(self) -> None:
        after = written(REMOVED, HEALTHY)

        assert statuses(after) == ["True"] * 6
        times = {found["type"]: found["lastTransitionTime"] for found in after["conditions"]}
        assert times == {**dict.fromkeys(status.STEPS, EARLIER), "Ready": AT}
        assert {found["observedGeneration"] for found in after["conditions"]} == {3}

    def test_a_condition_without_a_time_gets_one(self) -> None:
        before = {"conditions": [{"type": SERVER_SETUP, "status": "True", "reason": "x"}]}

        (first, *_) = written(before, HEALTHY)["conditions"]

        assert first["lastTransitionTime"] == AT

    def test_a_condition_that_nobody_sets_stays(self) -> None:
        strange = {"type": "RepositoryReady", "status": "True", "lastTransitionTime": EARLIER}

        after = written({"conditions": [strange]}, HEALTHY)

        assert after["conditions"][0] == strange

    @pytest.mark.parametrize("empty", [{}, {"conditions": None}, {"conditions": []}])
    def test_no_conditions_at_all(self, empty: Object) -> None:
        assert statuses(written(empty, HEALTHY)) == ["True"] * 6

    def test_its_servers_names_are_replaced(self) -> None:
        assert written(REMOVED, HEALTHY)["serverInfo"] == UP["serverInfo"]


class TestRegisteredUsers:
    def test_an_outcome_that_knows_none_leaves_those_that_are_recorded(self) -> None:
        unknown = attrs.evolve(HEALTHY, registered_users=None)

        assert written(UP, unknown)["registeredUsers"] == ["backup@a", "backup@b"]


class TestServerInfo:
    def test_what_is_not_known_at_the_moment_stays_as_it_was(self) -> None:
        unknown = Outcome(verdicts=(SECRET_PROBLEM,), serving=False)

        assert written(UP, unknown)["serverInfo"] == UP["serverInfo"]

    def test_of_what_was_never_known_there_is_no_field(self) -> None:
        unknown = Outcome(verdicts=(SECRET_PROBLEM,), serving=False)

        assert written({}, unknown)["serverInfo"] == {}


@pytest.mark.parametrize(
    ("of", "word"),
    [
        pytest.param(HEALTHY, "Ready", id="it serves"),
        pytest.param(outcome(WAITING), "Pending", id="it is on its way"),
        pytest.param(outcome(), "Pending", id="it is about to serve"),
        pytest.param(outcome(WAITING, serving=True), "Ready", id="an old pod serves meanwhile"),
        pytest.param(outcome(PROBLEM), "Failed", id="something needs mending"),
        pytest.param(outcome(PROBLEM, serving=True), "Failed", id="even if an old pod serves"),
        pytest.param(outcome(WAITING, USER_PROBLEM), "Failed", id="even if all else is waiting"),
    ],
)
def test_progress_sums_it_up(of: Outcome, word: str) -> None:
    assert status.progress(of) == written({}, of)["progress"] == word
