"""What the API server says when it makes no pod, and when that is tried again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controller.conditions import timestamp
from fakes.objects import NOW
from reconcilers.repositoryserver.rollout import refusals, retry


@pytest.mark.parametrize(
    ("cause", "reason", "named"),
    [
        pytest.param(
            'pods "files-1-" is forbidden: error looking up service account backup/robot: '
            'serviceaccount "robot" not found',
            "ServiceAccountMissing",
            "ServiceAccount robot, named by spec.server.serviceAccountName",
            id="a service account that does not exist",
        ),
        pytest.param(
            'pods "files-1-" is forbidden: no PriorityClass with name high was found',
            "PriorityClassMissing",
            "PriorityClass high does not exist",
            id="a PriorityClass that does not exist",
        ),
        pytest.param(
            'pods "files-1-" is forbidden: pod rejected: RuntimeClass "gvisor" not found',
            "RuntimeClassMissing",
            "RuntimeClass gvisor does not exist",
            id="a RuntimeClass that does not exist",
        ),
        pytest.param(
            'pods "files-1-x" is forbidden: violates PodSecurity "restricted:latest": '
            "runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)",
            "PodSecurityRefused",
            "spec.server.runAsUser",
            id="a user id that Pod Security refuses",
        ),
        pytest.param(
            'pods "files-1-x" is forbidden: exceeded quota: small, requested: pods=1, used: '
            "pods=2, limited: pods=2",
            "QuotaExceeded",
            "ResourceQuota small leaves no room for the pod: exceeded quota: small, requested",
            id="a quota that is full",
        ),
        pytest.param(
            'pods "x" is forbidden: failed quota: compute: must specify limits.cpu for: '
            "repo-server-container",
            "QuotaExceeded",
            "set spec.server.resources",
            id="a quota that asks for limits",
        ),
        pytest.param(
            'pods "x" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi',
            "LimitRangeRefused",
            "maximum memory usage per Container is 1Gi",
            id="a LimitRange",
        ),
        pytest.param(
            'pods "files-1-" is forbidden: unable to validate against any security context '
            "constraint: [provider restricted-v2: .spec.securityContext.fsGroup: Invalid value: "
            "[]int64{65532}: 65532 is not an allowed group]",
            "SecurityContextRefused",
            "user id of the namespace's range",
            id="OpenShift's range of user ids",
        ),
        pytest.param(
            'admission webhook "teams.example" denied the request: no team',
            "PodDenied",
            "admission webhook teams.example denies the pod: no team",
            id="a webhook that denies",
        ),
        pytest.param(
            'admission webhook "teams.example" denied the request',
            "PodDenied",
            "admission webhook teams.example",
            id="a webhook that denies without a word",
        ),
        pytest.param(
            "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'teams' with binding 'b' denied "
            "request: no team",
            "PodDenied",
            "ValidatingAdmissionPolicy teams denies the pod: no team",
            id="a policy that denies",
        ),
        pytest.param(
            'Internal error occurred: failed calling webhook "mesh.example": '
            "failed to call webhook: connection refused",
            "WebhookUnavailable",
            "admission webhook mesh.example does not answer",
            id="a webhook that does not answer",
        ),
        pytest.param(
            'Pod "files-1-x" is invalid: spec.tolerations[0].operator: Unsupported value',
            "PodRefused",
            "spec.tolerations[0].operator: Unsupported value",
            id="what no row knows is repeated",
        ),
    ],
)
def test_a_refusal_sends_the_reader_to_what_is_at_fault(
    cause: str, reason: str, named: str
) -> None:
    problem = refusals.explain(cause, "files-1")

    assert problem.reason == reason
    assert named in problem.message


@pytest.mark.parametrize(
    ("refused_for", "nudged_ago", "left"),
    [
        pytest.param(0, None, 5, id="a first refusal gets some seconds"),
        pytest.param(5, None, 0, id="then it is tried again"),
        pytest.param(8, 2, 3, id="and five seconds after that"),
        pytest.param(300, 20, 10, id="the longer it lasts, the less often"),
        pytest.param(86400, 59, 1, id="but once a minute at least"),
        pytest.param(-300, None, 5, id="a clock that was set back makes nobody wait for longer"),
    ],
)
def test_it_is_tried_again(refused_for: float, nudged_ago: float | None, left: float) -> None:
    condition = {"lastTransitionTime": timestamp(NOW - timedelta(seconds=refused_for))}
    nudged = None if nudged_ago is None else NOW - timedelta(seconds=nudged_ago)

    assert refusals.nudge_after(condition, nudged, NOW) == pytest.approx(left)
    assert left <= retry.MAX_SECONDS
