"""What the soak is told, what it waits for, and what it says in the end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve

from controller.errors import ClientError
from soaklib import cli, memory, plan, report, session
from soaklib.clients import Counts
from soaklib.faults import FAULTS
from soaklib.memory import Sample
from soaklib.report import Outcome, Recovery


class TestArguments:
    def test_the_defaults_are_those_of_the_help(self) -> None:
        parsed = cli.parse([])

        assert (parsed.minutes, parsed.servers, parsed.name, parsed.keep, parsed.fault) == (
            30.0,
            3,
            "soak",
            False,
            [],
        )
        assert 0 <= parsed.seed < 10_000

    def test_a_seed_is_taken_as_it_is(self) -> None:
        assert cli.parse(["--seed", "7"]).seed == 7

    def test_faults_are_named_one_by_one(self) -> None:
        assert cli.parse(["--fault", "etcd", "--fault=the node"]).fault == ["etcd", "the node"]

    @pytest.mark.parametrize(
        ("argument", "said"),
        [
            ("--minutes=0", "'0' is no positive number"),
            ("--minutes=-1", "'-1' is no positive number"),
            ("--minutes=soon", "'soon' is no positive number"),
            ("--servers=1", "'1' is not 2 or more"),
            ("--servers=many", "'many' is not 2 or more"),
        ],
    )
    def test_what_cannot_be_is_refused(
        self, argument: str, said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            cli.parse([argument])

        assert said in capsys.readouterr().err


class TestPlan:
    def test_every_fault_has_a_name_of_its_own(self) -> None:
        assert len({fault.name for fault in FAULTS}) == len(FAULTS)

    def test_half_an_hour_is_enough_for_each_fault_once(self) -> None:
        assert plan.round_seconds(FAULTS) < 30 * 60

    def test_all_faults_are_chosen_unless_some_are_named(self) -> None:
        assert plan.chosen([]) == list(FAULTS)
        assert {fault.name for fault in plan.chosen(["the leader is paused", "etcd"])} == {
            "the leader is paused",
            "etcd is killed and started again",
        }

    def test_a_fault_that_nobody_knows_is_told_with_those_that_there_are(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert plan.main(1.0, ["meteorite"]) == 1

        said = capsys.readouterr().err
        assert "no fault is called 'meteorite'" in said
        assert all(fault.name in said for fault in FAULTS)

    @pytest.mark.parametrize(
        ("minutes", "said"),
        [
            pytest.param(
                3.0,
                "2 faults, which once each take about 2 minutes: 3 minutes are time for 2.0 rounds",
                id="time enough",
            ),
            pytest.param(
                0.5,
                "2 faults, which once each take about 2 minutes: 0.5 minutes are time for 0.3 "
                "rounds; not every fault will come",
                id="too short",
            ),
        ],
    )
    def test_what_a_time_is_enough_for(self, minutes: float, said: str) -> None:
        faults = [evolve(FAULTS[0], seconds=60.0), evolve(FAULTS[0], seconds=0.0)]

        assert plan.describe(faults, minutes) == said


def samples(*megabytes: float, process: str = "controller-x 0", since: float = 0.0) -> list[Sample]:
    return [Sample(since + 10.0 * number, process, value) for number, value in enumerate(megabytes)]


class TestMemory:
    @pytest.mark.parametrize(
        "measured",
        [
            pytest.param(samples(50.0), id="a process that has only begun"),
            pytest.param(samples(50.0, 90.0, 91.0, 95.0), id="does each thing once, and stays"),
            pytest.param(
                [*samples(70.0, 71.0), *samples(60.0, 72.0, process="y 0", since=20.0)],
                id="the next process needs as much",
            ),
        ],
    )
    def test_is_flat(self, measured: list[Sample]) -> None:
        assert memory.growth(measured) == []

    @pytest.mark.parametrize(
        ("measured", "said"),
        [
            pytest.param(
                samples(50.0, 60.0, 61.0, 70.0, 80.0, 60.0, 78.0),
                ["process controller-x 0 grew from 61.0 to 78.0 MB"],
                id="one process grows on",
            ),
            pytest.param(
                [*samples(70.0, 71.0), *samples(60.0, 88.0, process="y 0", since=20.0)],
                [
                    "the processes had 71.0 MB at most in the first half of the time, then 88.0",
                ],
                id="each process needs more than the one before",
            ),
            pytest.param([], ["nothing was measured"], id="nobody knows"),
        ],
    )
    def test_is_not_flat(self, measured: list[Sample], said: list[str]) -> None:
        assert memory.growth(measured) == said


def outcome(**changes: Any) -> Outcome:
    """Build what a soak came to in which all is well, with two clients."""
    well = Outcome(
        faults=["Kopia is killed", "the node is lost"],
        recoveries=[
            Recovery("Kopia is killed", "server-0", 0.04, 0.0, 3.0),
            Recovery("Kopia is killed", "server-1", 5.0, 0.0, 5.0),
        ],
        samples=samples(50.0),
        counts=[Counts(done=4, failed=1, restored=3)] * 2,
        lost=[],
        ready=2,
    )
    return evolve(well, **changes)


class TestReport:
    def test_a_soak_in_which_all_came_back_is_well(self) -> None:
        first = {"fault": "Kopia is killed", "server": "server-0", "at": 0.0, "held": 0.0}
        second = {**first, "server": "server-1", "at": 5.0}
        assert report.figures(outcome()) == {
            "ok": True,
            "failures": [],
            "faults": [
                {**first, "recovery": 3.0, "trouble": ""},
                {**second, "recovery": 5.0, "trouble": ""},
            ],
            "faults_that_did_not_come": ["the node is lost"],
            "backups_done": 8,
            "backups_failed": 2,
            "restores_compared": 6,
            "restores_failed_meanwhile": 0,
            "backups_lost": 0,
            "servers": 2,
            "servers_ready": 2,
            "memory_megabytes": {"controller-x 0": [50.0]},
        }

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            pytest.param(
                {"recoveries": [Recovery("the node is lost", "server-0", 0.0, 75.0, None)]},
                "the node is lost: not over by itself",
                id="a fault that is not over by itself",
            ),
            pytest.param(
                {"recoveries": [Recovery("the node is lost", "server-0", 0.0, 0.0, 1.0, "no")]},
                "the node is lost: no",
                id="a fault that could not be made",
            ),
            pytest.param({"lost": ["k1"]}, "snapshot k1 is lost", id="a lost backup"),
            pytest.param(
                {"ready": 1},
                "1 of 2 servers are Ready in the end",
                id="a server that is not Ready in the end",
            ),
            pytest.param(
                {"counts": [Counts(done=1), Counts()]},
                "a client has not backed up at all",
                id="a client that proves nothing",
            ),
            pytest.param({"samples": []}, "nothing was measured", id="memory that is not known"),
        ],
    )
    def test_a_soak_is_not_well_with(self, changes: dict[str, Any], said: str) -> None:
        found = report.figures(outcome(**changes))

        assert found["ok"] is False
        assert said in found["failures"]

    def test_the_table_tells_how_often_each_fault_came(self) -> None:
        assert report.table(outcome()).splitlines() == [
            "fault             times  median, s  worst, s",
            "Kopia is killed       2        4.0       5.0",
            "the node is lost      0                     ",
        ]

    def test_the_table_tells_of_a_fault_that_is_not_over(self) -> None:
        recoveries = [Recovery("Kopia is killed", "server-0", 0.0, 0.0, None)]

        rows = report.table(outcome(recoveries=recoveries)).splitlines()

        assert rows[1] == "Kopia is killed       1                never"


class FakeServer:
    """A server with all that it should have."""

    name = "server-0"

    def __init__(self) -> None:
        self.cluster = self
        self.gone: set[str] = set()
        self.status = "True"
        self.away = False

    def get(self, _resource: object = None, name: str = "") -> Any:
        if self.away:
            raise ClientError("away")
        if name:
            return None if name in self.gone else {}
        info = {"podName": "pod", "serviceName": "service", "networkPolicyName": "policy"}
        ready = {"type": "Ready", "status": self.status}
        status = {
            "conditions": [ready],
            "progress": "Ready",
            "observedGeneration": 1,
            "serverInfo": info,
        }
        return {"metadata": {"generation": 1}, "status": status}


class TestRecovery:
    def lacks(self, server: FakeServer, *, backed_up: bool = True) -> list[str]:
        loop: Any = SimpleNamespace(
            server=server, has_backed_up_since=lambda _since: backed_up, failure="exit code 1"
        )
        return session.lacks(loop, 1.0)

    def test_a_server_that_is_of_use_lacks_nothing(self) -> None:
        assert self.lacks(FakeServer()) == []

    def test_a_server_that_is_not_ready_is_of_no_use(self) -> None:
        server = FakeServer()
        server.status = "False"

        (said,) = self.lacks(server)

        assert said.startswith("server-0 is not Ready: ")

    @pytest.mark.parametrize(
        ("gone", "said"),
        [
            ("pod", "server-0 has no Pod pod"),
            ("service", "server-0 has no Service service"),
            ("policy", "server-0 has no NetworkPolicy policy"),
        ],
    )
    def test_what_was_deleted_has_to_come_back(self, gone: str, said: str) -> None:
        server = FakeServer()
        server.gone.add(gone)

        assert self.lacks(server) == [said]

    def test_a_client_has_to_back_up_again(self) -> None:
        assert self.lacks(FakeServer(), backed_up=False) == [
            "the client of server-0 has not backed up: exit code 1"
        ]

    def test_a_server_that_nobody_can_tell_of_is_not_of_use(self) -> None:
        server = FakeServer()
        server.away = True

        assert self.lacks(server) == ["server-0 cannot be looked at: away"]

    @pytest.mark.parametrize(
        ("status", "process"),
        [
            ({"restartCount": 2, "state": {"running": {}}}, "controller-x 2"),
            ({"restartCount": 2, "state": {"waiting": {}}}, ""),
            (None, ""),
        ],
        ids=["it runs", "it waits to be started again", "the kubelet has not told yet"],
    )
    def test_only_a_process_that_runs_is_measured(
        self, status: dict[str, Any] | None, process: str
    ) -> None:
        statuses = {} if status is None else {"containerStatuses": [status]}
        pod = {"metadata": {"name": "controller-x"}, "status": statuses}

        assert session.running_process(pod) == process
