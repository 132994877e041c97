"""Verdicts become the status: each on the condition of its step."""

from datetime import UTC, datetime, timedelta

import pytest

from controller.conditions import parse_time, timestamp
from fakes.statuses import (
    AT,
    CLIENT_USER_INITIALIZED,
    HEALTHY,
    NOW,
    POD,
    PROBLEM,
    REMOVED,
    REPOSITORY_CONNECTED,
    SECRET_PROBLEM,
    SERVER_INITIALIZED,
    SERVER_REFRESHED,
    SERVER_SETUP,
    UP,
    USER_PROBLEM,
    WAITING,
    Object,
    conditions,
    message,
    outcome,
    statuses,
    written,
)
from reconcilers.repositoryserver.status.conditions import Outcome, desired_status
from reconcilers.repositoryserver.verdict import Problem


def test_a_time_is_written_and_read_as_kubernetes_does() -> None:
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    assert timestamp(when) == "2026-01-02T03:04:05Z"
    assert parse_time("2026-01-02T03:04:05Z") == when


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
