"""What is told of a contest, and what the fake nodes are told to do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchlib import fakecluster, objects, scalereport
from benchlib.audit import Request
from benchlib.starts import Result, Start

if TYPE_CHECKING:
    import pytest

    from demolib.objects import Object

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MIB = 2**20


def start(
    resident_mib: int = 50, newcomers: tuple[float, ...] = (), done: float | None = 4.0
) -> Start:
    verbs = ("watch", "list", "get", "get", "patch", "create")
    return Start(
        synced=1.0,
        done=done,
        limit=60.0,
        servers=2,
        reconciles=5,
        requests=[Request(verb, "pods", "", NOW, refused=False) for verb in verbs],
        newcomers=newcomers,
        cpu_seconds=2.5,
        control_plane={"kube-apiserver": 7.0, "etcd": 1.5, "kwok": 0.5},
        resident_bytes=resident_mib * MIB,
        peak_bytes=60 * MIB,
    )


def result(resident_mib: int = 50) -> Result:
    return Result(start(resident_mib, (0.1, 0.5, 0.2)), 0.25, start())


def test_watches_are_no_requests_of_a_server() -> None:
    assert start().per_server(writes=False) == 2.5
    assert start().per_server(writes=True) == 1.0
    assert start().rate == 0.5


def test_the_memory_is_compared_with_that_of_the_program_in_go(
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = {"ours": result(60), "go": result(50)}
    told = scalereport.report(results, {"ours": "this", "go": "other"}, 2)

    assert told["memory_ratio"] == 1.2
    assert told["contenders"]["ours"]["cold"]["newcomer_seconds"] == [0.1, 0.2, 0.5]
    assert told["contenders"]["go"]["warm"]["requests"]["get pods"] == 2
    printed = capsys.readouterr().out
    assert "has 1.20 times the memory" in printed
    assert "first write, worst s" in printed


def test_the_cpu_time_of_the_control_plane_is_told_with_that_of_the_contender(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = scalereport.report({"go": result()}, {"go": "other"}, 2)

    components = told["contenders"]["go"]["cold"]["control_plane_cpu_seconds"]
    assert components == {"etcd": 1.5, "kube-apiserver": 7.0, "kwok": 0.5}
    printed = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "CPU seconds of kube-apiserver 7.0" in printed
    assert "CPU seconds of etcd 1.5" in printed


def test_who_does_not_get_done_is_told_with_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    late = Result(start(done=None))
    told = scalereport.report({"kopf": late, "go": result()}, {"kopf": "kopf", "go": "other"}, 2)

    assert told["contenders"]["kopf"]["cold"]["done_seconds"] is None
    assert told["contenders"]["kopf"]["warm"] is None
    printed = capsys.readouterr().out.splitlines()
    done = [line.split("done, s")[1].split() for line in printed if "until every server" in line]
    assert done == [["not", "within", "60", "4.0"], ["-", "4.0"]]


def test_one_alone_is_compared_with_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert "memory_ratio" not in scalereport.report({"kopf": result()}, {"kopf": "kopf"}, 2)
    assert "times the memory" not in capsys.readouterr().out


def test_only_pods_that_have_a_node_become_ready() -> None:
    ready = next(one for one in fakecluster.stages() if one["metadata"]["name"] == "pod-ready")

    assert {"key": ".spec.nodeName", "operator": "Exists"} in ready["spec"]["selector"][
        "matchExpressions"
    ]
    assert "started: true" in ready["spec"]["next"]["statusTemplate"]


def test_a_claim_that_nobody_binds_comes_bound() -> None:
    claim: Object = {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "bench"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    volume, bound = objects.bound(claim)

    assert bound["spec"]["volumeName"] == volume["metadata"]["name"]
    assert volume["spec"]["claimRef"] == {"namespace": "bench", "name": "data"}
    assert "volumeName" not in claim["spec"]
