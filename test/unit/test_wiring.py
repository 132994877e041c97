"""What the process is put together of: who wakes whom, and how often what fails is tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from controller.controller import Controller, Request
from controller.fence import always_open
from fakes.apiserver import FakeApiServer
from fakes.clock import FakeClock
from reconcilers import wiring
from reconcilers.options import parse_options
from reconcilers.repositoryserver.reconciler import RepositoryServerReconciler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.manager import Manager
    from controller.resource import Object

NO_PORTS = ["--metrics-bind-address=0", "--health-probe-bind-address=0"]


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as made:
        yield made


def build(server: FakeApiServer, *flags: str) -> Manager:
    options = parse_options([*NO_PORTS, *flags], {})
    return wiring.build(options, "backup", server.api_client(), FakeClock())


def test_what_is_refused_is_tried_again_within_a_minute(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, Any] = {}

    class Recorded(Controller):
        def __init__(self, name: str, *arguments: Any, **options: Any) -> None:
            made.update(options)
            super().__init__(name, *arguments, **options)

    monkeypatch.setattr(wiring, "Controller", Recorded)
    build(server)

    delays = [made["rate_limiter"].when(Request("backup", "files")) for _ in range(30)]

    assert delays[:3] == [0.005, 0.01, 0.02]
    assert max(delays) == delays[-1] == 60.0


def test_no_more_servers_are_replaced_at_once_than_the_flag_says(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, Any] = {}

    class Recorded(RepositoryServerReconciler):
        def __init__(self, **dependencies: Any) -> None:
            made.update(dependencies)
            super().__init__(**dependencies)

    monkeypatch.setattr(wiring, "RepositoryServerReconciler", Recorded)
    build(server, "--max-concurrent-replacements=2")

    servers = [Request("backup", name) for name in ("files", "mails", "videos")]
    assert [made["turns"].take(one) for one in servers] == [True, True, False]


def reference(api_version: str, kind: str, name: str, uid: str = "1") -> Object:
    return {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid}


OURS = reference("cr.kanister.io/v1alpha1", "RepositoryServer", "files")


@pytest.mark.parametrize(
    ("references", "names"),
    [
        pytest.param([OURS], ["files"], id="a child wakes its owner"),
        pytest.param(
            [{**OURS, "uid": "of-a-predecessor"}],
            ["files"],
            id="the child of a resource that is gone wakes its successor of the same name",
        ),
        pytest.param(
            [{**OURS, "apiVersion": "cr.kanister.io/v1beta1"}],
            ["files"],
            id="the version of the group does not matter",
        ),
        pytest.param(
            [OURS, reference("cr.kanister.io/v1alpha1", "RepositoryServer", "mail")],
            ["files", "mail"],
            id="every owner is woken",
        ),
        pytest.param(
            [
                reference("apps/v1", "ReplicaSet", "files"),
                reference("cr.kanister.io/v1alpha1", "Blueprint", "files"),
                reference("v1", "RepositoryServer", "files"),
            ],
            [],
            id="another kind or group is none of ours",
        ),
        pytest.param(None, [], id="an object without an owner wakes nobody"),
    ],
)
def test_owners(references: list[Object] | None, names: list[str]) -> None:
    metadata = {"namespace": "backup", "name": "child", "ownerReferences": references}

    found = list(wiring.owners({"metadata": metadata}))

    assert found == [Request("backup", name) for name in names]


class TestElection:
    @pytest.fixture
    def clients(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[bool]]:
        """Who is made with a fence."""
        made: dict[str, list[bool]] = {}
        for name in ("Client", "Executor"):
            original = getattr(wiring, name)

            def record(
                *arguments: Any, name: str = name, original: Any = original, **options: Any
            ) -> Any:
                made.setdefault(name, []).append(options.get("fence", always_open) != always_open)
                return original(*arguments, **options)

            monkeypatch.setattr(wiring, name, record)
        return made

    def test_without_it_nothing_is_fenced(
        self, server: FakeApiServer, clients: dict[str, list[bool]]
    ) -> None:
        build(server)

        assert clients == {"Client": [False, False], "Executor": [False]}

    def test_with_it_all_that_writes_is_fenced_but_the_elector(
        self, server: FakeApiServer, clients: dict[str, list[bool]]
    ) -> None:
        build(server, "--leader-elect")

        assert clients == {"Client": [False, True], "Executor": [True]}


def test_a_cached_pod_has_of_its_spec_what_a_reconcile_reads() -> None:
    status: Object = {"phase": "Running"}
    pod: Object = {
        "metadata": {"name": "files", "managedFields": []},
        "spec": {
            "nodeName": "node",
            "volumes": [{"name": "data"}],
            "initContainers": [{"name": "proxy", "image": "proxy:1", "env": []}],
            "containers": [{"name": "kopia", "image": "kopia:1", "env": []}],
        },
        "status": status,
    }

    assert wiring.trim_pod(pod) == {
        "metadata": {"name": "files"},
        "spec": {
            "nodeName": "node",
            "initContainers": [{"name": "proxy", "image": "proxy:1"}],
            "containers": [{"name": "kopia", "image": "kopia:1"}],
        },
        "status": status,
    }


def test_a_cached_endpoint_slice_tells_of_pods_and_no_addresses() -> None:
    endpoint: Object = {
        "addresses": ["10.0.0.1"],
        "conditions": {"ready": True},
        "targetRef": {"uid": "1"},
    }
    metadata: Object = {"name": "files-abcde", "namespace": "backup"}

    assert wiring.trim_slice({"metadata": metadata, "endpoints": [endpoint], "ports": []}) == {
        "metadata": metadata,
        "endpoints": [{"conditions": {"ready": True}, "targetRef": {"uid": "1"}}],
    }
    assert wiring.trim_slice({"metadata": metadata, "endpoints": None})["endpoints"] == []
