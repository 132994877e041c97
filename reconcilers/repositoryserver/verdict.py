"""What a step of a reconcile finds: what is wrong, what is being waited for, or nothing.

A server comes up in `STEPS`, each with a condition of the last shipped contract.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from reconcilers.kopia import failures
from reconcilers.repositoryserver import api

if TYPE_CHECKING:
    from reconcilers.errors import InvalidInput
    from reconcilers.repositoryserver.api import RepositoryServer

SERVER_SETUP = "ServerSetup"
REPOSITORY_CONNECTED = "RepositoryConnected"
SERVER_INITIALIZED = "ServerInitialized"
CLIENT_USER_INITIALIZED = "ClientUserInitialized"
SERVER_REFRESHED = "ServerRefreshed"

# In the order in which a server comes up; with the last shipped reasons for True and False.
STEPS = {
    SERVER_SETUP: (
        "KopiaRepositoryServerSetupSucceeded",
        "KopiaRepositoryServerSetupFailed",
    ),
    REPOSITORY_CONNECTED: (
        "KopiaRepositoryConnectionSucceeded",
        "KopiaRepositoryConnectionFailed",
    ),
    SERVER_INITIALIZED: (
        "KopiaRepositoryServerInitializationSucceeded",
        "KopiaRepositoryServerInitializationFailed",
    ),
    CLIENT_USER_INITIALIZED: (
        "ClientInitializationSucceeded",
        "ClientInitializationFailed",
    ),
    SERVER_REFRESHED: ("ServerRefreshed", "ServerRefreshFailed"),
}


@frozen
class Problem:
    """A fault that keeps a server from being Ready, in the user's words.

    Attributes:
        step: Type of the condition that fails, one of `STEPS`.
        reason: CamelCase word for the Ready condition and the event.
        message: Names the object, the key or field, and the fix; never a secret value.
    """

    step: str
    reason: str
    message: str

    @classmethod
    def of(cls, error: InvalidInput, step: str) -> Problem:
        """Return what a status tells of a refused input.

        Args:
            error: The refusal.
            step: Type of the condition that fails by it.
        """
        return cls(step, error.reason, error.message)


@frozen
class Waiting:
    """A step that is under way.

    Attributes:
        step: Type of its condition.
        message: What is being waited for.
    """

    step: str
    message: str


@frozen
class PodContext:
    """What messages about a pod name besides it.

    Attributes:
        claim: Name of the PersistentVolumeClaim.
        setting: What messages about Kopia name.
    """

    claim: str
    setting: failures.Setting

    @classmethod
    def of(cls, server: RepositoryServer, *, storage: str, claim: str) -> PodContext:
        """Return what is to be named of a server.

        Args:
            server: The resource.
            storage: Where its repository is, in words.
            claim: Name of the PersistentVolumeClaim; empty if there is none.
        """
        setting = failures.Setting(
            storage=storage,
            location=str(server.location),
            credential=str(server.credential or ""),
            password=str(server.password),
            user=api.run_as_user(server),
        )
        return cls(claim, setting)


class Unsettled(Exception):
    """Something has to go before work can go on; nobody has to do anything about it."""
