"""Verdicts become the status."""

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from controller.conditions import get_condition, parse_time, timestamp
from fakes import objects
from reconcilers.repositoryserver.status import conditions as status
from reconcilers.repositoryserver.status.conditions import Outcome, desired_status
from reconcilers.repositoryserver.verdict import STEPS, Problem, Waiting

Object = dict[str, Any]

POD = objects.POD

SERVER_SETUP = "ServerSetup"
REPOSITORY_CONNECTED = "RepositoryConnected"
SERVER_INITIALIZED = "ServerInitialized"
CLIENT_USER_INITIALIZED = "ClientUserInitialized"
SERVER_REFRESHED = "ServerRefreshed"


def test_a_time_is_written_and_read_as_kubernetes_does() -> None:
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    assert timestamp(when) == "2026-01-02T03:04:05Z"
    assert parse_time("2026-01-02T03:04:05Z") == when


NOW = objects.NOW
EARLIER = "2025-12-31T00:00:00Z"
AT = "2026-01-01T00:00:00Z"

HEALTHY = Outcome(
    verdicts=(),
    available=True,
    pod_name=POD,
    service_name="repo-server-files",
    network_policy_name="repo-server-files",
    fingerprint="ab" * 32,
    repository_users=2,
)
PROBLEM = Problem(REPOSITORY_CONNECTED, "RepositoryMissing", "there is no repository")
WAITING = Waiting(REPOSITORY_CONNECTED, "OpeningRepository", "Kopia is opening the repository")
AWAY = Problem(REPOSITORY_CONNECTED, "StorageUnavailable", "the storage is away")
SECRET_PROBLEM = Problem(SERVER_SETUP, "SecretMissing", "a Secret is missing")
USER_PROBLEM = Problem(CLIENT_USER_INITIALIZED, "UserNameInvalid", "a user is refused")


def outcome(*verdicts: Problem | Waiting, available: bool = False) -> Outcome:
    return attrs.evolve(HEALTHY, verdicts=verdicts, available=available)


def written(current: Object, of: Outcome, *, generation: int = 3) -> Object:
    return desired_status(current, of, generation=generation, now=NOW)


def conditions(of: Object) -> dict[str, tuple[str, str]]:
    """Return status and reason of each condition."""
    return {found["type"]: (found["status"], found["reason"]) for found in of["conditions"]}


def statuses(of: Object) -> list[str]:
    """Return the statuses of the five steps, then those of Available and Ready."""
    found = conditions(of)
    return [found[step][0] for step in (*STEPS, status.AVAILABLE, status.READY)]


def message(of: Object, condition_type: str) -> str:
    found = get_condition(of["conditions"], condition_type)
    assert found is not None
    return str(found["message"])


# As the removed controller left it: no observedGeneration, no message, no Ready.
REMOVED = {
    "conditions": [
        {"type": type_, "status": "True", "reason": succeeded, "lastTransitionTime": EARLIER}
        for type_, (succeeded, _) in STEPS.items()
    ],
    "progress": "Ready",
    "serverInfo": {"podName": "repo-server-pod-x", "serviceName": "repo-server-service-x"},
}
UP = written({}, HEALTHY)

