"""What Prometheus is told of RepositoryServers: exactly their status, as it stands in the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from controller.cache.store import Store
from fakes import objects
from reconcilers.repositoryserver.status.metrics import RepositoryServerCollector

if TYPE_CHECKING:
    from controller.resource import Object

IDENTITY = 'name="files",namespace="backup"'


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def registry(store: Store) -> CollectorRegistry:
    made = CollectorRegistry()
    made.register(RepositoryServerCollector(store.list, claims=claims_of))
    return made


def claims_of(server: Object) -> list[str]:
    """Return those that a test has put into the resource itself."""
    found: list[str] = server.get("claims", [])
    return found


def series(registry: CollectorRegistry) -> list[str]:
    lines = generate_latest(registry).decode().splitlines()
    return [line.removeprefix("repository_server_") for line in lines if line[0] != "#"]


def status(available: str, ready: str, reason: str, **info: str) -> Object:
    conditions = [
        {"type": type_, "status": value, "reason": reason, "message": "secret words"}
        for type_, value in (("Available", available), ("Ready", ready))
    ]
    return {"status": {"conditions": conditions, "serverInfo": info}}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(
            {},
            [f"available{{{IDENTITY}}} 0.0", f"ready{{{IDENTITY}}} 0.0"],
            id="a server of which nothing is known is neither",
        ),
        pytest.param(
            status("False", "False", "OpeningRepository"),
            [f"available{{{IDENTITY}}} 0.0", f"ready{{{IDENTITY}}} 0.0"],
            id="one that comes up is not ready and has not failed",
        ),
        pytest.param(
            status("True", "True", "ServerReady", tlsNotAfter="2027-01-01T00:00:00Z"),
            [
                f"available{{{IDENTITY}}} 1.0",
                f"ready{{{IDENTITY}}} 1.0",
                f"certificate_expiry_timestamp_seconds{{{IDENTITY}}} 1.7987616e+09",
            ],
            id="one that is ready shows a certificate",
        ),
        pytest.param(
            status("True", "False", "LoadingUsers"),
            [f"available{{{IDENTITY}}} 1.0", f"ready{{{IDENTITY}}} 0.0"],
            id="one whose change is under way is available",
        ),
        pytest.param(
            status("True", "False", "SecretMissing"),
            [
                f"available{{{IDENTITY}}} 1.0",
                f"ready{{{IDENTITY}}} 0.0",
                f'failed{{{IDENTITY},reason="SecretMissing"}} 1.0',
            ],
            id="one with a fault has its reason, and never its message, though it is available",
        ),
        pytest.param(
            {
                "status": {
                    "maintenance": {"result": "Failed", "lastSuccessTime": "2027-01-01T00:00:00Z"},
                    "conditions": [{"type": "RepositoryUnmaintained", "status": "True"}],
                }
            },
            [
                f"available{{{IDENTITY}}} 0.0",
                f"ready{{{IDENTITY}}} 0.0",
                f"maintenance_failed{{{IDENTITY}}} 1.0",
                f"maintenance_last_success_timestamp_seconds{{{IDENTITY}}} 1.7987616e+09",
                f"unmaintained{{{IDENTITY}}} 1.0",
            ],
            id="one whose maintenance has failed",
        ),
        pytest.param(
            {"status": {"maintenance": {"result": "Succeeded"}}},
            [
                f"available{{{IDENTITY}}} 0.0",
                f"ready{{{IDENTITY}}} 0.0",
                f"maintenance_failed{{{IDENTITY}}} 0.0",
            ],
            id="one whose maintenance has succeeded",
        ),
        pytest.param(
            {"claims": ["disk", "new"]},
            [
                f"available{{{IDENTITY}}} 0.0",
                f"ready{{{IDENTITY}}} 0.0",
                f'file_store_info{{{IDENTITY},persistentvolumeclaim="disk"}} 1.0',
                f'file_store_info{{{IDENTITY},persistentvolumeclaim="new"}} 1.0',
            ],
            id="one whose repository is on a claim, and moves to another",
        ),
        pytest.param(
            {"status": {"progress": "Failed"}},
            [f"available{{{IDENTITY}}} 0.0", f"ready{{{IDENTITY}}} 0.0"],
            id="a status of the removed controller has no condition Ready",
        ),
    ],
)
def test_each_status_has_its_series(
    store: Store, registry: CollectorRegistry, change: Object, told: list[str]
) -> None:
    store.add(objects.repository_server(change))

    assert sorted(series(registry)) == sorted(told)


def test_a_deleted_server_leaves_no_series(store: Store, registry: CollectorRegistry) -> None:
    server = objects.repository_server(status("False", "False", "SecretMissing"))
    store.add(server)
    assert series(registry)

    store.delete(server)

    assert series(registry) == []


def test_they_are_registered_once(store: Store, registry: CollectorRegistry) -> None:
    with pytest.raises(ValueError, match="repository_server_available"):
        registry.register(RepositoryServerCollector(store.list, claims=claims_of))
