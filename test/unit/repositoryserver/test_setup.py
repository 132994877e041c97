"""Which change wakes which RepositoryServer, and how often what fails is tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from controller.controller import Controller
from controller.reconcile import Request
from fakes import objects
from fakes.clock import FakeClock
from fakes.operator import FakeOperator, queued
from fakes.recorder import FakeRecorder
from reconcilers import resources
from reconcilers.repositoryserver import api, informers
from reconcilers.repositoryserver import setup as subject
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.reconciler import RepositoryServerReconciler
from reconcilers.settings import PodDefaults, Settings

if TYPE_CHECKING:
    from controller.resource import Object, Resource

OURS = {"apiVersion": "cr.kanister.io/v1alpha1", "kind": api.KIND, "name": "files", "uid": "1"}
REVISION = "files-0123456789"
FILES, TWIN, USER = (Request("backup", name) for name in ("files", "twin", "user"))


@define
class SetUp:
    """An operator with the controller of RepositoryServers, and what it was made with.

    Attributes:
        made: The arguments of the controller and of the reconciler.
    """

    made: dict[str, Any] = field(factory=dict)
    operator: FakeOperator = field(init=False)

    def __attrs_post_init__(self) -> None:
        def make(name: str, reconciler: Any, **options: Any) -> Controller:
            self.made |= options
            return Controller(name, reconciler, **options)

        self.operator = FakeOperator(
            client=None,
            executor=None,
            recorder=FakeRecorder(),
            clock=FakeClock(),
            namespaces=("backup",),
            spawn=lambda _work: None,
            make_controller=make,
        )

    def woken_by(self, resource: Resource, *shown: Object) -> set[Request]:
        """Return who is woken when the watch shows states of objects, one after the other."""
        for obj in shown:
            self.operator.shown(resource).show(obj)
        (controller,) = self.operator.controllers
        return set(queued(controller))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> SetUp:
    """Set up with two replacements at once; two servers share a repository."""
    found = SetUp()

    class Recorded(RepositoryServerReconciler):
        def __init__(self, **dependencies: Any) -> None:
            found.made.update(dependencies)
            super().__init__(**dependencies)

    monkeypatch.setattr(subject, "RepositoryServerReconciler", Recorded)
    subject.setup(
        found.operator,  # type: ignore[arg-type]  # the fake has what is called
        settings=Settings(
            image=objects.IMAGE, pod=PodDefaults(service_account_name=getattr(request, "param", ""))
        ),
        workers=3,
        max_replacements=2,
    )
    for shared in (FILES, TWIN):
        found.made["repositories"].examined(shared, "one and the same")
    found.woken_by(api.REPOSITORY_SERVERS)
    return found


def obj(version: int, name: str = "child") -> Object:
    metadata: Object = {
        "namespace": "backup",
        "name": name,
        "uid": name,
        "resourceVersion": str(version),
        "ownerReferences": [OURS],
    }
    return {"metadata": metadata, "spec": {}}


def server(version: int, name: str = "files", **status: Any) -> Object:
    metadata = {"metadata": {"namespace": "backup", "name": name, "resourceVersion": str(version)}}
    return objects.repository_server({**metadata, "status": status})


def test_what_is_refused_is_tried_again_within_a_minute(made: SetUp) -> None:
    delays = [made.made["rate_limiter"].when(FILES) for _ in range(30)]

    assert delays[:3] == [0.005, 0.01, 0.02]
    assert max(delays) == delays[-1] == 60.0


def test_no_more_are_at_work_at_once_than_the_flags_say(made: SetUp) -> None:
    assert made.made["workers"] == 3
    granted = [made.made["slots"].acquire(one) for one in (FILES, TWIN, USER)]
    assert granted == [True, True, False]


def test_the_status_that_a_reconcile_has_written_wakes_nobody(made: SetUp) -> None:
    assert made.woken_by(api.REPOSITORY_SERVERS, server(1)) == {FILES}
    made.operator.informers.written(api.REPOSITORY_SERVERS, server(2))

    assert made.woken_by(api.REPOSITORY_SERVERS, server(2)) == set()
    assert made.woken_by(api.REPOSITORY_SERVERS, server(3)) == {FILES}


def test_the_metrics_name_the_claim_that_a_server_has_its_repository_on(made: SetUp) -> None:
    shown = server(1)
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "disk"}}]
    owned = obj(1, REVISION)
    owned["metadata"]["ownerReferences"] = [{**OURS, "uid": shown["metadata"]["uid"]}]
    owned["spec"] = {"replicas": 1, "template": {"spec": {"volumes": volumes}}}
    made.woken_by(api.REPOSITORY_SERVERS, shown)

    made.woken_by(resources.REPLICA_SETS, informers.trim_replica_set(owned))

    labels = {"namespace": "backup", "name": "files", "persistentvolumeclaim": "disk"}
    assert made.operator.registry.get_sample_value("repository_server_file_store_info", labels) == 1


@pytest.mark.parametrize(
    ("made", "default"),
    [
        pytest.param("", "default", id="the namespace's own"),
        pytest.param("all", "all", id="that of the settings"),
    ],
    indirect=["made"],
)
def test_an_account_wakes_the_servers_that_run_as_it(made: SetUp, default: str) -> None:
    """The parameters are the settings' account, and that of a server which names none."""
    obj_ = server(1)
    obj_["spec"]["server"]["serviceAccountName"] = "cloud"
    made.woken_by(api.REPOSITORY_SERVERS, obj_, server(1, USER.name))

    assert made.woken_by(resources.SERVICE_ACCOUNTS, obj(1, "cloud")) == {FILES}
    assert made.woken_by(resources.SERVICE_ACCOUNTS, obj(2, default)) == {USER}
    assert made.woken_by(resources.SERVICE_ACCOUNTS, obj(3, "other")) == set()


