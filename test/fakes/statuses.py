"""Outcomes of a reconcile, and what becomes of them in the status."""

from typing import Any

import attrs

from controller.conditions import get_condition
from fakes import objects
from reconcilers.repositoryserver.status import conditions as status
from reconcilers.repositoryserver.status.conditions import Outcome, desired_status
from reconcilers.repositoryserver.verdict import STEPS, Problem, Waiting

Object = dict[str, Any]

POD = objects.POD

SERVER_SETUP = "ServerSetup"
REPOSITORY_CONNECTED = "RepositoryConnected"
SERVER_INITIALIZED = "ServerInitialized"
CLIENT_USER_INITIALIZED = "ClientUserInitialized"
SERVER_REFRESHED = "ServerRefreshed"

NOW = objects.NOW
EARLIER = "2025-12-31T00:00:00Z"
AT = "2026-01-01T00:00:00Z"

HEALTHY = Outcome(
    verdicts=(),
    available=True,
    pod_name=POD,
    service_name="repo-server-files",
    network_policy_name="repo-server-files",
    fingerprint="ab" * 32,
    repository_users=2,
)
PROBLEM = Problem(REPOSITORY_CONNECTED, "RepositoryMissing", "there is no repository")
WAITING = Waiting(REPOSITORY_CONNECTED, "OpeningRepository", "Kopia is opening the repository")
AWAY = Problem(REPOSITORY_CONNECTED, "StorageUnavailable", "the storage is away")
SECRET_PROBLEM = Problem(SERVER_SETUP, "SecretMissing", "a Secret is missing")
USER_PROBLEM = Problem(CLIENT_USER_INITIALIZED, "UserNameInvalid", "a user is refused")


def outcome(*verdicts: Problem | Waiting, available: bool = False) -> Outcome:
    return attrs.evolve(HEALTHY, verdicts=verdicts, available=available)


def written(current: Object, of: Outcome, *, generation: int = 3) -> Object:
    return desired_status(current, of, generation=generation, now=NOW)


def conditions(of: Object) -> dict[str, tuple[str, str]]:
    """Return status and reason of each condition."""
    return {found["type"]: (found["status"], found["reason"]) for found in of["conditions"]}


def statuses(of: Object) -> list[str]:
    """Return the statuses of the five steps, then those of Available and Ready."""
    found = conditions(of)
    return [found[step][0] for step in (*STEPS, status.AVAILABLE, status.READY)]


def message(of: Object, condition_type: str) -> str:
    found = get_condition(of["conditions"], condition_type)
    assert found is not None
    return str(found["message"])


# As the removed controller left it: no observedGeneration, no message, no Ready.
REMOVED = {
    "conditions": [
        {"type": type_, "status": "True", "reason": succeeded, "lastTransitionTime": EARLIER}
        for type_, (succeeded, _) in STEPS.items()
    ],
    "progress": "Ready",
    "serverInfo": {"podName": "repo-server-pod-x", "serviceName": "repo-server-service-x"},
}
UP = written({}, HEALTHY)
