"""What the API server says when it makes no pod, and when that is tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import pytest

from controller.conditions import timestamp
from fakes.objects import NOW
from fakes.refusals import OF_THE_SOURCE, RECORDED
from reconcilers.repositoryserver.rollout import refusals, retry

ALL: Final = {**RECORDED, **OF_THE_SOURCE}

#: For each, the reason, and what the message says beside the words themselves.
MEANING: Final = {
    "account": (
        "ServiceAccountMissing",
        "ServiceAccount robot does not exist; create it, or correct spec.server.serviceAccountName",
    ),
    "priority class": (
        "PriorityClassMissing",
        "PriorityClass high does not exist; create it, or correct priorityClassName",
    ),
    "runtime class": (
        "RuntimeClassMissing",
        "RuntimeClass gvisor does not exist; create it, or correct runtimeClassName",
    ),
    "pod security": (
        "PodSecurityRefused",
        "Pod Security restricted:latest, which refuses the pod: runAsNonRoot != true",
    ),
    "full quota": (
        "QuotaExceeded",
        "ResourceQuota small leaves no room for the pod: exceeded quota: small, requested: pods=1",
    ),
    "quota of two things": ("QuotaExceeded", "raise the quota, or lower spec.server.resources"),
    "quota that asks for limits": ("QuotaExceeded", "; set spec.server.resources"),
    "quota that is not counted yet": (
        "QuotaExceeded",
        "Kubernetes has not counted yet what ResourceQuota small leaves",
    ),
    "priority that a quota must cover": (
        "QuotaExceeded",
        "[{PriorityClass In [system-node-critical system-cluster-critical]}]; create one",
    ),
    "resource that a quota must cover": ("QuotaExceeded", "requests.storage; create one"),
    "maximum": ("LimitRangeRefused", "but limit is 2Gi; change spec.server.resources"),
    "maximum of two things": (
        "LimitRangeRefused",
        "maximum cpu usage per Container is 1, but limit is 2, maximum memory usage per Container",
    ),
    "maximum of a pod without a limit": (
        "LimitRangeRefused",
        "No limit is specified; change spec.server",
    ),
    "minimum": ("LimitRangeRefused", "minimum memory usage per Container is 1Gi, but request is"),
    "ratio": ("LimitRangeRefused", "memory max limit to request ratio per Container is 2"),
    "default limit below the request": (
        "LimitRangeRefused",
        "a LimitRange of the namespace sets a limit that is below what the pod requests",
    ),
    "range of user ids": (
        "SecurityContextRefused",
        "set spec.server.runAsUser to a user id of the namespace's range",
    ),
    "no constraints": (
        "SecurityContextRefused",
        "no SecurityContextConstraints found in namespace backup; let the pod's ServiceAccount use",
    ),
    "constraints that are not loaded": (
        "ApiRequestRefused",
        "the API server cannot judge pods at the moment: securitycontextconstraints",
    ),
    "policy": (
        "PodDenied",
        "ValidatingAdmissionPolicy teams.backup denies the pod: no team; change spec.server",
    ),
    "policy that fails": (
        "PodDenied",
        "ValidatingAdmissionPolicy teams.backup denies the pod: expression",
    ),
    "policy without its parameters": (
        "PodDenied",
        "ValidatingAdmissionPolicy teams.backup denies the pod: failed to configure binding: no",
    ),
    "mutating policy": (
        "PodDenied",
        "admission policy defaults cannot be applied to the pod: no such key: labels; correct the",
    ),
    "webhook": ("PodDenied", "admission webhook teams.example.com denies the pod: no team; change"),
    "webhook with a reason": ("PodDenied", "teams.example.com denies the pod: NoTeam; change"),
    "webhook without a word": ("PodDenied", "denies the pod: without explanation; change"),
    "policy engine": (
        "PodDenied",
        "following policies require-labels: check-for-labels: 'validation error: The label team is",
    ),
    "webhook that does not listen": (
        "WebhookUnavailable",
        "admission webhook teams.example.com does not answer as it should, so no pod can be",
    ),
    "webhook that hangs": ("WebhookUnavailable", "context deadline exceeded; mend it"),
    "webhook that is not trusted": ("WebhookUnavailable", "x509: certificate"),
    "webhook of which nothing more is known": ("WebhookUnavailable", "no further details"),
    "quotas that take too long": (
        "ApiRequestRefused",
        "the API server cannot create the pod at the moment: Internal error occurred: resource",
    ),
    "request that takes too long": ("ApiRequestRefused", "Timeout: request did not complete"),
    "storage that is away": ("ApiRequestRefused", "etcdserver: request timed out; if this lasts"),
    "storage that asks to try again": ("ApiRequestRefused", "The POST operation against pods"),
    "too many requests": ("ApiRequestRefused", "Too many requests: please try again later"),
    "something else": ("PodRefused", "spec.tolerations[0].operator: Unsupported value; correct"),
}


@pytest.mark.parametrize("what", ALL)
def test_a_refusal_sends_the_reader_to_what_is_at_fault(what: str) -> None:
    reason, named = MEANING[what]

    problem = refusals.explain(ALL[what], "files-1")

    assert problem.reason == reason
    assert named in problem.message


def test_every_row_of_the_table_has_words_that_it_is_for() -> None:
    """A row that no words reach is one that another row hides, or whose words were made up."""
    reached = {
        next(number for number, row in enumerate(refusals.TABLE) if row.words.search(words))
        for words in (" ".join(cause.split()) for cause in ALL.values())
        if any(row.words.search(words) for row in refusals.TABLE)
    }

    assert reached == set(range(len(refusals.TABLE)))


def refusal(*, seconds_ago: float) -> dict[str, str]:
    return {"lastTransitionTime": timestamp(NOW - timedelta(seconds=seconds_ago))}


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
    nudged = None if nudged_ago is None else NOW - timedelta(seconds=nudged_ago)
    since = NOW - timedelta(seconds=refused_for)
    # Each try has the condition written anew.
    condition = refusal(seconds_ago=refused_for if nudged_ago is None else nudged_ago)

    found = refusals.nudge_after(condition, since, nudged, NOW)

    assert found == pytest.approx(left)
    assert left <= retry.MAX_SECONDS


@pytest.mark.parametrize(
    ("written_ago", "refused_ago", "nudged_ago", "since_ago"),
    [
        pytest.param(8, None, None, 8, id="nothing has been tried yet"),
        pytest.param(2, 300, 2, 300, id="what was written after a try is the same refusal"),
        pytest.param(2, 300, 3, 300, id="and if that took a moment"),
        pytest.param(3, 300, 2, 300, id="and by a clock that is behind"),
        pytest.param(5, 90000, 86400, 5, id="one that comes long after the last try is another"),
        pytest.param(300, 2, 2, 300, id="a try that has not been answered yet changes nothing"),
    ],
)
def test_since_when_it_is_refused(
    written_ago: float, refused_ago: float | None, nudged_ago: float | None, since_ago: float
) -> None:
    refused, nudged = (
        None if ago is None else NOW - timedelta(seconds=ago) for ago in (refused_ago, nudged_ago)
    )

    since = refusals.refused_since(refusal(seconds_ago=written_ago), refused, nudged)

    assert since == NOW - timedelta(seconds=since_ago)
