"""What the process is put together of: who wakes whom, and how often what fails is tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from controller.cache.store import Store
from controller.controller import Controller, Request, always
from controller.events import EVENTS, EventRecorder
from controller.leaderelection.fence import always_open
from controller.metrics import Metrics
from controller.rest.client import Client
from fakes import apiserver, objects
from fakes.apiserver import FakeApiServer
from fakes.clock import FakeClock
from reconcilers import wiring
from reconcilers.options import parse_options
from reconcilers.repositoryserver import resources
from reconcilers.repositoryserver.metrics import RepositoryServerCollector
from reconcilers.repositoryserver.reconciler import RepositoryServerReconciler
from reconcilers.repositoryserver.sharing import Repositories

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.controller import Mapper, Predicate, Source
    from controller.manager import Manager
    from controller.resource import Object, Resource

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


class Woken:
    """Stands for the controller: who would be reconciled because of a change."""

    def __init__(self) -> None:
        self.watches: list[tuple[Source, Mapper, Predicate]] = []

    def watch(self, informer: Source, mapper: Mapper, *, predicate: Predicate = always) -> None:
        self.watches.append((informer, mapper, predicate))

    def by(self, resource: Resource, old: Object | None, new: Object | None) -> set[str]:
        return {
            request.name
            for informer, mapper, predicate in self.watches
            if informer.resource == resource and predicate(old, new)
            for request in mapper(new or old or {})
        }


class TestWaking:
    """What this process has written itself, and what others have to hear of it."""

    @pytest.fixture
    def sources(self, server: FakeApiServer) -> wiring.Sources:
        metrics = Metrics(CollectorRegistry())
        clock = FakeClock()
        client = Client(server.transport(metrics), field_manager="test")
        return wiring.Sources(client, "backup", clock, metrics, 3600.0)

    @pytest.fixture
    def woken(self, sources: wiring.Sources) -> Woken:
        repositories, loop = Repositories(), Woken()
        for name in ("files", "twin"):
            repositories.examined(Request("backup", name), "one and the same")
        sources.wake(loop, repositories)  # type: ignore[arg-type]  # the fake has what is called
        return loop

    def obj(self, version: int, name: str = "child") -> Object:
        metadata: Object = {
            "namespace": "backup",
            "name": name,
            "uid": name,
            "resourceVersion": str(version),
            "ownerReferences": [OURS],
        }
        return {"metadata": metadata}

    def test_the_status_that_a_pass_has_written_wakes_nobody(
        self, sources: wiring.Sources, woken: Woken
    ) -> None:
        before, ours, later = (self.obj(version, "files") for version in (1, 2, 3))
        sources.caches.servers.mutated(ours)

        assert woken.by(resources.REPOSITORY_SERVERS, before, ours) == set()
        assert woken.by(resources.REPOSITORY_SERVERS, ours, later) == {"files"}

    def test_who_shares_a_repository_is_woken_when_another_one_has_found_so_or_is_gone(
        self, sources: wiring.Sources, woken: Woken
    ) -> None:
        before, ours = (self.obj(version, "files") for version in (1, 2))
        ours["status"] = {"conditions": [{"type": "RepositoryShared", "status": "True"}]}
        sources.caches.servers.mutated(ours)

        assert woken.by(resources.REPOSITORY_SERVERS, before, ours) == {"twin"}
        assert woken.by(resources.REPOSITORY_SERVERS, ours, None) == {"files", "twin"}

    @pytest.mark.parametrize(
        "resource",
        [resources.PODS, resources.NETWORK_POLICIES, resources.SECRETS],
        ids=lambda resource: resource.plural,
    )
    def test_a_child_that_a_pass_has_made_wakes_nobody(
        self, sources: wiring.Sources, woken: Woken, resource: Resource
    ) -> None:
        caches = {
            resources.PODS: sources.caches.pods,
            resources.NETWORK_POLICIES: sources.caches.network_policies,
            resources.SECRETS: sources.caches.secrets,
        }
        made, changed = self.obj(1), self.obj(2)
        caches[resource].mutated(made)

        assert woken.by(resource, None, made) == set()
        assert woken.by(resource, made, changed) == {"files"}
        assert woken.by(resource, changed, None) == {"files"}

    def test_what_a_pass_changes_on_a_child_wakes_its_owner(
        self, sources: wiring.Sources, woken: Woken
    ) -> None:
        changed = self.obj(2)
        sources.caches.pods.mutated(changed)

        assert woken.by(resources.PODS, self.obj(1), changed) == {"files"}

    def test_a_service_that_a_pass_has_made_wakes_its_owner(
        self, sources: wiring.Sources, woken: Woken
    ) -> None:
        sources.caches.services.mutated(made := self.obj(1))

        assert woken.by(resources.SERVICES, None, made) == {"files"}

    def test_a_secret_that_a_pass_has_made_wakes_who_names_it(
        self, sources: wiring.Sources, woken: Woken
    ) -> None:
        user = objects.repository_server({"metadata": {"name": "user", "namespace": "backup"}})
        sources.servers.update(user)
        sources.caches.secrets.mutated(made := self.obj(1, objects.TLS))

        assert woken.by(resources.SECRETS, None, made) == {"user"}


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

    def test_with_it_all_that_writes_is_fenced_but_the_elector_and_events(
        self, server: FakeApiServer, clients: dict[str, list[bool]]
    ) -> None:
        build(server, "--leader-elect")

        assert clients == {"Client": [False, True], "Executor": [True]}

    def test_an_event_tells_of_the_end_of_leading_when_the_fence_is_closed(
        self, server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        delivering: list[Client] = []

        def record(client: Client, **options: Any) -> EventRecorder:
            delivering.append(client)
            return EventRecorder(client, **options)

        monkeypatch.setattr(wiring, "EventRecorder", record)
        build(server, "--leader-elect")
        server.expect(apiserver.ok({}))

        delivering[0].create(EVENTS, "kanister", {})

        assert len(server.requests) == 1


def test_a_cached_pod_has_of_its_spec_the_node() -> None:
    status: Object = {"phase": "Running"}
    pod: Object = {
        "metadata": {"name": "files", "managedFields": []},
        "spec": {
            "nodeName": "node",
            "volumes": [{"name": "data"}],
            "containers": [{"name": "kopia", "image": "kopia:1", "env": []}],
        },
        "status": status,
    }

    assert wiring.trim_pod(pod) == {
        "metadata": {"name": "files"},
        "spec": {"nodeName": "node"},
        "status": status,
    }


WHOLE: Object = {
    "type": "Ready",
    "status": "False",
    "reason": "SecretMissing",
    "message": "no Secret",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


@pytest.mark.parametrize("missing", ["status", "reason", "message", "lastTransitionTime"])
def test_a_condition_that_another_hand_has_left_unfinished_is_as_if_it_were_not_there(
    missing: str,
) -> None:
    unfinished = {field: value for field, value in WHOLE.items() if field != missing}
    other = {**WHOLE, "type": "ServerSetup"}
    change: Object = {"status": {"progress": "Failed", "conditions": [unfinished, other]}}
    servers = Store()

    servers.add(wiring.trim_server(objects.repository_server(change)))

    (server,) = servers.list()
    assert server["status"] == {"progress": "Failed", "conditions": [other]}
    registry = CollectorRegistry()
    registry.register(RepositoryServerCollector(servers))
    assert b"repository_server_ready{" in generate_latest(registry)


def test_a_server_without_a_status_is_kept_as_it_is() -> None:
    server = objects.repository_server()

    assert wiring.trim_server(objects.merged(server, {})) == server


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