def test_who_shares_a_repository_is_woken_when_another_one_comes_or_goes(made: SetUp) -> None:
    repositories = made.made["repositories"]

    repositories.examined(USER, "one and the same")
    assert made.woken_by(api.REPOSITORY_SERVERS) == {FILES, TWIN}
    repositories.examined(USER, "another")
    assert made.woken_by(api.REPOSITORY_SERVERS) == {FILES, TWIN}
    repositories.drop(TWIN)
    assert made.woken_by(api.REPOSITORY_SERVERS) == {FILES}


@pytest.mark.parametrize(
    "resource",
    [
        resources.REPLICA_SETS,
        resources.NETWORK_POLICIES,
        resources.SECRETS,
        resources.PROFILES,
    ],
    ids=lambda resource: resource.plural,
)
def test_a_child_that_a_reconcile_has_made_wakes_nobody_until_it_changes(
    made: SetUp, resource: Resource
) -> None:
    made.operator.informers.written(resource, obj(1))

    assert made.woken_by(resource, obj(1)) == set()
    changed = objects.merged(obj(2), {"metadata": {"labels": {"app": "files"}}})
    made.operator.informers.written(resource, changed)
    assert made.woken_by(resource, changed) == {FILES}, "what it changes on a child does"
    made.operator.shown(resource).show_deletion(obj(3))
    assert made.woken_by(resource) == {FILES}


def pod(version: int, **metadata: Any) -> Object:
    """Return a pod of the ReplicaSet `REVISION`."""
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": REVISION, "uid": REVISION}
    found = {
        "generateName": f"{REVISION}-",
        "labels": {names.LABEL_MANAGED_BY: names.MANAGER, names.LABEL_INSTANCE: "files"},
        "ownerReferences": [owner],
        **metadata,
    }
    result: Object = objects.merged(obj(version, f"{REVISION}-abcde"), {"metadata": found})
    return result


