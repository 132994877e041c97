"""From what was seen to the status: conditions, progress and server info, as pure functions.

Each of the `STEPS` in which a server comes up has a condition. It is True, False, or Unknown while
it waits for the one before it. `Ready` sums them up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from controller.conditions import get_condition, is_true, set_condition
from reconcilers.repositoryserver.verdict import (
    CLIENT_USER_INITIALIZED,
    REPOSITORY_CONNECTED,
    SERVER_INITIALIZED,
    SERVER_REFRESHED,
    SERVER_SETUP,
    STEPS,
    Problem,
    Waiting,
)
from reconcilers.secrets.data import REASON_MISSING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

READY = "Ready"
CERTIFICATE_EXPIRING = "CertificateExpiring"
REPOSITORY_SHARED = "RepositoryShared"
ACCESS_SECRET_EMPTY = "AccessSecretEmpty"  # noqa: S105 - a condition's type
USERS_IN_REPOSITORY = "UsersInRepository"
REPOSITORY_UNMAINTAINED = "RepositoryUnmaintained"

# What is told of a server besides: True is a warning, and changes nothing of Ready.
WARNINGS = (
    CERTIFICATE_EXPIRING,
    REPOSITORY_SHARED,
    ACCESS_SECRET_EMPTY,
    USERS_IN_REPOSITORY,
    REPOSITORY_UNMAINTAINED,
)

# What these say is over with the process. The users, by contrast, stay in their Secret.
_OF_THE_PROCESS = frozenset({REPOSITORY_CONNECTED, SERVER_INITIALIZED})

PROGRESS_PENDING = "Pending"
PROGRESS_READY = "Ready"
PROGRESS_FAILED = "Failed"

REASON_READY = "ServerReady"
REASON_PENDING = "Pending"
REASON_EXPIRING = "CertificateExpiring"
REASON_RENEWED = "CertificateRenewed"
REASON_SHARED = "RepositoryShared"
REASON_NOT_SHARED = "RepositoryNotShared"
REASON_NO_USERS = "NoUsers"
REASON_USERS_NAMED = "UsersNamed"
REASON_IN_REPOSITORY = "UsersInRepository"
REASON_NOT_IN_REPOSITORY = "NoUsersInRepository"
REASON_UNMAINTAINED = "RepositoryUnmaintained"
REASON_MAINTAINED = "RepositoryMaintained"

# apimachinery pkg/apis/meta/v1, Condition. The API server repeats what a webhook says in full.
MESSAGE_LENGTH = 32768
MESSAGES = {
    SERVER_SETUP: "Secrets are valid; pod, Service and NetworkPolicy are in place",
    REPOSITORY_CONNECTED: "Kopia has opened the repository",
    SERVER_INITIALIZED: "the Kopia server answers",
    CLIENT_USER_INITIALIZED: "the users of the access Secret are known",
    SERVER_REFRESHED: "the server has loaded the users",
}
READY_MESSAGE = "clients can connect to service {service}"
WAITS = "waiting for {step}"
RENEWED = "a renewed certificate has replaced the one that was about to expire"
MAINTAINED = "the maintenance is scheduled and has not failed, or somebody else owns it"
NOT_SHARED = "no other RepositoryServer in the namespace writes to the repository any more"
USERS_NAMED = "each access Secret has users"
NOT_IN_REPOSITORY = "the repository has no users any more beside those of the access Secrets"

# When a change has failed, for the one who asks whether backups go on.
FORMER_SERVES = "{message} (meanwhile pod {pod} still serves)"

WAITING_TURN = "waiting until fewer servers are being replaced at the same time"
WAITING_ENDPOINT = "the Service is about to route to pod {pod}"


def is_secret_missing(verdict: Problem | Waiting) -> bool:
    """Return whether what is wrong is that a Secret does not exist."""
    return isinstance(verdict, Problem) and verdict.reason == REASON_MISSING


def awaiting_secret(verdict: Problem | Waiting) -> Problem | Waiting:
    """Wait for a Secret that does not exist in place of calling it a fault."""
    return Waiting(verdict.step, verdict.message) if is_secret_missing(verdict) else verdict


@frozen
class Outcome:
    """What a reconcile has found and done.

    Attributes:
        verdicts: What keeps the newest server from being Ready, in the order of `STEPS`; empty if
            nothing does.
        serving: Whether a pod, be it the newest or the one before, serves clients.
        pod_name: Pod that the Service routes to.
        service_name: The Service; empty before there is one.
        network_policy_name: The NetworkPolicy; empty before there is one.
        fingerprint: Of the certificate that the Service's pod shows.
        not_after: When that certificate expires, as Kubernetes writes times.
        expiring: What to say of the certificate of the newest server if it is about to expire;
            empty if it is not, None if that is not known.
        shared: What to say of other servers that have the same repository; empty if there are none,
            None if that is not known.
        unmaintained: What to say of a repository that nobody maintains, or whose maintenance fails;
            empty if there is nothing to say, None if that is not known.
        maintenance: What came of the maintenance; empty without a schedule, None leaves what is
            recorded.
        nobody_named: What to say of access Secrets that have no keys; empty if there are none, None
            if that is not known.
        repository_users: How many users have an entry in the repository; None leaves what is
            recorded.
        in_repository: What to say of these users; empty if there are none, None if that is not
            known.
    """

    verdicts: tuple[Problem | Waiting, ...]
    serving: bool
    pod_name: str = ""
    service_name: str = ""
    network_policy_name: str = ""
    fingerprint: str = ""
    not_after: str = ""
    expiring: str | None = None
    shared: str | None = None
    unmaintained: str | None = None
    maintenance: Mapping[str, Any] | None = None
    nobody_named: str | None = None
    repository_users: int | None = None
    in_repository: str | None = None


def desired_status(
    current: Mapping[str, Any], outcome: Outcome, *, generation: int, now: datetime
) -> dict[str, Any]:
    """Return the status that tells the outcome.

    Args:
        current: The status as it is, from this controller or the removed one.
        outcome: What was found.
        generation: Generation of the resource that was looked at.
        now: The time for conditions that change.
    """
    conditions = list(current.get("conditions") or [])
    for type_, (value, reason, message) in _conditions(conditions, outcome).items():
        told = message[:MESSAGE_LENGTH]
        conditions = set_condition(
            conditions, type_, value, reason, told, generation=generation, now=now
        )
    info = {
        "podName": outcome.pod_name,
        "serviceName": outcome.service_name,
        "networkPolicyName": outcome.network_policy_name,
        "tlsFingerprint": outcome.fingerprint,
        "tlsNotAfter": outcome.not_after,
    }
    status: dict[str, Any] = {
        **current,
        "conditions": conditions,
        "progress": progress(outcome),
        "observedGeneration": generation,
    }
    if outcome.maintenance is not None:
        status.pop("maintenance", None)
        if outcome.maintenance:
            status["maintenance"] = dict(outcome.maintenance)
    if outcome.repository_users is not None:
        status["repositoryUsers"] = outcome.repository_users
    # What is not known at the moment is left as it was: clients hold on to the last known name.
    status["serverInfo"] = {
        **(current.get("serverInfo") or {}),
        **{key: value for key, value in info.items() if value},
    }
    return status


def progress(outcome: Outcome) -> str:
    """Return the word of `status.progress`."""
    if _first_problem(outcome) is not None:
        return PROGRESS_FAILED
    return PROGRESS_READY if outcome.serving else PROGRESS_PENDING


def is_stage(current: Mapping[str, Any], outcome: Outcome, generation: int) -> bool:
    """Return whether an outcome is no more than another stage of a server that comes up.

    Args:
        current: The status as it is.
        outcome: What was found.
        generation: Generation of the resource that was looked at.
    """
    return (
        progress(outcome) == PROGRESS_PENDING
        and current.get("progress") in (None, PROGRESS_PENDING)
        and current.get("observedGeneration") in (None, generation)
    )


def _first_problem(outcome: Outcome) -> Problem | None:
    return next((v for v in outcome.verdicts if isinstance(v, Problem)), None)


def _conditions(current: list[dict[str, Any]], outcome: Outcome) -> dict[str, tuple[str, str, str]]:
    by_step = {verdict.step: verdict for verdict in reversed(outcome.verdicts)}
    found: dict[str, tuple[str, str, str]] = {}
    blocker = ""
    for step, (succeeded, failed) in STEPS.items():
        verdict = by_step.get(step)
        if verdict is not None:
            blocker = blocker or step
            if isinstance(verdict, Problem):
                found[step] = ("False", failed, verdict.message)
            elif not (outcome.serving and is_true(current, step)):
                found[step] = ("Unknown", REASON_PENDING, verdict.message)
        elif not blocker:
            found[step] = ("True", succeeded, MESSAGES[step])
        # A failure that no verdict repeats is not known to last.
        elif not is_true(current, step) or (step in _OF_THE_PROCESS and not outcome.serving):
            found[step] = ("Unknown", REASON_PENDING, WAITS.format(step=blocker))
    found[READY] = _ready(outcome)
    warnings = (
        (CERTIFICATE_EXPIRING, outcome.expiring, REASON_EXPIRING, (REASON_RENEWED, RENEWED)),
        (REPOSITORY_SHARED, outcome.shared, REASON_SHARED, (REASON_NOT_SHARED, NOT_SHARED)),
        (
            ACCESS_SECRET_EMPTY,
            outcome.nobody_named,
            REASON_NO_USERS,
            (REASON_USERS_NAMED, USERS_NAMED),
        ),
        (
            USERS_IN_REPOSITORY,
            outcome.in_repository,
            REASON_IN_REPOSITORY,
            (REASON_NOT_IN_REPOSITORY, NOT_IN_REPOSITORY),
        ),
        (
            REPOSITORY_UNMAINTAINED,
            outcome.unmaintained,
            REASON_UNMAINTAINED,
            (REASON_MAINTAINED, MAINTAINED),
        ),
    )
    for type_, warning, reason, over in warnings:
        if warning:
            found[type_] = ("True", reason, warning)
        # Where there never was anything to warn of there is nothing to say.
        elif warning is not None and get_condition(current, type_) is not None:
            found[type_] = ("False", *over)
    return found


def _ready(outcome: Outcome) -> tuple[str, str, str]:
    problem = _first_problem(outcome)
    if problem is not None:
        message = problem.message
        if outcome.serving:
            message = FORMER_SERVES.format(message=message, pod=outcome.pod_name)
        return ("False", problem.reason, message)
    if outcome.serving:
        return ("True", REASON_READY, READY_MESSAGE.format(service=outcome.service_name))
    if outcome.verdicts:
        return ("False", REASON_PENDING, outcome.verdicts[0].message)
    return ("False", REASON_PENDING, WAITING_ENDPOINT.format(pod=outcome.pod_name))
