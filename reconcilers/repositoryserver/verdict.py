"""What a step of a reconcile finds: what is wrong, what is being waited for, or nothing.

A server comes up in `STEPS`, each with a condition of the last shipped contract.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from reconcilers.kopia import failures
from reconcilers.repositoryserver import api

if TYPE_CHECKING:
    from controller.reconcile import Request
    from reconcilers.errors import InvalidInput
    from reconcilers.repositoryserver.api import RepositoryServer

# Why a server waits, in one word. `status.reasons` says what each becomes in the status.
REASON_PAUSED: Final = "Paused"
REASON_WAITING_FOR_SLOT: Final = "WaitingForSlot"
REASON_CHANGES_SETTLING: Final = "ChangesSettling"
REASON_WAITING_FOR_SECRET: Final = "WaitingForSecret"  # noqa: S105 - a reason
REASON_WAITING_FOR_DELETION: Final = "WaitingForDeletion"
REASON_POD_PENDING: Final = "PodPending"
REASON_IMAGE_PULLING: Final = "ImagePulling"
REASON_OPENING_REPOSITORY: Final = "OpeningRepository"
REASON_KOPIA_RESTARTING: Final = "KopiaRestarting"
REASON_WAITING_FOR_ANSWER: Final = "WaitingForAnswer"
REASON_LOADING_USERS: Final = "LoadingUsers"
REASON_WAITING_FOR_ENDPOINTS: Final = "WaitingForEndpoints"

SERVER_SETUP: Final = "ServerSetup"
REPOSITORY_CONNECTED: Final = "RepositoryConnected"
SERVER_INITIALIZED: Final = "ServerInitialized"
CLIENT_USER_INITIALIZED: Final = "ClientUserInitialized"
SERVER_REFRESHED: Final = "ServerRefreshed"

# In the order in which a server comes up; with the last shipped reasons for True and False.
STEPS: Final = {
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

    Args:
        step: Type of the condition that fails, one of `STEPS`.
        reason: CamelCase word for the Ready condition and the event.
        message: Names the object, the key or field, and the fix; never a secret value.
        blocks: Whether the steps after it wait for it. A fault beside the server, of its
            NetworkPolicy for example, does not keep the server from coming up.
    """

    step: str
    reason: str
    message: str
    blocks: bool = True

    @classmethod
    def of(cls, error: InvalidInput, step: str) -> Problem:
        """Return the fault that a refused input is.

        Args:
            error: The refusal.
            step: Type of the condition that fails by it.
        """
        return cls(step, error.reason, error.message)


@frozen
class Waiting:
    """A step that is under way.

    Args:
        step: Type of its condition.
        reason: CamelCase word for the Ready condition, one of those above.
        message: What is being waited for.
        keeps_ready: Whether a server that is Ready stays it meanwhile: nothing has changed yet that
            is not in effect.
    """

    step: str
    reason: str
    message: str
    keeps_ready: bool = False


#: Of a server of which nothing is changed.
PAUSED: Final = Waiting(
    SERVER_SETUP,
    REASON_PAUSED,
    "spec.paused is true, so nothing is changed of the server, whatever the resource and its "
    "Secrets say; set it to false to go on",
)


@frozen
class PodContext:
    """What messages about a pod name besides it.

    Args:
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


def name_of(request: Request, namespace: str) -> str:
    """Return how a message names another server.

    Args:
        request: The server.
        namespace: Of the server that the message is about.
    """
    if request.namespace == namespace:
        return request.name
    return f"{request.namespace}/{request.name}"


class RetryLater(Exception):
    """Something has to go before work can go on; nobody has to do anything about it."""