SCHEDULED = {"conditions": [{"type": "PodScheduled", "status": "True"}]}
#: Of a pod without the label of its server.
UNNAMED = {names.LABEL_MANAGED_BY: names.MANAGER}


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(pod(3), id="whose label names it"),
        pytest.param(pod(3, labels=None), id="whose ReplicaSet it owns"),
        pytest.param(
            pod(3, labels=UNNAMED, ownerReferences=None), id="that its ReplicaSet has released"
        ),
        pytest.param(
            pod(3, labels=None, ownerReferences=[OURS]), id="that the removed controller has made"
        ),
    ],
)
def test_a_pod_wakes_the_resource(made: SetUp, shown: Object) -> None:
    """One that was only just made does not: the scheduler is about to change it."""
    made.woken_by(api.REPOSITORY_SERVERS, server(1))
    made.operator.informers.written(resources.REPLICA_SETS, obj(2, REVISION))
    made.woken_by(resources.REPLICA_SETS, obj(2, REVISION))

    assert made.woken_by(resources.PODS, shown) == set()
    later = {"metadata": {"resourceVersion": "4"}, "status": SCHEDULED}
    scheduled = objects.merged(shown, later)
    assert made.woken_by(resources.PODS, scheduled) == {FILES}


def test_a_pod_that_is_there_at_the_start_wakes_the_resource(made: SetUp) -> None:
    made.woken_by(api.REPOSITORY_SERVERS, server(1))

    assert made.woken_by(resources.PODS, {**pod(3), "status": SCHEDULED}) == {FILES}


@pytest.mark.parametrize("name", ["files", "files.backup.example", "f" * 60])
def test_a_pod_that_nobody_owns_wakes_whoever_can_delete_it(made: SetUp, name: str) -> None:
    """The resource while it is there, and then a request that leads to the same pods."""
    prefix = names.versioned_prefix(name)
    generated = f"{prefix}-0123456789-"
    left = pod(3, labels=UNNAMED, ownerReferences=None, generateName=generated)
    left["status"] = SCHEDULED
    made.woken_by(api.REPOSITORY_SERVERS, server(1, name))

    assert made.woken_by(resources.PODS, left) == {Request("backup", name)}
    made.operator.shown(api.REPOSITORY_SERVERS).show_deletion(server(4, name))
    made.woken_by(api.REPOSITORY_SERVERS)
    left = objects.merged(left, {"metadata": {"resourceVersion": "5"}})
    (request,) = made.woken_by(resources.PODS, left)
    assert names.versioned_prefix(request.name) == prefix


SERVICE = "repo-server-files"


@pytest.mark.parametrize(
    ("seen_before", "woken"),
    [
        pytest.param([], set(), id="no EndpointSlice was: it routes nowhere yet"),
        pytest.param([False], set(), id="one without a pod that is ready was"),
        pytest.param([True], {FILES}, id="one with a ready pod was, and woke nobody"),
    ],
)
def test_a_service_that_a_reconcile_has_made_wakes_its_owner_if_it_routes_already(
    made: SetUp, seen_before: list[bool], woken: set[Request]
) -> None:
    for ready in seen_before:
        made.woken_by(resources.ENDPOINT_SLICES, endpoint_slice(2, endpoint(ready=ready)))
    made.operator.informers.written(resources.SERVICES, obj(1, SERVICE))

    assert made.woken_by(resources.SERVICES, obj(1, SERVICE)) == woken
    assert made.woken_by(resources.SERVICES, obj(2, SERVICE)) == {FILES}, "others change it"


def endpoint_slice(version: int, *endpoints: Object) -> Object:
    """Return an EndpointSlice of the Service of FILES, as its controller counts and dates it."""
    metadata = {
        "labels": {"kubernetes.io/service-name": "repo-server-files"},
        "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": f"at {version}"},
        "generation": version,
        "ownerReferences": [],
    }
    found: Object = objects.merged(obj(version, "slice"), {"metadata": metadata})
    return informers.trim_slice({**found, "endpoints": list(endpoints)})


