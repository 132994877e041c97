"""The conditions that sum a server up, what stays of a status, and its progress."""

from datetime import timedelta

import attrs
import pytest

from controller.conditions import get_condition
from fakes.statuses import (
    AT,
    AWAY,
    EARLIER,
    HEALTHY,
    NOW,
    POD,
    PROBLEM,
    REMOVED,
    REPOSITORY_CONNECTED,
    SECRET_PROBLEM,
    SERVER_SETUP,
    UP,
    USER_PROBLEM,
    WAITING,
    Object,
    conditions,
    outcome,
    statuses,
    written,
)
from reconcilers.repositoryserver.status import conditions as status
from reconcilers.repositoryserver.status.conditions import Outcome, desired_status
from reconcilers.repositoryserver.verdict import STEPS, Problem, Waiting


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
