"""What one reconcile carries with it, and what the process remembers between two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from controller.clock import Deadline
    from controller.controller import Request
    from controller.mutationcache import MutationCache
    from reconcilers.repositoryserver import api, kopia, status
    from reconcilers.repositoryserver.errors import Problem

INDEX_OWNER = "owner"


@frozen
class Caches:
    """What the informers hold, with the reconciler's own writes laid over it.

    Attributes:
        servers: RepositoryServers.
        pods: Pods, indexed by owner.
        services: Services, indexed by owner.
        network_policies: NetworkPolicies, indexed by owner.
        secrets: Secrets without their data, indexed by owner.
    """

    servers: MutationCache
    pods: MutationCache
    services: MutationCache
    network_policies: MutationCache
    secrets: MutationCache


@frozen
class KnownInputs:
    """What is remembered of the inputs once they were read: nothing secret.

    Attributes:
        versions: Generation of the resource and versions of the Secrets.
        digest: Names the snapshot and the pod.
        not_after: When the certificate expires.
        pod: What messages about the pod name.
    """

    versions: tuple[str, ...]
    digest: str
    not_after: datetime
    pod: status.PodContext


@frozen
class KnownAccess:
    """What is remembered of the access Secret.

    Attributes:
        version: Generation of the resource and version of the Secret.
        names: The users in it.
    """

    version: tuple[str, ...]
    names: frozenset[str]


@frozen
class UserCheck:
    """The last time that the registered users were seen to be as desired.

    Attributes:
        pod: Uid of the pod in which they were looked at.
        version: The version of the access Secret that they were compared with.
        at: Monotonic seconds.
    """

    pod: str
    version: tuple[str, ...]
    at: float


@frozen
class KnownFailure:
    """The fault that the newest pod had last.

    Attributes:
        digest: Of the pod; another pod starts with a clean slate.
        problem: The fault.
    """

    digest: str
    problem: Problem


@define
class Memory:
    """What this process remembers of one resource, so that a steady one costs no request.

    Attributes:
        inputs: What the server is started with.
        access: Who may connect.
        checked: When the registered users were seen to be right.
        failure: What the newest pod failed at.
        setting: What messages about Kopia named last, for a server whose inputs are spoilt since.
        told_at: When the status was last brought up to date, in monotonic seconds; at first, when
            the resource was first seen.
    """

    inputs: KnownInputs | None = None
    access: KnownAccess | None = None
    checked: UserCheck | None = None
    failure: KnownFailure | None = None
    setting: kopia.Setting | None = None
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
        owned_users: Users that this controller has registered.
        retry_pause: Seconds between two tries of what fails inside Kopia.
        passwords: Those of the access users, if this pass has read them.
        requeue_after: Seconds after which to look again, the shortest that was asked for.
    """

    obj: dict[str, Any]
    request: Request
    server: api.RepositoryServer
    memory: Memory
    deadline: Deadline
    owned_users: frozenset[str]
    retry_pause: float
    passwords: Mapping[str, str] | None = field(default=None, repr=False)
    requeue_after: float | None = field(default=None)

    def look_again(self, seconds: float) -> None:
        """Ask for another pass after so many seconds at the latest."""
        if self.requeue_after is None or seconds < self.requeue_after:
            self.requeue_after = seconds


def recorded_users(obj: Mapping[str, Any]) -> frozenset[str]:
    """Return the users that the status says this controller has registered."""
    return frozenset((obj.get("status") or {}).get("registeredUsers") or ())
