"""What an API server says of a pod that it refuses, as the ReplicaSet controller repeats it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_HERE: Final = 'pods "files-1-" is forbidden: '
_WEBHOOK: Final = (
    'Internal error occurred: failed calling webhook "teams.example.com": failed to call webhook: '
    'Post "https://127.0.0.1:8443/judge?timeout=1s": '
)

#: By what is amiss. test/integration/test_refusals.py has a real one say each.
RECORDED: Final[Mapping[str, str]] = {
    "account": (
        f'{_HERE}error looking up service account backup/robot: serviceaccount "robot" not found'
    ),
    "priority class": f"{_HERE}no PriorityClass with name high was found",
    "runtime class": f'{_HERE}pod rejected: RuntimeClass "gvisor" not found',
    "pod security": (
        f'{_HERE}violates PodSecurity "restricted:latest": runAsNonRoot != true (pod must not set '
        "securityContext.runAsNonRoot=false), runAsUser=0 (pod must not set runAsUser=0)"
    ),
    "full quota": f"{_HERE}exceeded quota: small, requested: pods=1, used: pods=0, limited: pods=0",
    "quota of two things": (
        f"{_HERE}exceeded quota: small, requested: requests.cpu=50m,requests.memory=128Mi, used: "
        "requests.cpu=0,requests.memory=0, limited: requests.cpu=10m,requests.memory=64Mi"
    ),
    "quota that asks for limits": (
        f"{_HERE}failed quota: compute: must specify limits.cpu for: repo-server-container; "
        "limits.memory for: repo-server-container"
    ),
    "maximum": f"{_HERE}maximum memory usage per Container is 1Gi, but limit is 2Gi",
    "maximum of two things": (
        f"{_HERE}[maximum cpu usage per Container is 1, but limit is 2, maximum memory usage per "
        "Container is 1Gi, but limit is 2Gi]"
    ),
    "maximum of a pod without a limit": (
        f"{_HERE}maximum memory usage per Pod is 1Gi.  No limit is specified"
    ),
    "minimum": f"{_HERE}minimum memory usage per Container is 1Gi, but request is 128Mi",
    "ratio": (
        f"{_HERE}memory max limit to request ratio per Container is 2, but no limit is specified "
        "or limit is 0"
    ),
    "default limit below the request": (
        'Pod "files-1-" is invalid: spec.containers[0].resources.requests: Invalid value: "128Mi": '
        "must be less than or equal to memory limit of 64Mi"
    ),
    "policy": (
        f"{_HERE}ValidatingAdmissionPolicy 'teams.backup' with binding 'bound.backup' denied "
        "request: no team"
    ),
    "policy that fails": (
        f"{_HERE}ValidatingAdmissionPolicy 'teams.backup' with binding 'bound.backup' denied "
        "request: expression 'object.spec.nothing == 'x'' resulted in error: no such key: nothing"
    ),
    "policy without its parameters": (
        f"{_HERE}ValidatingAdmissionPolicy 'teams.backup' with binding 'bound.backup' denied "
        "request: failed to configure binding: no params found for policy binding with `Deny` "
        "parameterNotFoundAction"
    ),
    "webhook": 'admission webhook "teams.example.com" denied the request: no team',
    "webhook with a reason": 'admission webhook "teams.example.com" denied the request: NoTeam',
    "webhook without a word": (
        'admission webhook "teams.example.com" denied the request without explanation'
    ),
    "webhook that does not listen": (
        f"{_WEBHOOK}dial tcp 127.0.0.1:8443: connect: connection refused"
    ),
    "webhook that hangs": f"{_WEBHOOK}context deadline exceeded",
    "webhook that is not trusted": (
        f"{_WEBHOOK}tls: failed to verify certificate: x509: certificate signed by unknown "
        "authority"
    ),
}

#: What cannot be had on a cluster of this machine, from the source: beside each row of
#: `rollout.refusals.TABLE`.
OF_THE_SOURCE: Final[Mapping[str, str]] = {
    "quota that is not counted yet": (f"{_HERE}status unknown for quota: small, resources: pods"),
    "priority that a quota must cover": (
        f"{_HERE}insufficient quota to match these scopes: [{{PriorityClass In "
        "[system-node-critical system-cluster-critical]}]"
    ),
    "resource that a quota must cover": f"{_HERE}insufficient quota to consume: requests.storage",
    "range of user ids": (
        f"{_HERE}unable to validate against any security context constraint: [provider "
        '"anyuid": Forbidden: not usable by user or serviceaccount, provider restricted-v2: '
        ".spec.securityContext.fsGroup: Invalid value: []int64{65532}: 65532 is not an allowed "
        "group, provider restricted-v2: .containers[0].runAsUser: Invalid value: 65532: must be in "
        "the ranges: [1000680000, 1000689999]]"
    ),
    "no constraints": f"{_HERE}{_HERE}no SecurityContextConstraints found in namespace backup",
    "constraints that are not loaded": (
        f"{_HERE}{_HERE}securitycontextconstraints.security.openshift.io cache is missing anyuid"
    ),
    "policy engine": (
        'admission webhook "validate.kyverno.svc-fail" denied the request: \n\nresource '
        "Pod/backup/files-1-x was blocked due to the following policies \n\nrequire-labels:\n  "
        "check-for-labels: 'validation error: The label team is required.'\n"
    ),
    "mutating policy": (
        f"{_HERE}policy 'defaults' with binding 'bound' denied request: no such key: labels"
    ),
    "webhook of which nothing more is known": (
        'Internal error occurred: failed calling webhook "teams.example.com"; no further details '
        "available"
    ),
    "quotas that take too long": "Internal error occurred: resource quota evaluation timed out",
    "request that takes too long": (
        "Timeout: request did not complete within requested timeout - context deadline exceeded"
    ),
    "storage that is away": "etcdserver: request timed out",
    "storage that asks to try again": (
        "The POST operation against pods could not be completed at this time, please try again."
    ),
    "too many requests": "Too many requests: please try again later",
    "something else": 'Pod "files-1-x" is invalid: spec.tolerations[0].operator: Unsupported value',
}
