"""What is known of a server's Secrets once they were read: nothing secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from reconcilers.repositoryserver.verdict import PodContext, Problem
    from reconcilers.secrets.reader import Versions


@frozen
class KnownInputs:
    """What is known of the inputs of a server.

    Args:
        versions: Generation of the resource and versions of the Secrets.
        hash: Names the revision: the snapshot and the ReplicaSet.
        not_after: When the certificate expires.
        pod: What messages about the pod name.
        repository: What tells the repository from all others, see `kopia.storage.identity`.
        fingerprint: Of the certificate; empty if this process has not read it.
    """

    versions: Versions
    hash: str
    not_after: datetime
    pod: PodContext
    repository: str
    fingerprint: str = ""


@frozen
class KnownUsers:
    """What is known of the users of a server once they were written for it.

    Args:
        sources: What they were made of.
        stored: Tells the Secret that was written from any other.
        version: What a pod has to have loaded.
        legacy: Users whose entries in the repository the removed controller has made, and that are
            still to be deleted.
        problem: What is wrong with the sources, for which the users of some are those of before.
        warning: What to say of sources that name nobody; empty if each names somebody.
        short: What to say of users with short passwords; empty if there are none, None if this
            process has not read them.
    """

    sources: Versions
    stored: str
    version: str
    legacy: frozenset[str] = frozenset()
    problem: Problem | None = None
    warning: str = ""
    short: str | None = None


@frozen
class Known:
    """What a process that is new to a server knows of it, see `record`.

    Args:
        inputs: Its inputs; None if nothing is recorded.
        users: Its users; None if nothing is recorded.
        written: By name of a Secret with content of the controller's its version as it was written.
    """

    inputs: KnownInputs | None = None
    users: KnownUsers | None = None
    written: Mapping[str, str] = field(factory=dict)
