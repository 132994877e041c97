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


#: In the order in which they are tried. The sources are files of Kubernetes 1.30 to 1.36.
TABLE: Final = (
    # plugin/pkg/admission/serviceaccount/admission.go
    _refusal(
        r'error looking up service account [^:]*: serviceaccount "(?P<name>[^"]+)" not found',
        REASON_ACCOUNT,
        "ServiceAccount {name}, named by spec.server.serviceAccountName, does not exist; create it "
        "or correct the field",
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
    # staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go
    _refusal(
        r"(?P<what>exceeded quota: (?P<name>[^,]+),.+)",
        REASON_QUOTA,
        "ResourceQuota {name} leaves no room for the pod: {what}; raise the quota, or lower "
        "spec.server.resources",
    ),
    _refusal(
        r"(?P<what>failed quota: (?P<name>[^:]+): must specify .+)",
        REASON_QUOTA,
        "ResourceQuota {name} asks for more than the pod says: {what}; set spec.server.resources",
    ),
    # plugin/pkg/admission/limitranger/admission.go
    _refusal(
        r"(?P<what>(?:minimum|maximum) \S+ usage per .+|\S+ max limit to request ratio per .+)",
        REASON_LIMIT_RANGE,
        "a LimitRange of the namespace refuses the pod: {what}; change spec.server.resources",
    ),
    # openshift/apiserver-library-go pkg/securitycontextconstraints/sccadmission/admission.go
    _refusal(
        r"unable to validate against any security context constraint: (?P<what>.+)",
        REASON_SECURITY_CONTEXT,
        "no SecurityContextConstraints lets the pod run as it asks to: {what}; set "
        "spec.server.runAsUser to a user id of the namespace's range, or let the pod's "
        "ServiceAccount use other constraints",
    ),
    # staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook/errors/statuserror.go
    _refusal(
        r'admission webhook "(?P<name>[^"]+)" denied the request(?:: (?P<what>.+))?',
        REASON_DENIED,
        "admission webhook {name} denies the pod: {what}; change spec.server accordingly, or the "
        "webhook's policy",
    ),
    # staging/src/k8s.io/apiserver/pkg/admission/plugin/policy/validating
    _refusal(
        r"ValidatingAdmissionPolicy '(?P<name>[^']+)'.* denied request: (?P<what>.+)",
        REASON_DENIED,
        "ValidatingAdmissionPolicy {name} denies the pod: {what}; change spec.server accordingly, "
        "or the policy",
    ),
    # staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook/generic/webhook.go
    _refusal(
        r'failed calling webhook "(?P<name>[^"]+)": (?P<what>.+)',
        REASON_WEBHOOK,
        "admission webhook {name} does not answer, so no pod can be created: {what}; mend it",
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
    for refusal in TABLE:
        found = refusal.words.search(cause)
        if found is not None:
            words = {name: value or "" for name, value in found.groupdict().items()}
            message = refusal.message.format(**words)
            return Problem(SERVER_SETUP, refusal.reason, message)
    message = REFUSED.format(replica_set=replica_set, cause=cause)
    return Problem(SERVER_SETUP, REASON_REFUSED, message)


def nudge_after(condition: Mapping[str, Any], nudged: datetime | None, now: datetime) -> float:
    """Return the seconds until the ReplicaSet controller is to be made to try again.

    Args:
        condition: Its ReplicaFailure.
        nudged: When it was last made to.
        now: The time.
    """
    since = parse_time(condition["lastTransitionTime"])
    last = since if nudged is None else max(since, nudged)
    pause = retry.pause(max((now - since).total_seconds(), 0.0))
    # A clock that was set back makes nobody wait for longer.
    return min((last + timedelta(seconds=pause) - now).total_seconds(), pause)