OUTCOMES = [
    pytest.param(HEALTHY, id="healthy"),
    pytest.param(outcome(), id="about to be Ready"),
    pytest.param(outcome(WAITING), id="waiting"),
    pytest.param(outcome(WAITING, available=True), id="waiting for a newer pod"),
    pytest.param(outcome(PROBLEM), id="a problem"),
    pytest.param(outcome(PROBLEM, available=True), id="a problem of a newer pod"),
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
                    "Secrets are valid; pod, Service and NetworkPolicy are in place",
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
                    "the server has loaded the users",
                ),
                condition(
                    "Available", "Serving", "clients can connect to service repo-server-files"
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
            "repositoryUsers": 2,
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

    def test_what_a_webhook_says_at_length_is_cut_as_conditions_are(self) -> None:
        after = written({}, outcome(Problem(SERVER_SETUP, "PodRefused", "no " * 100_000)))

        assert len(message(after, "Ready")) == len(message(after, SERVER_SETUP)) == 32768

    @pytest.mark.parametrize(
        ("before", "of", "expected"),
        [
            pytest.param(
                {},
                outcome(WAITING),
                ["True", "Unknown", "Unknown", "Unknown", "Unknown", "False", "False"],
                id="on the way up: the steps behind are True, the others not known",
            ),
            pytest.param(
                {},
                outcome(PROBLEM),
                ["True", "False", "Unknown", "Unknown", "Unknown", "False", "False"],
                id="a problem on the way up",
            ),
            pytest.param(
                {},
                outcome(),
                ["True", "True", "True", "True", "True", "False", "False"],
                id="all done, and the kubelet has not said so yet",
            ),
            pytest.param(
                UP,
                outcome(WAITING),
                ["True", "Unknown", "Unknown", "True", "True", "False", "False"],
                id="the process ended: what it did is not known, its users stay registered",
            ),
            pytest.param(
                UP,
                outcome(WAITING, available=True),
                ["True", "True", "True", "True", "True", "True", "False"],
                id="a newer pod comes up while the old one serves: only Ready waits for it",
            ),
            pytest.param(
                UP,
                outcome(PROBLEM, available=True),
                ["True", "False", "True", "True", "True", "True", "False"],
                id="a newer pod fails while the old one serves: the change is what fails",
            ),
            pytest.param(
                UP,
                outcome(USER_PROBLEM, available=True),
                ["True", "True", "True", "False", "True", "True", "False"],
                id="a wrong user beside a server that serves the others",
            ),
            pytest.param(
                {},
                outcome(WAITING, USER_PROBLEM),
                ["True", "Unknown", "Unknown", "False", "Unknown", "False", "False"],
                id="a wrong user is told before the server is up",
            ),
            pytest.param(
                written(UP, outcome(PROBLEM, available=True)),
                outcome(WAITING, available=True),
                ["True", "Unknown", "True", "True", "True", "True", "False"],
                id="a failure that is being tried anew is no longer known to be one",
            ),
            pytest.param(
                written(UP, outcome(USER_PROBLEM, available=True)),
                outcome(WAITING),
                ["True", "Unknown", "Unknown", "Unknown", "True", "False", "False"],
                id="nor is one whose cause is gone while an earlier step waits",
            ),
            pytest.param(
                REMOVED,
                outcome(WAITING),
                ["True", "Unknown", "Unknown", "True", "True", "False", "False"],
                id="the removed controller's server is replaced",
            ),
        ],
    )
    def test_steps_and_ready(self, before: Object, of: Outcome, expected: list[str]) -> None:
        assert statuses(written(before, of)) == expected

    def test_a_later_step_says_what_it_waits_for(self) -> None:
        after = written({}, outcome(WAITING))

        assert message(after, REPOSITORY_CONNECTED) == "Kopia is opening the repository"
        assert message(after, SERVER_REFRESHED) == "waiting for RepositoryConnected"
        assert message(after, "Ready") == "Kopia is opening the repository"

    def test_and_goes_with_the_time(self) -> None:
        before = written({}, outcome(SECRET_PROBLEM))

        after = written(before, outcome(WAITING))

        assert message(before, SERVER_REFRESHED) == "waiting for ServerSetup"
        assert message(after, SERVER_REFRESHED) == "waiting for RepositoryConnected"

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
        after = written(UP, outcome(SECRET_PROBLEM, available=True))

        words = f"a Secret is missing (meanwhile pod {POD} still serves)"
        assert message(after, "Ready") == words
        assert message(after, SERVER_SETUP) == "a Secret is missing"

    def test_before_the_kubelet_has_said_ready_that_is_waited_for(self) -> None:
        after = written({}, outcome())

        assert conditions(after)["Ready"] == ("False", "WaitingForEndpoints")
        assert message(after, "Ready") == "the Service is about to route to the newest pod"


class TestSummary:
    """Available, Ready, Reconciling and Stalled, which are there only while they are True."""

    @pytest.mark.parametrize(
        ("of", "expected"),
        [
            pytest.param(
                HEALTHY,
                {"Available": "True", "Ready": "True"},
                id="all is in effect",
            ),
            pytest.param(
                outcome(WAITING),
                {"Available": "False", "Ready": "False", "Reconciling": "True"},
                id="it comes up",
            ),
            pytest.param(
                outcome(WAITING, available=True),
                {"Available": "True", "Ready": "False", "Reconciling": "True"},
                id="a change is under way",
            ),
            pytest.param(
                outcome(AWAY),
                {"Available": "False", "Ready": "False", "Reconciling": "True"},
                id="a fault that can pass by itself does not stall it",
            ),
            pytest.param(
                outcome(PROBLEM, available=True),
                {"Available": "True", "Ready": "False", "Stalled": "True"},
                id="a change has failed",
            ),
            pytest.param(
                outcome(WAITING, USER_PROBLEM),
                {"Available": "False", "Ready": "False", "Stalled": "True"},
                id="it comes up, and will not be Ready without somebody's help",
            ),
            pytest.param(
                outcome(AWAY, USER_PROBLEM),
                {"Available": "False", "Ready": "False", "Stalled": "True"},
                id="of two faults the one that somebody has to mend counts",
            ),
            pytest.param(
                attrs.evolve(HEALTHY, in_effect=False),
                {"Available": "True", "Ready": "False", "Reconciling": "True"},
                id="the Service does not reach the newest pod yet",
            ),
        ],
    )
    def test_each_is_there_when_it_says_something(
        self, of: Outcome, expected: dict[str, str]
    ) -> None:
        for before in ({}, UP, written({}, outcome(PROBLEM)), written({}, outcome(WAITING))):
            found = conditions(written(before, of))

            summed_up = {type_: value for type_, (value, _) in found.items() if type_ not in STEPS}
            assert summed_up == expected

    def test_a_lasting_fault_comes_before_one_that_can_pass(self) -> None:
        after = written({}, outcome(AWAY, USER_PROBLEM))

        assert conditions(after)["Ready"] == ("False", "UserNameInvalid")

    def test_an_edit_is_not_ready_before_it_is_in_effect(self) -> None:
        """`kubectl wait` takes a condition of an older generation for none."""
        after = written(UP, outcome(WAITING, available=True), generation=4)

        ready = get_condition(after["conditions"], "Ready")
        assert ready is not None
        assert (ready["status"], ready["observedGeneration"]) == ("False", 4)
        assert (
            ready["message"]
            == f"Kopia is opening the repository (meanwhile pod {POD} still serves)"
        )

    def test_a_secret_that_has_just_gone_leaves_a_server_ready(self) -> None:
        gone = Waiting(SERVER_SETUP, "WaitingForSecret", "a Secret is missing", keeps_ready=True)

        assert written(UP, outcome(gone, available=True)) == UP
        assert statuses(written(UP, outcome(gone)))[-2:] == ["False", "False"]
        assert statuses(written({}, outcome(gone, available=True)))[-2:] == ["True", "False"]

    def test_one_that_an_edit_names_does_not(self) -> None:
        gone = Waiting(SERVER_SETUP, "WaitingForSecret", "a Secret is missing", keeps_ready=True)

        after = written(UP, outcome(gone, available=True), generation=4)

        assert conditions(after)["Ready"] == ("False", "WaitingForSecret")

    def test_a_fault_beside_the_server_lets_it_come_up(self) -> None:
        peer = Problem(SERVER_SETUP, "NetworkPolicyInvalid", "a peer", blocks=False)

        assert statuses(written({}, outcome(peer, available=True))) == [
            "False", "True", "True", "True", "True", "True", "False"
        ]  # fmt: skip
        assert statuses(written({}, outcome(peer, WAITING))) == [
            "False", "Unknown", "Unknown", "Unknown", "Unknown", "False", "False"
        ]  # fmt: skip


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

        assert statuses(after) == ["True"] * 7
        times = {found["type"]: found["lastTransitionTime"] for found in after["conditions"]}
        assert times == {**dict.fromkeys(STEPS, EARLIER), "Available": AT, "Ready": AT}
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
        assert statuses(written(empty, HEALTHY)) == ["True"] * 7

    def test_its_servers_names_are_replaced(self) -> None:
        assert written(REMOVED, HEALTHY)["serverInfo"] == UP["serverInfo"]


class TestRepositoryUsers:
    def test_an_outcome_that_knows_of_none_leaves_the_number_that_is_recorded(self) -> None:
        unknown = attrs.evolve(HEALTHY, repository_users=None)

        assert written(UP, unknown)["repositoryUsers"] == 2


class TestServerInfo:
    def test_what_is_not_known_at_the_moment_stays_as_it_was(self) -> None:
        unknown = Outcome(verdicts=(SECRET_PROBLEM,), available=False)

        assert written(UP, unknown)["serverInfo"] == UP["serverInfo"]

    def test_of_what_was_never_known_there_is_no_field(self) -> None:
        unknown = Outcome(verdicts=(SECRET_PROBLEM,), available=False)

        assert written({}, unknown)["serverInfo"] == {}


@pytest.mark.parametrize(
    ("of", "word"),
    [
        pytest.param(HEALTHY, "Ready", id="it serves"),
        pytest.param(outcome(WAITING), "Pending", id="it is on its way"),
        pytest.param(outcome(), "Pending", id="it is about to serve"),
        pytest.param(outcome(WAITING, available=True), "Ready", id="an old pod serves meanwhile"),
        pytest.param(outcome(PROBLEM), "Failed", id="something needs mending"),
        pytest.param(outcome(PROBLEM, available=True), "Ready", id="not while an old pod serves"),
        pytest.param(outcome(WAITING, USER_PROBLEM), "Failed", id="even if all else is waiting"),
    ],
)
def test_progress_sums_it_up(of: Outcome, word: str) -> None:
    assert status.progress(of) == written({}, of)["progress"] == word
