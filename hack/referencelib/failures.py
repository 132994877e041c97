"""The page docs/failures.md: each reason of the condition Ready once, with its message and cure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconcilers.kopia import failures as kopia
from reconcilers.kopia import wordings
from reconcilers.kopia.storage import authorities, azure, filestore, gcs, kinds, paths, s3
from reconcilers.pods import allowed, overrides
from reconcilers.repositoryserver import api, reconciler, verdict
from reconcilers.repositoryserver.children import applier, protection, workload
from reconcilers.repositoryserver.inputs import permissions
from reconcilers.repositoryserver.publish import profileuser
from reconcilers.repositoryserver.rollout import handover, podstatus, refusals, throttle, update
from reconcilers.repositoryserver.status import conditions, patience, reasons
from reconcilers.repositoryserver.status.reasons import Kind
from reconcilers.repositoryserver.users import access, source, sync
from reconcilers.secrets import certificates
from reconcilers.secrets import data as secrets
from referencelib.secrets import filled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: What separates the fault from its cure in a message.
FIX: Final = "; "

#: Where the part of the page begins that `hack/describe-failures` writes.
DUMPS: Final = "## A healthy server\n"

HEAD: Final = """\
# What a RepositoryServer reports

Each reason of the condition `Ready`, once, with its message and the cure. The message stands in
the condition, in an event, and in `kubectl get reposerver -n kanister -o wide`. It names the
object, the field or key, and after a semicolon the cure. Words in capitals stand for what is yours.
Where a reason has several messages, this page has one of them, and the
[reference](reference.md#secrets) those about keys of Secrets.

Once a fault is fixed, the server becomes Ready by itself: within seconds, or, where only Kopia or
the cluster can see it, within a minute.

- [Waits](#waits), [faults that can pass](#faults-that-can-pass),
  [faults that last](#faults-that-last)
- What `kubectl describe` prints: [a healthy server](#a-healthy-server),
  [a wrong repository password](#a-wrong-repository-password)
- [What each reason means for the other conditions, Flux and Argo CD](reference.md#conditions);
  [events](operations.md#events); [what to look at](operations.md#at-night)

`hack/reference` makes the tables from the code, `hack/describe-failures` prints the two servers.
"""

#: Of each kind: heading, what stands above the table, and the title of its last column.
SECTIONS: Final[Mapping[Kind, tuple[str, str, str]]] = {
    Kind.WAIT: (
        "Waits",
        "A change is under way. There is nothing to do, unless it lasts for minutes.",
        "if it lasts",
    ),
    Kind.PASSING: (
        "Faults that can pass",
        """\
The controller or the cluster goes on trying. These, here and below, are reported after
{seconds:.0f} s, since most of them pass at once:
{brief}.""",
        "cure",
    ),
    Kind.LASTING: (
        "Faults that last",
        """\
`Stalled` is True until somebody changes what the message names. A server that runs goes on, as
it was before the change.""",
        "cure",
    ),
}


@dataclass(frozen=True)
class Row:
    """What is said of one reason.

    Attributes:
        message: its message or the template of it, with the cure where `cure` is empty.
        cure: what to do, where the message does not say it.
        field: what stands for `{field}`.
        key: what stands for `{key}`.
    """

    message: str
    cure: str = ""
    field: str = "FIELD"
    key: str = "KEY"

    def cells(self) -> tuple[str, str]:
        """Return what is wrong, and the cure."""
        message = filled(self.message, self.field, self.key)
        if self.cure:
            return message, self.cure
        wrong, separator, cure = message.partition(FIX)
        if not separator:
            raise ValueError(NO_CURE.format(message=message))
        return wrong, cure


NO_CURE: Final = "the message {message!r} has no cure after a semicolon; write one in Row.cure"

_LOCATION: Final = "spec.storage.secretRef"
_CREDENTIAL: Final = "spec.storage.credentialSecretRef"
_TLS: Final = "spec.server.tlsSecretRef"
_USERS: Final = "spec.server.userAccess.userAccessSecretRef"
_OVERRIDE: Final = overrides.FIELD
_EVENTS: Final = "`kubectl describe` the pod: its events say what it waits for"


def _refused(reason: str) -> Row:
    """Return the row of a reason for which the API server makes no pod."""
    return Row(next(one.message for one in refusals.TABLE if one.reason == reason))


def _of_account(template: str) -> str:
    """Return a message about a service account with the words that are always the same."""
    known = {"source": permissions.FIELD, "annotation": permissions.ANNOTATION_ALLOW}
    return re.sub(r"\{(source|annotation)\}", lambda place: known[place[1]], template)


ROWS: Final[Mapping[str, Row]] = {
    verdict.REASON_PAUSED: Row(verdict.PAUSED.message),
    verdict.REASON_WAITING_FOR_SLOT: Row(
        throttle.WAITING,
        "raise `--max-concurrent-replacements`. If the message says that the last ones have "
        "failed, fix one of these: it goes first",
    ),
    verdict.REASON_CHANGES_SETTLING: Row(
        update.WAITING_QUIET,
        "something changes the resource or its Secrets every two seconds: find it",
    ),
    verdict.REASON_WAITING_FOR_SECRET: Row(
        secrets.MISSING.partition(FIX)[0],
        f"create the Secret: after {patience.SECONDS:.0f} s the reason is `SecretMissing`",
    ),
    verdict.REASON_WAITING_FOR_DELETION: Row(
        applier.WAITING_OWNER, "the garbage collector deletes it: see kube-controller-manager"
    ),
    verdict.REASON_POD_PENDING: Row(podstatus.WAITING_POD, _EVENTS),
    verdict.REASON_IMAGE_PULLING: Row(podstatus.WAITING_IMAGE),
    verdict.REASON_OPENING_REPOSITORY: Row(podstatus.WAITING_SERVER),
    verdict.REASON_KOPIA_RESTARTING: Row(
        podstatus.WAITING_RESTART,
        "see the log of the pod; from the second end on the reason says why",
    ),
    verdict.REASON_WAITING_FOR_ANSWER: Row(podstatus.WAITING_PROBE),
    verdict.REASON_LOADING_USERS: Row(
        sync.LOADING_USERS, "the message becomes why they cannot be loaded; it is tried again"
    ),
    verdict.REASON_WAITING_FOR_ENDPOINTS: Row(
        conditions.WAITING_ENDPOINT,
        "`kubectl describe endpointslices -n kanister -l "
        "kubernetes.io/service-name=repo-server-NAME`",
    ),
    podstatus.REASON_UNSCHEDULABLE: Row(podstatus.UNSCHEDULABLE),
    podstatus.REASON_IMAGE: Row(podstatus.IMAGE),
    podstatus.REASON_CONTAINER: Row(podstatus.CONTAINER),
    podstatus.REASON_NODE_LOST: Row(podstatus.NODE_LOST),
    podstatus.REASON_POD_ENDED: Row(
        podstatus.POD_ENDED, "what the cause names: an eviction, a node that shuts down"
    ),
    kopia.REASON_EXITED: Row(kopia.EXITED),
    kopia.REASON_OUT_OF_MEMORY: Row(kopia.OUT_OF_MEMORY),
    kopia.REASON_NOT_OPENED: Row(kopia.NOT_OPENED),
    podstatus.REASON_STUCK: Row(podstatus.STUCK),
    refusals.REASON_QUOTA: _refused(refusals.REASON_QUOTA),
    refusals.REASON_WEBHOOK: _refused(refusals.REASON_WEBHOOK),
    handover.REASON_NOT_READY: Row(
        handover.NOT_READY.format(
            name="NAME",
            seconds=handover.GIVE_BACK_SECONDS,
            minutes=handover.TRY_AGAIN_SECONDS / 60,
        )
    ),
    kopia.REASON_STORAGE: Row(kopia.STORAGE_NOT_FOUND),
    update.REASON_REFUSED: Row(update.REFUSED),
    update.REASON_OUT_OF_TIME: Row(update.OUT_OF_TIME),
    secrets.REASON_MISSING: Row(secrets.MISSING),
    secrets.REASON_TYPE: Row(secrets.WRONG_TYPE),
    secrets.REASON_KEY: Row(secrets.KEY_MISSING),
    secrets.REASON_KEY_ENCODING: Row(secrets.NOT_TEXT),
    secrets.REASON_PLACEHOLDER: Row(secrets.KEY_PLACEHOLDER),
    api.REASON_FOREIGN_NAMESPACE: Row(api.FOREIGN_NAMESPACE),
    kinds.REASON_LOCATION_TYPE: Row(kinds.UNKNOWN_LOCATION, field=_LOCATION, key="type"),
    paths.REASON_PATH: Row(paths.PREFIX_LEAVES, field=_LOCATION),
    filestore.REASON_CLAIM_NAME: Row(filestore.CLAIM_NAME, field=_LOCATION, key="claimName"),
    podstatus.REASON_CLAIM_MISSING: Row(podstatus.CLAIM_MISSING),
    s3.REASON_ENDPOINT: Row(s3.NO_HOST, field=_LOCATION, key="endpoint"),
    azure.REASON_CLOUD: Row(azure.CLOUD_UNKNOWN, field=_CREDENTIAL, key=azure.ENVIRONMENT),
    authorities.REASON_AUTHORITY: Row(authorities.AUTHORITY, field=_LOCATION, key=authorities.KEY),
    azure.REASON_NO_CREDENTIAL: Row(azure.NO_CREDENTIAL),
    gcs.REASON_CREDENTIAL: Row(gcs.NOT_JSON, field=_CREDENTIAL, key=gcs.CREDENTIAL),
    wordings.REASON_CREDENTIAL_FILE: Row(wordings.CREDENTIAL_FILE),
    s3.REASON_ROLE: Row(s3.ROLE_WITHOUT_KEYS, field=_CREDENTIAL, key=s3.ROLE),
    certificates.REASON_INVALID: Row(certificates.MISMATCH, field=_TLS),
    access.REASON_NAME: Row(access.BAD_NAME, field=_USERS),
    source.REASON_OWN: Row(source.OWN, field=_USERS),
    access.REASON_TWICE: Row(access.NAMED_TWICE, field=_USERS),
    access.REASON_TOO_MANY: Row(access.TOO_MANY, field=_USERS),
    api.REASON_NO_TIME: Row(api.NO_TIME),
    filestore.REASON_POINT_IN_TIME: Row(filestore.POINT_IN_TIME),
    "InvalidPodOverride": Row(allowed.NOT_ALLOWED, field=_OVERRIDE),
    permissions.REASON_METADATA: Row(permissions.METADATA_NOT_ALLOWED, field=permissions.LABELS),
    permissions.REASON_IMAGE: Row(permissions.IMAGE_NOT_ALLOWED),
    permissions.REASON_NO_ACCOUNT: Row(_of_account(permissions.NO_ACCOUNT)),
    permissions.REASON_ACCOUNT: Row(_of_account(permissions.ACCOUNT_NOT_ALLOWED)),
    workload.REASON_POD_REFUSED: Row(workload.POD_REFUSED),
    refusals.REASON_DENIED: _refused(refusals.REASON_DENIED),
    refusals.REASON_POD_SECURITY: _refused(refusals.REASON_POD_SECURITY),
    refusals.REASON_SECURITY_CONTEXT: _refused(refusals.REASON_SECURITY_CONTEXT),
    refusals.REASON_LIMIT_RANGE: _refused(refusals.REASON_LIMIT_RANGE),
    refusals.REASON_PRIORITY_CLASS: _refused(refusals.REASON_PRIORITY_CLASS),
    refusals.REASON_RUNTIME_CLASS: _refused(refusals.REASON_RUNTIME_CLASS),
    protection.REASON_NETWORK_POLICY: Row(protection.REFUSED),
    profileuser.REASON_USER: Row(
        profileuser.SEVERAL,
        "the message has it. The server and its users are not affected",
        field=profileuser.FIELD,
    ),
    applier.REASON_FOREIGN_CHILD: Row(applier.FOREIGN_CHILD),
    kopia.REASON_PASSWORD: Row(kopia.NOT_UNLOCKED),
    kopia.REASON_NO_REPOSITORY: Row(kopia.NO_REPOSITORY),
    kopia.REASON_PERMISSION: Row(kopia.PERMISSION_DENIED),
    wordings.REASON_BUCKET: Row(wordings.BUCKET_MISSING),
    wordings.REASON_BUCKET_NAME: Row(wordings.BUCKET_NAME),
    wordings.REASON_REGION: Row(wordings.REGION_WRONG),
    wordings.REASON_SCHEME: Row(wordings.WITHOUT_TLS),
    wordings.REASON_CLOCK: Row(wordings.CLOCK),
    wordings.REASON_DENIED: Row(wordings.ACCESS_DENIED),
    wordings.REASON_UNTRUSTED: Row(wordings.UNTRUSTED),
    kopia.REASON_OTHER_KOPIA: Row(kopia.OTHER_KOPIA),
    reconciler.REASON_PANICKED: Row(reconciler.PANICKED),
}


def render(dumps: str) -> str:
    """Return the page.

    Args:
        dumps: what `hack/describe-failures` has printed, from the heading `DUMPS` on.
    """
    sections = [_section(kind, *words) for kind, words in SECTIONS.items()]
    return "\n".join([HEAD, *sections, dumps])


def dumps_of(text: str) -> str:
    """Return the part of a page that `hack/describe-failures` has written."""
    return text[text.index(DUMPS) :]


def _section(kind: Kind, heading: str, about: str, last: str) -> str:
    brief = ", ".join(f"`{reason}`" for reason in patience.BRIEF)
    lines = [
        f"## {heading}",
        "",
        about.format(seconds=patience.SECONDS, brief=brief),
        "",
        f"| reason | message | {last} |",
        "|---|---|---|",
        *_rows(kind),
        "",
    ]
    return "\n".join(lines)


def _rows(kind: Kind) -> Iterator[str]:
    for reason, of_reason in reasons.REASONS.items():
        if of_reason is kind:
            yield f"| `{reason}` | {' | '.join(ROWS[reason].cells())} |"
