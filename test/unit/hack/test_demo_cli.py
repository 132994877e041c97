"""Which cluster the demo's arguments mean."""

from __future__ import annotations

import pytest

from demolib import arguments as cluster_arguments
from demolib import cli
from demolib.objects import Images
from demolib.target import GivenCluster, OwnCluster


@pytest.mark.parametrize(
    ("arguments", "target"),
    [
        pytest.param([], OwnCluster("demo"), id="none: a cluster of this machine"),
        pytest.param(["--name=mine"], OwnCluster("mine"), id="by another name"),
        pytest.param(
            ["--kubeconfig=file", "--image=controller:1"],
            GivenCluster(("--kubeconfig=file",), Images("controller:1", "")),
            id="a kubeconfig: its cluster, with the manifests' Kopia",
        ),
        pytest.param(
            ["--context=prod", "--image=controller:1", "--server-image=kopia:2"],
            GivenCluster(("--context=prod",), Images("controller:1", "kopia:2")),
            id="a context is enough",
        ),
        pytest.param(
            ["--kubeconfig=file", "--down"],
            GivenCluster(("--kubeconfig=file",), Images("", "")),
            id="nothing is pulled to remove it: no image needed",
        ),
    ],
)
def test_the_arguments_name_a_cluster(
    arguments: list[str], target: OwnCluster | GivenCluster
) -> None:
    assert cluster_arguments.target_of(cli.parse(arguments)) == target


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--kubeconfig=file"], "needs --image", id="nothing says what to run there"),
        pytest.param(["--image=a"], "go with --kubeconfig", id="an own cluster has built images"),
        pytest.param(["--server-image=a"], "go with --kubeconfig", id="and a built Kopia"),
        pytest.param(
            ["--context=a", "--image=a", "--name=b"], "--name goes with", id="two clusters"
        ),
        pytest.param(
            ["--kubeconfig=file", "--image=a", "--backend=s3"],
            "--backend s3 runs its store on this machine",
            id="pods of a cluster elsewhere reach no store here",
        ),
        pytest.param(
            ["--actionsets", "--backend=s3"],
            "--actionsets uses the server of the sample on a volume",
            id="the Blueprints name one server",
        ),
        pytest.param(["--backend=ftp"], "invalid choice: 'ftp'", id="a storage unknown"),
    ],
)
def test_contradictions_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        cli.parse(arguments)

    assert raised.value.code == 2
    assert message in capsys.readouterr().err
