"""What each reason becomes in a status: the one table of the conditions.

A reason is of one `Kind`. The kind, and whether a pod serves clients, decide Available, Ready,
Reconciling, Stalled and progress, and by them what others make of the resource:

- Flux and everything else that uses kstatus (kubernetes-sigs/cli-utils pkg/kstatus/status,
  generic.go): Reconciling is in progress, Stalled has failed, neither is current.
- Argo CD, by manifests/gitops/health.lua.

docs/reference.md shows this table; `hack/reference` writes it.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from attrs import frozen

from reconcilers.repositoryserver import verdict
from reconcilers.repositoryserver.verdict import Problem, Waiting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PROGRESS_PENDING: Final = "Pending"
PROGRESS_READY: Final = "Ready"
PROGRESS_FAILED: Final = "Failed"

REASON_READY: Final = "ServerReady"


class Kind(Enum):
    """What kind of news a reason is."""

    #: The resource and its Secrets are in effect, and clients can connect.
    READY = "none"
    #: A change is under way.
    WAIT = "wait"
    #: A fault that can pass by itself. The controller, or the cluster, tries again.
    PASSING = "passing fault"
    #: A fault that lasts until somebody changes what the message names.
    LASTING = "lasting fault"


@frozen
class Shown:
    """What a reason becomes in the status, and what others make of it.

    Args:
        available: Status of Available.
        ready: Status of Ready.
        reconciling: Whether the condition Reconciling is present, and True.
        stalled: Whether the condition Stalled is present, and True.
        progress: `status.progress`.
        kstatus: What kstatus computes, and Flux waits for: Current, InProgress or Failed.
        argo: Health in Argo CD: Healthy, Progressing or Degraded.
    """

    available: bool
    ready: bool
    reconciling: bool
    stalled: bool
    progress: str
    kstatus: str
    argo: str


#: What others make of each kind.
_SEEN_AS: Final[Mapping[Kind, tuple[str, str]]] = {
    Kind.READY: ("Current", "Healthy"),
    Kind.WAIT: ("InProgress", "Progressing"),
    Kind.PASSING: ("InProgress", "Progressing"),
    Kind.LASTING: ("Failed", "Degraded"),
}

#: Each reason of the condition Ready.
REASONS: Final[Mapping[str, Kind]] = {
    REASON_READY: Kind.READY,
    **dict.fromkeys(
        (
            verdict.REASON_PAUSED,
            verdict.REASON_WAITING_FOR_SLOT,
            verdict.REASON_CHANGES_SETTLING,
            verdict.REASON_WAITING_FOR_SECRET,
            verdict.REASON_WAITING_FOR_DELETION,
            verdict.REASON_POD_PENDING,
            verdict.REASON_IMAGE_PULLING,
            verdict.REASON_OPENING_REPOSITORY,
            verdict.REASON_KOPIA_RESTARTING,
            verdict.REASON_WAITING_FOR_ANSWER,
            verdict.REASON_LOADING_USERS,
            verdict.REASON_WAITING_FOR_ENDPOINTS,
        ),
        Kind.WAIT,
    ),
    **dict.fromkeys(
        (
            # A node may come, a registry or a storage answer again, a quota become free.
            "PodUnschedulable",
            "ImagePullFailed",
            "ContainerNotCreated",
            "NodeLost",
            "PodEnded",
            "KopiaExited",
            "OutOfMemory",
            "RepositoryNotOpened",
            "PodStuckTerminating",
            "QuotaExceeded",
            "WebhookUnavailable",
            "ReplacementNotReady",
            "StorageUnavailable",
            "ApiRequestRefused",
            "ReconcileOutOfTime",
        ),
        Kind.PASSING,
    ),
    **dict.fromkeys(
        (
            "SecretMissing",
            "SecretTypeWrong",
            "SecretKeyMissing",
            "SecretValueInvalid",
            "SecretPlaceholder",
            "ReferenceInOtherNamespace",
            "LocationTypeUnknown",
            "RepositoryPathInvalid",
            "ClaimNameInvalid",
            "ClaimMissing",
            "EndpointInvalid",
            "CloudUnknown",
            "AuthorityInvalid",
            "CredentialMissing",
            "CredentialInvalid",
            "CredentialFileMissing",
            "RoleWithoutKeys",
            "CertificateInvalid",
            "UserNameInvalid",
            "AccessSecretInvalid",
            "UserNamedTwice",
            "TooManyUsers",
            "InvalidPointInTime",
            "PointInTimeUnsupported",
            "InvalidPodOverride",
            "PodMetadataNotAllowed",
            "ImageNotAllowed",
            "ServiceAccountMissing",
            "ServiceAccountNotAllowed",
            "PodRefused",
            "PodDenied",
            "PodSecurityRefused",
            "SecurityContextRefused",
            "LimitRangeRefused",
            "PriorityClassMissing",
            "RuntimeClassMissing",
            "NetworkPolicyInvalid",
            "ProfileUserInvalid",
            "NameTaken",
            "RepositoryPasswordWrong",
            "RepositoryMissing",
            "StoragePermissionDenied",
            "BucketMissing",
            "BucketNameInvalid",
            "StorageRegionWrong",
            "StorageSchemeWrong",
            "StorageClockDiffers",
            "StorageAccessDenied",
            "StorageCertificateUntrusted",
            "KopiaVersionUnsupported",
            "ReconcilePanicked",
        ),
        Kind.LASTING,
    ),
}


def shown(kind: Kind, *, available: bool) -> Shown:
    """Return what a kind of reason becomes in the status.

    Args:
        kind: Of the reason.
        available: Whether clients can connect, be it to a pod of before the change.
    """
    kstatus, argo = _SEEN_AS[kind]
    failed = kind in (Kind.PASSING, Kind.LASTING)
    not_available = PROGRESS_FAILED if failed else PROGRESS_PENDING
    return Shown(
        available=available,
        ready=kind is Kind.READY,
        reconciling=kind in (Kind.WAIT, Kind.PASSING),
        stalled=kind is Kind.LASTING,
        progress=PROGRESS_READY if available else not_available,
        kstatus=kstatus,
        argo=argo,
    )


def kind_of(found: Problem | Waiting) -> Kind:
    """Return the kind of what a step has found."""
    if isinstance(found, Waiting):
        return Kind.WAIT
    # A fault that nobody has classified is somebody's to mend.
    return REASONS.get(found.reason, Kind.LASTING)


def is_fault(reason: str) -> bool:
    """Return whether a reason of the condition Ready is a fault."""
    return REASONS.get(reason, Kind.LASTING) in (Kind.PASSING, Kind.LASTING)


def foremost(found: Iterable[Problem | Waiting]) -> Problem | Waiting | None:
    """Return what the condition Ready reports: what needs somebody first, then by the steps.

    Args:
        found: What the steps have found, in their order.
    """
    order = (Kind.LASTING, Kind.PASSING, Kind.WAIT)
    return min(found, key=lambda one: order.index(kind_of(one)), default=None)
