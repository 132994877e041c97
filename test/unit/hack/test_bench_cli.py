"""What the arguments of the bench mean."""

from __future__ import annotations

import pytest

from benchlib import cli, queue
from demolib import arguments as cluster_arguments
from demolib.objects import Images
from demolib.target import GivenCluster, OwnCluster


def test_without_arguments_twelve_servers_on_a_cluster_of_its_own() -> None:
    parsed = cli.parse(["ready"])

    assert (parsed.command, parsed.servers, parsed.rounds, parsed.users) == ("ready", 12, 5, 1)
    assert cluster_arguments.target_of(parsed) == OwnCluster("bench")


def test_a_cluster_that_is_there_can_be_named() -> None:
    parsed = cli.parse(["idle", "--seconds=60", "--kubeconfig=file", "--image=controller:1"])

    assert (parsed.command, parsed.seconds) == ("idle", 60)
    assert cluster_arguments.target_of(parsed) == GivenCluster(
        ("--kubeconfig=file",), Images("controller:1", "")
    )


def test_a_contest_is_for_5000_servers_and_needs_no_cluster() -> None:
    parsed = cli.parse(["scale"])

    assert (parsed.command, parsed.servers, parsed.only) == ("scale", 5000, None)
    assert cli.parse(["scale", "--only=go", "--only=kopf"]).only == ["go", "kopf"]


def test_leaders_are_taken_away_ten_times_in_each_way() -> None:
    assert cli.parse(["failover"]).rounds == 10


def test_the_queue_is_measured_without_a_cluster() -> None:
    parsed = cli.parse(["queue"])

    assert parsed.command == "queue"
    assert not hasattr(parsed, "kubeconfig")


def test_passwords_are_changed_on_one_server_with_many_users() -> None:
    parsed = cli.parse(["rotate"])

    assert (parsed.command, parsed.users) == ("rotate", 50)
    assert not hasattr(parsed, "servers")


def test_two_hundred_action_sets_and_ten_thousand_that_have_ended() -> None:
    parsed = cli.parse(["actionsets"])

    assert (parsed.count, parsed.finished, parsed.rounds) == (200, 10_000, 3)


def test_a_server_is_taken_away_five_times_in_each_way() -> None:
    parsed = cli.parse(["recover"])

    assert (parsed.command, parsed.rounds) == ("recover", 5)
    assert not hasattr(parsed, "servers")


@pytest.mark.parametrize(
    ("figures", "code"),
    [
        pytest.param({"within_limits": True}, 0, id="within what is wanted"),
        pytest.param({"within_limits": False}, 1, id="beyond what is wanted"),
        pytest.param({}, 0, id="nothing in particular is wanted"),
    ],
)
def test_the_exit_code_says_whether_the_figures_are_within_the_limits(
    figures: dict[str, bool], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "measure", lambda: figures)

    assert cli.main(["queue"]) == code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param([], "required: command", id="what to measure must be said"),
        pytest.param(["ready", "--servers=0"], "'0' is not a number from 1 on", id="no servers"),
        pytest.param(["ready", "--rounds=x"], "'x' is not a number from 1 on", id="no number"),
        pytest.param(["idle", "--rounds=2"], "unrecognized", id="rounds belong to the other"),
        pytest.param(["recover", "--servers=2"], "unrecognized", id="one server is enough"),
        pytest.param(["scale", "--only=java"], "invalid choice", id="there are three only"),
        pytest.param(["scale", "--name=a"], "unrecognized", id="it has its own control plane"),
        pytest.param(["failover", "--name=a"], "unrecognized", id="so has this"),
        pytest.param(["idle", "--context=a"], "needs --image", id="nothing says what to run"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        cli.parse(arguments)

    assert raised.value.code == 2
    assert message in capsys.readouterr().err
