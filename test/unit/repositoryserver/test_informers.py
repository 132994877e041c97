"""What of each object the informers keep."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from controller.resource import Object, Resource
from fakes import objects
from fakes.clock import FakeClock
from fakes.operator import FakeOperator
from fakes.recorder import FakeRecorder
from reconcilers import resources
from reconcilers.repositoryserver import informers
from reconcilers.repositoryserver.status.metrics import RepositoryServerCollector


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

    assert informers.trim_pod(pod) == {
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
    server = informers.trim_server(objects.repository_server(change))

    assert server["status"] == {"progress": "Failed", "conditions": [other]}
    registry = CollectorRegistry()
    registry.register(RepositoryServerCollector(lambda: [server], claims=lambda _: ()))
    assert b"repository_server_ready{" in generate_latest(registry)


def test_a_server_without_a_status_is_kept_as_it_is() -> None:
    server = objects.repository_server()

    assert informers.trim_server(objects.merged(server, {})) == server


def test_a_cached_endpoint_slice_names_the_pods_that_are_ready_and_no_addresses() -> None:
    ready: Object = {
        "addresses": ["10.0.0.1"],
        "conditions": {"ready": True},
        "targetRef": {"uid": "1"},
    }
    other: Object = {**ready, "conditions": {"ready": False}, "targetRef": {"uid": "2"}}
    unknown: Object = {"targetRef": {"uid": "3"}}
    metadata: Object = {"name": "files-abcde", "namespace": "backup"}
    counted: Object = {**metadata, "generation": 2, "annotations": {"changed": "now"}}

    assert informers.trim_slice(
        {"metadata": counted, "endpoints": [ready, other, unknown], "ports": []}
    ) == {
        "metadata": metadata,
        "endpoints": [{"targetRef": {"uid": "1"}}, {"targetRef": {"uid": "3"}}],
    }
    assert informers.trim_slice({"metadata": metadata, "endpoints": None})["endpoints"] == []


def test_a_cached_cron_job_has_all_but_the_template_of_its_jobs() -> None:
    metadata: Object = {"name": "repo-server-files-maintenance"}
    spec: Object = {"schedule": "@daily", "jobTemplate": {"spec": {"template": {}}}}

    assert informers.trim_cron_job({"metadata": metadata, "spec": spec, "status": {}}) == {
        "metadata": metadata,
        "spec": {"schedule": "@daily"},
    }


def test_a_cached_job_tells_what_came_of_it() -> None:
    metadata: Object = {"name": "run"}

    assert informers.trim_job({"metadata": metadata, "spec": {"template": {}}}) == {
        "metadata": metadata,
        "status": {},
    }


@pytest.mark.parametrize(
    "resource",
    [
        resources.REPLICA_SETS,
        resources.SECRETS,
        resources.SERVICES,
        resources.NETWORK_POLICIES,
        resources.CRON_JOBS,
        resources.PROFILES,
    ],
    ids=lambda resource: str(resource.plural),
)
def test_of_a_kind_that_is_written_all_objects_are_followed(resource: Resource) -> None:
    """One without our labels may have the name of ours: not seen, it would be taken over."""
    operator = FakeOperator(
        client=None,
        executor=None,
        recorder=FakeRecorder(),
        clock=FakeClock(),
        namespaces=("backup",),
        spawn=lambda _work: None,
    )
    informers.follow(operator)  # type: ignore[arg-type]  # the fake has what is called

    (followed,) = (one for one in operator.informers.all() if one.resource == resource)

    assert followed.selection.selects({"metadata": {"name": "theirs", "namespace": "backup"}})
