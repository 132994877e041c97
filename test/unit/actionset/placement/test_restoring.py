"""Which claims a restore mounts, and where."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.placed import container, mount, pod, seen
from reconcilers.actionset.placement import restoring
from reconcilers.actionset.placement.workload import Mount
from reconcilers.datafunctions.errors import Refused
from reconcilers.errors import InvalidInput

VOLUMES: dict[str, Any] = {
    "data": {"persistentVolumeClaim": {"claimName": "data"}},
    "logs": {"persistentVolumeClaim": {"claimName": "logs"}},
    "tmp": {"emptyDir": {}},
}
DATA = Mount("/data", "data", claim="data")
LOGS = Mount("/data/logs", "logs", claim="logs")


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        pytest.param(
            [container("db", mount("logs", "/data/logs"), mount("data", "/data"))],
            (DATA, LOGS),
            id="all claims, those above first",
        ),
        pytest.param(
            [
                container("db", mount("data", "/data")),
                container("tools", mount("logs", "/data/logs")),
            ],
            (DATA, LOGS),
            id="those of all containers",
        ),
        pytest.param(
            [container("db", mount("data", "/data")), container("tools", mount("data", "/data"))],
            (DATA,),
            id="what two containers share is mounted once",
        ),
        pytest.param(
            [container("db", mount("data", "/data"), mount("tmp", "/scratch"))],
            (DATA,),
            id="what is no claim is not restored to",
        ),
        pytest.param(
            [container("db", mount("data", "/data", subPath="pg"))],
            (Mount("/data", "data", claim="data", sub_path="pg"),),
            id="a folder of a claim stays one",
        ),
    ],
)
def test_the_claims_of_a_pod(containers: list[dict[str, Any]], expected: tuple[Mount, ...]) -> None:
    assert restoring.of_pod(seen(pod(*containers, volumes=VOLUMES))) == expected


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(mount("logs", "/data"), id="another claim"),
        pytest.param(mount("data", "/data", subPath="x"), id="another folder of the claim"),
        pytest.param(mount("tmp", "/data"), id="what is no claim"),
    ],
)
def test_a_path_that_means_two_things_is_refused(second: dict[str, Any]) -> None:
    made = pod(container("db", mount("data", "/data")), container("tools", second), volumes=VOLUMES)

    with pytest.raises(InvalidInput, match="containers db and tools of pod db-0 have different"):
        restoring.of_pod(seen(made))


def test_a_pod_without_claims_is_refused() -> None:
    made = pod(container("db", mount("tmp", "/scratch")), volumes=VOLUMES)

    with pytest.raises(InvalidInput, match="pod db-0 has no claim"):
        restoring.of_pod(seen(made))


def test_claims_that_are_named_are_mounted_where_the_arguments_say() -> None:
    assert restoring.of_volumes({"logs": "/data/logs/", "data": "/data"}) == (DATA, LOGS)


def test_two_claims_at_one_path_are_refused() -> None:
    with pytest.raises(InvalidInput, match="volumes has two claims at /data"):
        restoring.of_volumes({"a": "/data", "b": "/data/"})


def test_a_path_that_is_none_is_refused() -> None:
    with pytest.raises(Refused, match="argument volumes is not an absolute path"):
        restoring.of_volumes({"a": "data"})
