"""What pods mount: the Secret with the users, and a claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from fakes.simulation.repositories import decoded
from reconcilers.repositoryserver import servercommands

if TYPE_CHECKING:
    from controller.resource import Object


@frozen
class Users:
    """The Secret with the users, as it stands in a volume."""

    version: str
    lines: str


def claim_of(pod: Object) -> str:
    """Return the claim that a pod mounts; empty if none."""
    claims = (one.get("persistentVolumeClaim") for one in pod["spec"].get("volumes") or ())
    return next((claim["claimName"] for claim in claims if claim), "")


def users_in(secret: Object) -> Users:
    return Users(
        decoded(secret, servercommands.USERS_VERSION_FILE),
        decoded(secret, servercommands.USERS_FILE),
    )
