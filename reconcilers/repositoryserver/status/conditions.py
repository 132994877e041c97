"""From what a reconcile found to the status: conditions, progress and server info. Pure functions.

Each of the `STEPS` in which a server comes up has a condition: True, False, or Unknown while it
waits for the one before it. Four conditions sum them up, by the table in `reasons`:

- `Available`: clients can connect now, be it to a pod of before a change.
- `Ready`: the resource as it is, and its Secrets as they are, are in effect, and it is Available.
- `Reconciling` and `Stalled` are there only while they are True, as kstatus wants it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from controller.conditions import get_condition, is_true, remove_condition, set_condition
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.status import reasons
from reconcilers.repositoryserver.status.reasons import Kind
from reconcilers.repositoryserver.verdict import (
    CLIENT_USER_INITIALIZED,
    REASON_WAITING_FOR_ENDPOINTS,
    REPOSITORY_CONNECTED,
    SERVER_INITIALIZED,
    SERVER_REFRESHED,
    SERVER_SETUP,
    STEPS,
    Problem,
    Waiting,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

AVAILABLE: Final = "Available"
READY: Final = "Ready"
RECONCILING: Final = "Reconciling"
STALLED: Final = "Stalled"
CERTIFICATE_EXPIRING: Final = "CertificateExpiring"
REPOSITORY_SHARED: Final = "RepositoryShared"
ACCESS_SECRET_EMPTY: Final = "AccessSecretEmpty"  # noqa: S105 - a condition's type
PASSWORD_SHORT: Final = "UserPasswordShort"  # noqa: S105 - a condition's type
USERS_IN_REPOSITORY: Final = "UsersInRepository"
REPOSITORY_UNMAINTAINED: Final = "RepositoryUnmaintained"
CONNECTION_UNPUBLISHED: Final = "ConnectionUnpublished"

#: Warnings: True changes nothing of Ready.
WARNINGS: Final = (
    CERTIFICATE_EXPIRING,
    REPOSITORY_SHARED,
    ACCESS_SECRET_EMPTY,
    PASSWORD_SHORT,
    USERS_IN_REPOSITORY,
    REPOSITORY_UNMAINTAINED,
    CONNECTION_UNPUBLISHED,
)

# These steps are those of one process, and are unknown of the next. The users stay in their Secret.
_OF_THE_PROCESS: Final = frozenset({REPOSITORY_CONNECTED, SERVER_INITIALIZED})

#: Of a step that waits for one before it.
REASON_PENDING: Final = "Pending"
REASON_SERVING: Final = "Serving"
REASON_EXPIRING: Final = "CertificateExpiring"
REASON_EXPIRED: Final = "CertificateExpired"
REASON_RENEWED: Final = "CertificateRenewed"
REASON_SHARED: Final = "RepositoryShared"
REASON_NOT_SHARED: Final = "RepositoryNotShared"
REASON_NO_USERS: Final = "NoUsers"
REASON_USERS_NAMED: Final = "UsersNamed"
REASON_PASSWORD_SHORT: Final = "UserPasswordShort"  # noqa: S105 - a reason
REASON_PASSWORDS_LONG: Final = "UserPasswordsLong"
REASON_IN_REPOSITORY: Final = "UsersInRepository"
REASON_NOT_IN_REPOSITORY: Final = "NoUsersInRepository"
REASON_UNMAINTAINED: Final = "RepositoryUnmaintained"
REASON_MAINTAINED: Final = "RepositoryMaintained"
REASON_UNPUBLISHED: Final = "ConnectionUnpublished"
REASON_PUBLISHED: Final = "ConnectionPublished"

# apimachinery pkg/apis/meta/v1, Condition. The API server repeats what a webhook says in full.
MESSAGE_LENGTH: Final = 32768
MESSAGES: Final = {
    SERVER_SETUP: "Secrets are valid; pod, Service and NetworkPolicy are in place",
    REPOSITORY_CONNECTED: "Kopia has opened the repository",
    SERVER_INITIALIZED: "the Kopia server answers",
    CLIENT_USER_INITIALIZED: "the users of the access Secret are known",
    SERVER_REFRESHED: "the server has loaded the users",
}
READY_MESSAGE: Final = "clients can connect to service {service}"
WAITS: Final = "waiting for {step}"
RENEWED: Final = "a renewed certificate has replaced the one that was about to expire, or had"
NOT_SHARED: Final = "no other RepositoryServer writes to the repository any more"
MAINTAINED: Final = "the maintenance is scheduled and has not failed, or somebody else owns it"
PUBLISHED: Final = "what spec.publish asks for is in place"
USERS_NAMED: Final = "each access Secret has users"
PASSWORDS_LONG: Final = "each user has a password with 16 characters or more"
NOT_IN_REPOSITORY: Final = "the repository has no users any more beside those of the access Secrets"

# A change is under way or has failed, and who reads it wants to know whether backups go on.
STILL_SERVES: Final = "{message} (meanwhile pod {pod} still serves)"

WAITING_ENDPOINT: Final = "the Service is about to route to the newest pod"

#: As the API server writes it to a resource that no controller has seen, see the CRD.
_NOT_OBSERVED: Final = -1


@frozen
class Outcome:
    """What a reconcile has found and done.

    Args:
        verdicts: What keeps the newest server from being Ready, in the order of `STEPS`; empty if
            nothing does.
        available: Whether a pod, be it the newest or the one before, serves clients.
        in_effect: Whether that pod is the newest.
        pod_name: Pod that the Service routes to.
        service_name: The Service; empty before there is one.
        network_policy_name: The NetworkPolicy; empty before there is one.
        url: Where clients connect to; empty leaves what is written.
        fingerprint: Of the certificate that the Service's pod shows; empty leaves what is written.
        kopia_version: Of the Kopia in the pod `pod_name`; empty leaves what is written of that pod.
        not_after: When that certificate expires, as Kubernetes writes times; empty as before.
        expiring: What to say of the certificate of the newest server if it is about to expire, or
            has expired; empty if neither, None if that is not known.
        expired: Whether it has expired.
        shared: What to say of other servers that have the same repository; empty if there are none,
            None if that is not known.
        unmaintained: What to say of a repository that nobody maintains, or whose maintenance fails;
            empty if there is nothing to say, None if that is not known.
        maintenance: What came of the maintenance; empty without a schedule, None leaves what is
            recorded.
        published: Names of what is published, by field of `status.serverInfo`; empty for what is
            not. What is left out stays as it is written.
        unpublished: What to say of what should be published and is not; empty if everything is,
            None if that is not known.
        nobody_named: What to say of access Secrets that have no keys; empty if there are none, None
            if that is not known.
        short_passwords: What to say of users with short passwords; empty if there are none, None if
            that is not known.
        repository_users: How many users have an entry in the repository; None leaves what is
            recorded.
        in_repository: What to say of these users; empty if there are none, None if that is not
            known.
    """

    verdicts: tuple[Problem | Waiting, ...]
    available: bool
    in_effect: bool = True
    pod_name: str = ""
    service_name: str = ""
    network_policy_name: str = ""
    url: str = ""
    fingerprint: str = ""
    kopia_version: str = ""
    not_after: str = ""
    expiring: str | None = None
    expired: bool = False
    shared: str | None = None
    unmaintained: str | None = None
    maintenance: Mapping[str, Any] | None = None
    published: Mapping[str, str] = field(factory=dict)
    unpublished: str | None = None
    nobody_named: str | None = None
    short_passwords: str | None = None
    repository_users: int | None = None
    in_repository: str | None = None


@frozen
class _Summary:
    """What the reconcile comes to in one word.

    Args:
        kind: Of the reason.
        reason: Of the condition Ready.
        message: Of the condition Ready.
        keeps_ready: Whether a server that is Ready stays it.
    """

    kind: Kind
    reason: str
    message: str
    keeps_ready: bool = False


def desired_status(
    current: Mapping[str, Any], outcome: Outcome, *, generation: int, now: datetime
) -> dict[str, Any]:
    """Return the status that reports an outcome.

    Args:
        current: The status as it is, from this controller or the removed one.
        outcome: What was found.
        generation: Generation of the resource that was looked at.
        now: The time for conditions that change.
    """
    conditions = list(current.get("conditions") or [])
    for type_, found in _conditions(conditions, outcome, generation).items():
        if found is None:
            conditions = remove_condition(conditions, type_)
            continue
        value, reason, message = found
        conditions = set_condition(
            conditions,
            type_,
            value,
            reason,
            message[:MESSAGE_LENGTH],
            generation=generation,
            now=now,
        )
    info = {
        "podName": outcome.pod_name,
        "serviceName": outcome.service_name,
        "networkPolicyName": outcome.network_policy_name,
        "url": outcome.url,
        "port": api.PORT if outcome.url else 0,
        "kopiaVersion": outcome.kopia_version,
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
        **outcome.published,
    }
    for name, value in outcome.published.items():
        if not value:
            del status["serverInfo"][name]
    if not outcome.kopia_version and _is_of_another_pod(current, outcome):
        status["serverInfo"].pop("kopiaVersion", None)
    return status


def _is_of_another_pod(current: Mapping[str, Any], outcome: Outcome) -> bool:
    """Return whether an outcome names another pod than the status does."""
    named = (current.get("serverInfo") or {}).get("podName")
    return bool(outcome.pod_name) and outcome.pod_name != named


def progress(outcome: Outcome) -> str:
    """Return the word of `status.progress`."""
    return reasons.shown(_summary(outcome).kind, available=outcome.available).progress


def reason_of(outcome: Outcome) -> str:
    """Return the reason of the condition Ready."""
    return _summary(outcome).reason


def is_stage(current: Mapping[str, Any], outcome: Outcome, generation: int) -> bool:
    """Return whether an outcome is no more than another stage of a server that comes up.

    Args:
        current: The status as it is.
        outcome: What was found.
        generation: Generation of the resource that was looked at.
    """
    return (
        progress(outcome) == reasons.PROGRESS_PENDING
        and current.get("progress") in (None, reasons.PROGRESS_PENDING)
        and current.get("observedGeneration") in (None, _NOT_OBSERVED, generation)
    )


def _summary(outcome: Outcome) -> _Summary:
    found = reasons.foremost(outcome.verdicts)
    if found is None and outcome.available and outcome.in_effect:
        message = READY_MESSAGE.format(service=outcome.service_name)
        return _Summary(Kind.READY, reasons.REASON_READY, message)
    reason, message = REASON_WAITING_FOR_ENDPOINTS, WAITING_ENDPOINT
    if found is not None:
        reason, message = found.reason, found.message
    if outcome.available:
        message = STILL_SERVES.format(message=message, pod=outcome.pod_name)
    if found is None:
        return _Summary(Kind.WAIT, reason, message)
    keeps_ready = all(isinstance(one, Waiting) and one.keeps_ready for one in outcome.verdicts)
    return _Summary(reasons.kind_of(found), reason, message, keeps_ready)


_Found = tuple[str, str, str]


def _conditions(
    current: list[dict[str, Any]], outcome: Outcome, generation: int
) -> dict[str, _Found | None]:
    """Return what becomes of each condition: status, reason and message; None removes it.

    A condition that is not among them stays as it is.
    """
    found: dict[str, _Found | None] = {
        **_steps(current, outcome),
        **_summed_up(current, outcome, generation),
    }
    expiring = REASON_EXPIRED if outcome.expired else REASON_EXPIRING
    warnings = (
        (CERTIFICATE_EXPIRING, outcome.expiring, expiring, (REASON_RENEWED, RENEWED)),
        (REPOSITORY_SHARED, outcome.shared, REASON_SHARED, (REASON_NOT_SHARED, NOT_SHARED)),
        (
            ACCESS_SECRET_EMPTY,
            outcome.nobody_named,
            REASON_NO_USERS,
            (REASON_USERS_NAMED, USERS_NAMED),
        ),
        (
            PASSWORD_SHORT,
            outcome.short_passwords,
            REASON_PASSWORD_SHORT,
            (REASON_PASSWORDS_LONG, PASSWORDS_LONG),
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
        (
            CONNECTION_UNPUBLISHED,
            outcome.unpublished,
            REASON_UNPUBLISHED,
            (REASON_PUBLISHED, PUBLISHED),
        ),
    )
    for type_, warning, reason, over in warnings:
        if warning:
            found[type_] = ("True", reason, warning)
        # Where there never was anything to warn of there is nothing to say.
        elif warning is not None and get_condition(current, type_) is not None:
            found[type_] = ("False", *over)
    return found


def _steps(current: list[dict[str, Any]], outcome: Outcome) -> dict[str, _Found]:
    by_step = {verdict.step: verdict for verdict in reversed(outcome.verdicts)}
    found: dict[str, _Found] = {}
    blocker = ""
    for step, (succeeded, failed) in STEPS.items():
        verdict = by_step.get(step)
        if isinstance(verdict, Problem):
            found[step] = ("False", failed, verdict.message)
        elif verdict is not None:
            if not (outcome.available and is_true(current, step)):
                found[step] = ("Unknown", verdict.reason, verdict.message)
        elif not blocker:
            found[step] = ("True", succeeded, MESSAGES[step])
        # A failure that no verdict repeats is not known to last.
        elif not is_true(current, step) or (step in _OF_THE_PROCESS and not outcome.available):
            found[step] = ("Unknown", REASON_PENDING, WAITS.format(step=blocker))
        if any(one.step == step and _blocks(one) for one in outcome.verdicts):
            blocker = blocker or step
    return found


def _blocks(verdict: Problem | Waiting) -> bool:
    return isinstance(verdict, Waiting) or verdict.blocks


def _summed_up(
    current: list[dict[str, Any]], outcome: Outcome, generation: int
) -> dict[str, _Found | None]:
    summary = _summary(outcome)
    shown = reasons.shown(summary.kind, available=outcome.available)
    why = (summary.reason, summary.message)
    serves = (REASON_SERVING, READY_MESSAGE.format(service=outcome.service_name))
    available = ("True", *serves) if shown.available else ("False", *why)
    if summary.keeps_ready and outcome.available and _is_ready(current, generation):
        return {AVAILABLE: available}
    return {
        AVAILABLE: available,
        READY: ("True" if shown.ready else "False", *why),
        RECONCILING: ("True", *why) if shown.reconciling else None,
        STALLED: ("True", *why) if shown.stalled else None,
    }


def _is_ready(current: list[dict[str, Any]], generation: int) -> bool:
    """Return whether the condition Ready is True, of this generation."""
    ready = get_condition(current, READY)
    return (
        ready is not None
        and ready["status"] == "True"
        and ready.get("observedGeneration") == generation
    )
