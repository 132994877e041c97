"""What the commands say, and their exit codes, where there is no cluster."""

from __future__ import annotations

import pytest

from clusterlib import cli, cluster, processes
from clusterlib.api import Api
from clusterlib.state import Record, State

pytestmark = pytest.mark.usefixtures("own_directories")


@pytest.mark.parametrize("command", ["status", "env"])
def test_asking_for_a_cluster_that_is_not_there_names_the_command_that_makes_it(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli.cluster_main([command, "--name", "one"])

    assert code == 1
    assert "hack/cluster up --name one" in capsys.readouterr().err


def test_taking_down_what_is_not_there_is_no_error() -> None:
    assert cli.cluster_main(["down", "--name", "one"]) == 0


def test_a_bad_name_is_an_error_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.cluster_main(["down", "--name", "../etc"])

    assert code == 1
    assert capsys.readouterr().err.startswith("error: --name '../etc'")


def test_the_environment_is_ready_for_eval(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/with space")
    state = State("one")
    state.write_record(Record(node=False, slot=0))

    assert cli.cluster_main(["env", "--name", "one"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"export KUBECONFIG={state.kubeconfig}",
        "export PATH='/usr/bin:/with space'",
    ]


def test_what_does_not_run_makes_the_status_fail(capsys: pytest.CaptureFixture[str]) -> None:
    State("one").write_record(Record(node=False, slot=0))

    code = cli.cluster_main(["status", "--name", "one"])

    assert code == 1
    assert "etcd                  does not run\n" in capsys.readouterr().out


def test_a_cluster_that_answers_late_is_not_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    state, answers = State("one"), iter([False, True])
    state.write_record(Record(node=False, slot=0))
    monkeypatch.setattr(processes, "running_components", lambda _: {"etcd": 1, "kube-apiserver": 2})
    monkeypatch.setattr(Api, "is_ready", lambda _: next(answers))
    monkeypatch.setattr(cluster, "installation", lambda *_, **__: pytest.fail("is made anew"))

    assert cli.cluster_main(["up", "--control-plane-only", "--name", "one"]) == 0

    assert next(answers, None) is None
    assert state.read_record() == Record(node=False, slot=0)


def test_building_what_is_not_on_the_list_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.cluster_main(["build", "kubelt"]) == 1
    assert "no kubelt" in capsys.readouterr().err
