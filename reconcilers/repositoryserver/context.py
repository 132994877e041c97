"""What one reconcile carries with it, and what the process remembers between two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from reconcilers.secrets.reader import ReadScope

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from controller.clock import Deadline
    from controller.reconcile import Request
    from controller.resource import Resource
    from reconcilers.kopia import failures
    from reconcilers.repositoryserver import api
    from reconcilers.repositoryserver.verdict import PodContext, Problem, Waiting
    from reconcilers.secrets.reader import Versions


@frozen
class ShownCertificate:
    """What clients see of a server's certificate.

    Args:
        fingerprint: As of `secrets.certificates.ServerCertificate`.
        not_after: When it expires.
    """

    fingerprint: str
    not_after: datetime


@frozen
class RefusedPolicy:
    """A NetworkPolicy that the API server has refused.

    Args:
        peers: The peers that it had.
        message: Why, in the words of the API server.
    """

    peers: tuple[Mapping[str, Any], ...]
    message: str


@frozen
class KnownInputs:
    """What is remembered of the inputs once they were read: nothing secret.

    Args:
        versions: Generation of the resource and versions of the Secrets.
        digest: Names the snapshot and the pod.
        not_after: When the certificate expires.
        pod: What messages about the pod name.
        repository: What tells the repository from all others, see `kopia.storage.identity`.
        fingerprint: Of the certificate; empty if this process has not read it.
    """

    versions: Versions
    digest: str
    not_after: datetime
    pod: PodContext
    repository: str
    fingerprint: str = ""


@frozen
class KnownRefusal:
    """Why inputs cannot work, so that they are not read again before they change.

    Attributes:
        versions: Generation of the resource and versions of the Secrets.
        reason: As of the InvalidInput.
        message: As of the InvalidInput.
    """

    versions: Versions
    reason: str
    message: str


@frozen
class KnownUsers:
    """What is remembered of the users once they were written for the server.

    Attributes:
        sources: What they were made of.
        stored: Tells the Secret that was written from any other.
        version: What a pod has to have taken up.
        legacy: Users whose entries in the repository the removed controller has made, and that are
            still to be deleted.
        problem: What is wrong with the sources, for which the users of some are those of before.
        warning: What to say of sources that name nobody; empty if each names somebody.
    """

    sources: Versions
    stored: str
    version: str
    legacy: frozenset[str] = frozenset()
    problem: Problem | None = None
    warning: str = ""


@frozen
class Attempt:
    """A try to let a server take up its users that has failed.

    Attributes:
        version: Of the users.
        since: When the first try with them failed, in monotonic seconds.
        until: When to try again, in monotonic seconds.
        verdict: What came of it.
    """

    version: str
    since: float
    until: float
    verdict: Problem | Waiting


@frozen
class Purge:
    """A search of the repository for users that has found some whose entries are to be deleted.

    Attributes:
        found: Those users.
        others: The users with an entry that stays.
    """

    found: frozenset[str]
    others: frozenset[str]


@frozen
class Refresh:
    """A look of a server at its repository, under way.

    Attributes:
        pod: Uid of the server's pod.
        since: When it began, in monotonic seconds.
        written: Whether another pod may have written to the repository since it began.
    """

    pod: str
    since: float
    written: bool


@frozen
class KnownFailure:
    """The fault that the newest pod had last.

    Attributes:
        digest: Of the pod; another pod starts with a clean slate.
        problem: The fault.
    """

    digest: str
    problem: Problem


@frozen
class Overruled:
    """A child that was changed as it was applied, by a webhook.

    Attributes:
        wish: Mark of the child as it was applied.
        version: Of the object that came of it.
        until: When to try again, in monotonic seconds.
    """

    wish: str
    version: str
    until: float


@define
class Memory:
    """What this process remembers of one resource, so that a steady one costs no request.

    Attributes:
        inputs: What the server is started with.
        refusal: Why what it would be started with cannot work, if it cannot.
        users: Who may connect.
        overruled: By resource what became of the child of it that was applied last, if it was not
            taken as it was.
        attempts: By uid of a pod the last try to let its server take up the users, if it failed.
        loading: By uid of a pod the version of the users that its server is loading.
        search_at: When to search the repository for users, in monotonic seconds; None if that is
            not planned.
        purge: Entries that are being deleted from the repository; None if none are.
        moved_at: When the Service was made to select another pod, in monotonic seconds.
        refreshed_at: When the server last looked at its repository anew, in monotonic seconds, or
            when it was first seen that it has to; None while no other pod may have written since.
        refresh: The look that is under way.
        recorded_at: When what is known was written to the pod for its own sake, in monotonic
            seconds.
        faults_since: When each fault that may pass by itself was first seen, in monotonic seconds,
            by step and reason.
        certificates: The certificates of the servers that there are, by digest.
        refused_policy: The NetworkPolicy that the API server has refused, and why.
        failure: What the newest pod failed at.
        setting: What messages about Kopia named last, for a server whose inputs are spoilt since.
        renew_at: When to try again to renew the certificate of the controller's own, in monotonic
            seconds, after a try was refused; None if none was.
        changing: Digest of a revision that is not begun yet, and since when it is the one that is
            wanted, in monotonic seconds.
        told_at: When the status was last brought up to date, in monotonic seconds; at first, when
            the resource was first seen.
    """

    inputs: KnownInputs | None = None
    refusal: KnownRefusal | None = None
    users: KnownUsers | None = None
    overruled: dict[Resource, Overruled] = field(factory=dict)
    attempts: dict[str, Attempt] = field(factory=dict)
    loading: dict[str, str] = field(factory=dict)
    search_at: float | None = None
    purge: Purge | None = None
    moved_at: float | None = None
    refreshed_at: float | None = None
    refresh: Refresh | None = None
    recorded_at: float | None = None
    faults_since: Mapping[tuple[str, str], float] = field(factory=dict)
    certificates: dict[str, ShownCertificate] = field(factory=dict)
    refused_policy: RefusedPolicy | None = None
    failure: KnownFailure | None = None
    setting: failures.Setting | None = None
    renew_at: float | None = None
    changing: tuple[str, float] | None = None
    told_at: float | None = None


@define
class Pass:
    """One reconcile of one resource.

    Attributes:
        obj: The resource as the API server has it.
        request: Its namespace and name.
        server: The same, parsed.
        memory: What earlier passes remember.
        deadline: Until when work may go on.
        expiring: What is to be said of a certificate that is about to expire, or has expired; empty
            if there is no need to, None while it is not known.
        expired: Whether it has expired.
        reads: Holds the Secrets that it reads.
        requeue_after: Seconds after which to look again, the shortest that was asked for.
        requeue_priority: Priority of that pass; None for the one that this pass has.
    """

    obj: dict[str, Any]
    request: Request
    server: api.RepositoryServer
    memory: Memory
    deadline: Deadline
    expiring: str | None = None
    expired: bool = False
    reads: ReadScope = field(init=False)
    requeue_after: float | None = field(default=None)
    requeue_priority: int | None = None

    @reads.default
    def _own_reads(self) -> ReadScope:
        return ReadScope(self.deadline)

    def look_again(self, seconds: float, *, priority: int | None = None) -> None:
        """Ask for another pass.

        Args:
            seconds: After how many at the latest, if nothing of a higher priority waits then.
            priority: Its priority in the queue; None for the one that this pass has.
        """
        if self.requeue_after is None or seconds < self.requeue_after:
            self.requeue_after = seconds
            self.requeue_priority = priority
