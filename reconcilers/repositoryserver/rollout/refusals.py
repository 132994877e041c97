"""Why the API server makes no pod of a revision, in the user's words: pure functions.

A ReplicaSet's own creation is checked for little: what a pod lacks, or may not have, shows only
when the ReplicaSet controller makes one, as its condition ReplicaFailure. That controller tries
again ever more seldom; see `nudge_after`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from controller.conditions import parse_time
from reconcilers.repositoryserver.rollout import retry
from reconcilers.repositoryserver.verdict import SERVER_SETUP, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


REASON_REFUSED: Final = "PodRefused"
REASON_ACCOUNT: Final = "ServiceAccountMissing"
REASON_PRIORITY_CLASS: Final = "PriorityClassMissing"
REASON_RUNTIME_CLASS: Final = "RuntimeClassMissing"
REASON_POD_SECURITY: Final = "PodSecurityRefused"
REASON_QUOTA: Final = "QuotaExceeded"
REASON_LIMIT_RANGE: Final = "LimitRangeRefused"
REASON_SECURITY_CONTEXT: Final = "SecurityContextRefused"
REASON_DENIED: Final = "PodDenied"
REASON_WEBHOOK: Final = "WebhookUnavailable"
#: A fault that the API server gets over by itself.
REASON_API_SERVER: Final = "ApiRequestRefused"


@frozen
class Refusal:
    """One kind of refusal.

    Args:
        words: What the API server says, as a regular expression.
        reason: The reason that is reported.
        message: What is reported. It may name groups of the expression, and `cause`, the words.
    """

    words: re.Pattern[str]
    reason: str
    message: str


def _refusal(words: str, reason: str, message: str) -> Refusal:
    return Refusal(re.compile(words), reason, message)


#: In the order in which they are tried. Beside each is the file of Kubernetes 1.34 that has the
#: words. test/integration/test_refusals.py has a real API server say them, but for those of
#: OpenShift and those that need a fault of the API server's own.
TABLE: Final = (
    # plugin/pkg/admission/serviceaccount/admission.go
    _refusal(
        r'error looking up service account [^:]*: serviceaccount "(?P<name>[^"]+)" not found',
        REASON_ACCOUNT,
        "ServiceAccount {name} does not exist; create it, or correct "
        "spec.server.serviceAccountName or, where that is not set, serviceAccountName in the "
        "settings of the controller",
    ),
    # plugin/pkg/admission/priority/admission.go
    _refusal(
        r"no PriorityClass with name (?P<name>\S+) was found",
        REASON_PRIORITY_CLASS,
        "PriorityClass {name} does not exist; create it, or correct priorityClassName in "
        "spec.server.podOverride or in the settings of the controller",
    ),
    # plugin/pkg/admission/runtimeclass/admission.go
    _refusal(
        r'RuntimeClass "?(?P<name>[^\s"]+)"? not found',
        REASON_RUNTIME_CLASS,
        "RuntimeClass {name} does not exist; create it, or correct runtimeClassName in "
        "spec.server.podOverride",
    ),
    # staging/src/k8s.io/pod-security-admission/admission/admission.go
    _refusal(
        r'violates PodSecurity "(?P<level>[^"]+)": (?P<what>.+)',
        REASON_POD_SECURITY,
        "the namespace enforces Pod Security {level}, which refuses the pod: {what}; change "
        "spec.server.runAsUser or spec.server.podOverride, or the label "
        "pod-security.kubernetes.io/enforce of the namespace",
    ),
    # staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go, and the next
    # three
    _refusal(
        r"(?P<what>exceeded quota: (?P<name>[^,]+),.+)",
        REASON_QUOTA,
        "ResourceQuota {name} leaves no room for the pod: {what}; raise the quota, or lower "
        "spec.server.resources",
    ),
    # The rest of the sentence is of pkg/quota/v1/evaluator/core/pods.go.
    _refusal(
        r"(?P<what>failed quota: (?P<name>[^:]+): must specify .+)",
        REASON_QUOTA,
        "ResourceQuota {name} asks for more than the pod says: {what}; set spec.server.resources",
    ),
    _refusal(
        r"(?P<what>status unknown for quota: (?P<name>[^,]+),.+)",
        REASON_QUOTA,
        "Kubernetes has not counted yet what ResourceQuota {name} leaves: {what}; if this lasts, "
        "see kube-controller-manager",
    ),
    _refusal(
        r"(?P<what>insufficient quota to (?:consume|match these scopes): .+)",
        REASON_QUOTA,
        "the cluster lets such a pod be created only where a ResourceQuota of the namespace covers "
        "it: {what}; create one, or change priorityClassName in spec.server.podOverride or in the "
        "settings of the controller",
    ),
    # plugin/pkg/admission/limitranger/admission.go
    _refusal(
        r"(?P<what>(?:minimum|maximum) \S+ usage per .+|\S+ max limit to request ratio per .+)",
        REASON_LIMIT_RANGE,
        "a LimitRange of the namespace refuses the pod: {what}; change spec.server.resources",
    ),
    # pkg/apis/core/validation/validation.go. What spec.server says of it is checked before; a
    # LimitRange sets the limit where there is none.
    _refusal(
        r"resources\.requests: Invalid value: "
        r"(?P<what>\S+ must be less than or equal to \S+ limit.*)",
        REASON_LIMIT_RANGE,
        "a LimitRange of the namespace sets a limit that is below what the pod requests: {what}; "
        "set requests and limits in spec.server.resources",
    ),
    # openshift/apiserver-library-go pkg/securitycontextconstraints/sccadmission/admission.go, and
    # the next two
    _refusal(
        r"unable to validate against any security context constraint: (?P<what>.+)",
        REASON_SECURITY_CONTEXT,
        "no SecurityContextConstraints lets the pod run as it asks to: {what}; set "
        "spec.server.runAsUser to a user id of the namespace's range, or let the pod's "
        "ServiceAccount use other constraints",
    ),
    _refusal(
        r"(?P<what>no SecurityContextConstraints(?:Provider)? .+)",
        REASON_SECURITY_CONTEXT,
        "the pod needs SecurityContextConstraints, and there are none: {what}; let the pod's "
        "ServiceAccount use some",
    ),
    _refusal(
        r"(?P<what>securitycontextconstraints\.security\.openshift\.io .+)",
        REASON_API_SERVER,
        "the API server cannot judge pods at the moment: {what}; if this lasts, see its log",
    ),
    # staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook/errors/statuserror.go
    _refusal(
        r'admission webhook "(?P<name>[^"]+)" denied the request:? (?P<what>.+)',
        REASON_DENIED,
        "admission webhook {name} denies the pod: {what}; change spec.server accordingly, or the "
        "webhook's policy",
    ),
    # staging/src/k8s.io/apiserver/pkg/admission/plugin/policy/validating/dispatcher.go
    _refusal(
        r"ValidatingAdmissionPolicy '(?P<name>[^']+)'.* denied request: (?P<what>.+)",
        REASON_DENIED,
        "ValidatingAdmissionPolicy {name} denies the pod: {what}; change spec.server accordingly, "
        "or the policy",
    ),
    # staging/src/k8s.io/apiserver/pkg/admission/plugin/policy/generic/policy_dispatcher.go, of a
    # MutatingAdmissionPolicy
    _refusal(
        r"policy ['\"](?P<name>[^'\"]+)['\"].* denied request: (?P<what>.+)",
        REASON_DENIED,
        "admission policy {name} cannot be applied to the pod: {what}; correct the policy or its "
        "binding",
    ),
    # staging/src/k8s.io/apiserver/pkg/util/webhook/error.go
    _refusal(
        r'failed calling webhook "(?P<name>[^"]+)"[:;] (?P<what>.+)',
        REASON_WEBHOOK,
        "admission webhook {name} does not answer as it should, so no pod can be created: {what}; "
        "mend it",
    ),
    # staging/src/k8s.io/apimachinery/pkg/api/errors/errors.go (NewInternalError, NewTimeoutError,
    # NewServerTimeout, NewTooManyRequestsError), and etcd's client
    _refusal(
        r"^(?P<what>(?:Internal error occurred|Timeout|etcdserver|Too many requests): .+"
        r"|The \S+ operation against \S+ could not be completed.+)",
        REASON_API_SERVER,
        "the API server cannot create the pod at the moment: {what}; if this lasts, see its log",
    ),
)

REFUSED: Final = (
    "the API server makes no pod of ReplicaSet {replica_set}: {cause}; correct this in "
    "spec.server, for example in podOverride"
)


def explain(cause: str, replica_set: str) -> Problem:
    """Return what a refusal means for the user.

    Args:
        cause: What the API server has said.
        replica_set: Name of the ReplicaSet.
    """
    # A policy engine's answer has blank lines.
    cause = " ".join(cause.split())
    for refusal in TABLE:
        found = refusal.words.search(cause)
        if found is not None:
            words = {name: value or "" for name, value in found.groupdict().items()}
            message = refusal.message.format(**words)
            return Problem(SERVER_SETUP, refusal.reason, message)
    message = REFUSED.format(replica_set=replica_set, cause=cause)
    return Problem(SERVER_SETUP, REASON_REFUSED, message)


def refused_since(
    condition: Mapping[str, Any], refused: datetime | None, nudged: datetime | None
) -> datetime:
    """Return since when the API server has refused a pod.

    Each nudge has the condition written anew, with a time of its own.

    Args:
        condition: The ReplicaFailure.
        refused: What this function returned at the last nudge; None if there was none.
        nudged: When that was.
    """
    written = parse_time(condition["lastTransitionTime"])
    if refused is None or nudged is None:
        return written
    goes_on = (written - nudged).total_seconds() <= retry.MAX_SECONDS
    return min(refused, written) if goes_on else written


def nudge_after(
    condition: Mapping[str, Any], since: datetime, nudged: datetime | None, now: datetime
) -> float:
    """Return the seconds until the ReplicaSet controller is to be made to try again.

    Args:
        condition: Its ReplicaFailure.
        since: When the pod was refused first, see `refused_since`.
        nudged: When it was last made to.
        now: The time.
    """
    written = parse_time(condition["lastTransitionTime"])
    last = written if nudged is None else max(written, nudged)
    pause = retry.pause(max((now - since).total_seconds(), 0.0))
    # A clock that was set back makes nobody wait for longer.
    return min((last + timedelta(seconds=pause) - now).total_seconds(), pause)