def endpoint(*, ready: bool) -> Object:
    return {"targetRef": {"uid": "pod"}, "conditions": {"ready": ready}}


def replica_set(version: int, **status: Any) -> Object:
    found = {**obj(version, REVISION), "spec": {"replicas": 1}, "status": status}
    return informers.trim_replica_set(found)


REFUSED = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}


@pytest.mark.parametrize(
    ("resource", "before", "after", "woken"),
    [
        pytest.param(
            resources.ENDPOINT_SLICES,
            None,
            endpoint_slice(2, endpoint(ready=False)),
            set(),
            id="a slice is new, and nobody can connect",
        ),
        pytest.param(
            resources.ENDPOINT_SLICES,
            None,
            endpoint_slice(2, endpoint(ready=True)),
            {FILES},
            id="a slice is new, with a ready pod",
        ),
        pytest.param(
            resources.ENDPOINT_SLICES,
            endpoint_slice(2, endpoint(ready=True)),
            endpoint_slice(3, endpoint(ready=False)),
            {FILES},
            id="the pod of a slice is not ready any more",
        ),
        pytest.param(
            resources.ENDPOINT_SLICES,
            endpoint_slice(2),
            endpoint_slice(3, endpoint(ready=False)),
            set(),
            id="a slice has a pod that is not ready: nobody can connect",
        ),
        pytest.param(
            resources.ENDPOINT_SLICES,
            endpoint_slice(2, endpoint(ready=False)),
            endpoint_slice(3, endpoint(ready=True)),
            {FILES},
            id="the pod of a slice becomes ready",
        ),
        pytest.param(
            resources.REPLICA_SETS,
            replica_set(2, replicas=0),
            replica_set(3, replicas=1, readyReplicas=1),
            set(),
            id="a ReplicaSet counts pods that wake for themselves",
        ),
        pytest.param(
            resources.REPLICA_SETS,
            replica_set(2, replicas=0),
            replica_set(3, replicas=0, conditions=[REFUSED]),
            {FILES},
            id="a ReplicaSet may not make its pod",
        ),
    ],
)
def test_a_child_wakes_its_owner_by_what_is_read_of_it(
    made: SetUp, resource: Resource, before: Object | None, after: Object, woken: set[Request]
) -> None:
    made.woken_by(resources.SERVICES, obj(1, "repo-server-files"))
    if before is not None:
        made.woken_by(resource, before)

    assert made.woken_by(resource, after) == woken


def test_a_secret_wakes_who_names_it_even_if_a_reconcile_has_made_it(made: SetUp) -> None:
    made.woken_by(api.REPOSITORY_SERVERS, server(1, "user"))
    secret = obj(2, objects.TLS)
    made.operator.informers.written(resources.SECRETS, secret)

    assert made.woken_by(resources.SECRETS, secret) == {USER}


def test_a_job_wakes_the_owner_of_its_cron_job(made: SetUp) -> None:
    made.woken_by(resources.CRON_JOBS, obj(1, "maintenance"))
    job = obj(2, "run")
    reference = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "maintenance"}
    job["metadata"]["ownerReferences"] = [{**reference, "uid": "maintenance"}]

    assert made.woken_by(resources.JOBS, job) == {FILES}


def test_a_job_of_a_namesake_of_its_cron_job_wakes_nobody(made: SetUp) -> None:
    made.operator.informers.written(resources.CRON_JOBS, obj(1, "maintenance"))
    made.woken_by(resources.CRON_JOBS, obj(1, "maintenance"))
    job = obj(2, "run")
    reference = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "maintenance"}
    job["metadata"]["ownerReferences"] = [{**reference, "uid": "another"}]

    assert made.woken_by(resources.JOBS, job) == set()
