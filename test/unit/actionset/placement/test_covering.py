"""Which of a container's volumes a path is on, and whether another pod can see it there."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.placed import claim, container, mount, pod, seen
from reconcilers.actionset.placement import claims, covering
from reconcilers.actionset.placement.covering import Beside, OnlyInside
from reconcilers.errors import InvalidInput

VOLUMES: dict[str, Any] = {
    "data": {"persistentVolumeClaim": {"claimName": "data"}},
    "logs": {"persistentVolumeClaim": {"claimName": "logs"}},
    "only": {"persistentVolumeClaim": {"claimName": "only"}},
    "cache": {"emptyDir": {}},
    "host": {"hostPath": {"path": "/x"}},
}
CLAIMS = {
    name: claims.read(claim(name, modes=modes))
    for name, modes in {
        "data": ("ReadWriteOnce",),
        "logs": ("ReadWriteMany",),
        "only": ("ReadWriteOncePod",),
    }.items()
}


def decide(path: str, *mounts: dict[str, Any]) -> Beside | OnlyInside:
    found = seen(pod(container("db", *mounts), volumes=VOLUMES)).container("db")
    named = covering.claims_of(found, path)
    return covering.decide(found, path, {name: CLAIMS[name] for name in named})


@pytest.mark.parametrize(
    ("path", "mounts", "expected"),
    [
        pytest.param("/data", [("data", "/data")], ["/data"], id="a volume itself"),
        pytest.param("/data/a/b", [("data", "/data")], ["/data"], id="a folder of it"),
        pytest.param(
            "/data/a",
            [("data", "/data"), ("logs", "/logs")],
            ["/data"],
            id="a volume elsewhere is not needed",
        ),
        pytest.param(
            "/data",
            [("logs", "/data/logs"), ("data", "/data")],
            ["/data", "/data/logs"],
            id="a volume below it is needed as well, after the one above",
        ),
        pytest.param(
            "/data/logs/a",
            [("data", "/data"), ("logs", "/data/logs")],
            ["/data/logs"],
            id="the innermost volume counts",
        ),
        pytest.param(
            "/data",
            [("data", "/data"), ("only", "/database")],
            ["/data"],
            id="a name that begins alike is another folder",
        ),
        pytest.param("/data", [("data", "/")], ["/"], id="a volume at the root has all"),
    ],
)
def test_another_pod_needs_the_claims_that_the_path_is_on(
    path: str, mounts: list[tuple[str, str]], expected: list[str]
) -> None:
    found = decide(path, *(mount(*one) for one in mounts))

    assert isinstance(found, Beside)
    assert [one.path for one in found.mounts] == expected
    assert found.left_out == ()


@pytest.mark.parametrize(
    ("path", "mounts", "why"),
    [
        pytest.param(
            "/etc",
            [("data", "/data")],
            "/etc is on the container's own file system",
            id="a folder of the image",
        ),
        pytest.param(
            "/",
            [("data", "/data")],
            "/ is on the container's own file system",
            id="all of it: a volume below is not all",
        ),
        pytest.param(
            "/cache/a",
            [("cache", "/cache")],
            "/cache/a is on volume cache, which is no claim but emptyDir",
            id="an emptyDir",
        ),
        pytest.param(
            "/host",
            [("host", "/host")],
            "/host is on volume host, which is no claim but hostPath",
            id="a folder of the node",
        ),
        pytest.param(
            "/data/cache",
            [("data", "/data"), ("cache", "/data/cache")],
            "/data/cache is on volume cache, which is no claim but emptyDir",
            id="an emptyDir below a claim",
        ),
        pytest.param(
            "/only",
            [("only", "/only")],
            "/only is on claim only, which is ReadWriteOncePod",
            id="a claim for one pod",
        ),
    ],
)
def test_what_only_the_container_sees(path: str, mounts: list[tuple[str, str]], why: str) -> None:
    assert decide(path, *(mount(*one) for one in mounts)) == OnlyInside(why)


@pytest.mark.parametrize(
    ("below", "told"),
    [
        pytest.param(
            "cache",
            "/data/x is on volume cache, which is no claim but emptyDir: what is in it is not in "
            "the backup",
            id="an emptyDir",
        ),
        pytest.param(
            "only",
            "/data/x is on claim only, which is ReadWriteOncePod: what is in it is not in the "
            "backup",
            id="a claim for one pod",
        ),
    ],
)
def test_what_is_below_and_cannot_be_seen_is_told(below: str, told: str) -> None:
    found = decide("/data", mount("data", "/data"), mount(below, "/data/x"))

    assert isinstance(found, Beside)
    assert [one.path for one in found.mounts] == ["/data"]
    assert found.left_out == (told,)


def test_a_raw_block_device_is_refused_by_its_name() -> None:
    made = container("db", volumeDevices=[{"name": "data", "devicePath": "/dev/raw"}])
    found = seen(pod(made, volumes=VOLUMES)).container("db")

    with pytest.raises(InvalidInput, match="/dev/raw of container db is claim data as a raw block"):
        covering.decide(found, "/dev/raw", {})
