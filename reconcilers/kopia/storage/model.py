"""From what a storage is made, and what it is for Kopia and the pod."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from reconcilers.kopia.storage.paths import repository_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from reconcilers.secrets.data import SecretData

# Where a server's container finds what it is started with, and below it the further files of its
# storage, apart from the server's own certificate, so that they can be trusted as a whole.
CONFIG_DIRECTORY: Final = "/etc/kopia"
FILES_FOLDER: Final = "storage"
FILES_DIRECTORY: Final = f"{CONFIG_DIRECTORY}/{FILES_FOLDER}"


@frozen
class Source:
    """Where a repository is, as the resource and its Secrets say it.

    Args:
        location: The Secret with the storage location.
        credential: The Secret with the storage credential; None where there is none, or the storage
            needs none.
        namespace: Where a claim is mounted.
        root_path: Path of the repository below the location's prefix.
        read_only: Whether the repository is opened without the right to write.
        point_in_time: The time (UTC) as of which the repository is shown; None for the present.
    """

    location: SecretData
    credential: SecretData | None
    namespace: str
    root_path: str
    read_only: bool = False
    point_in_time: datetime | None = None

    @property
    def path(self) -> str:
        """Return the repository's path in the storage, as the removed controller composed it.

        Raises:
            InvalidInput: It climbs out of the storage or its prefix.
        """
        return repository_path(self.location, self.root_path)

    @property
    def place(self) -> str:
        """Return the path in words.

        Raises:
            InvalidInput: As for `path`.
        """
        return self.path.lstrip("/") or "/"

    def point_in_time_option(self) -> dict[str, str]:
        """Return the option by which Kopia shows an object store as it was; empty for the present.

        The name is the same for S3, Google Cloud Storage and Azure.
        """
        moment = self.point_in_time
        return {} if moment is None else {"pointInTime": moment.isoformat().replace("+00:00", "Z")}


@frozen
class Storage:
    """A storage as Kopia's configuration and the pod have it.

    Args:
        type_: Kopia's name for the kind.
        config: Kopia's options for it; may hold credentials.
        label: Where the repository is, in words for a message.
        environment: Plain variables for the Kopia process.
        files: Contents of further files by name, in `FILES_DIRECTORY`; may hold credentials.
        volumes: Further volumes of the pod.
        mounts: Their mounts in the container.
        claim: The PersistentVolumeClaim; empty where there is none.
        secret_urls: Whether the URLs that Kopia asks for, and may log, hold a credential.
    """

    type_: str
    config: Mapping[str, Any] = field(repr=False)
    label: str
    environment: Mapping[str, str] = field(factory=dict)
    files: Mapping[str, str] = field(factory=dict, repr=False)
    volumes: Sequence[Mapping[str, Any]] = ()
    mounts: Sequence[Mapping[str, Any]] = ()
    claim: str = ""
    secret_urls: bool = False

    @property
    def directory(self) -> str:
        """Return the repository's folder in the container; empty where no file store has it."""
        directory: str = self.config["path"] if self.claim else ""
        return directory

    @property
    def needs_token(self) -> bool:
        """Return whether Kopia logs in with a token of the pod's account."""
        return any(
            "serviceAccountToken" in source
            for volume in self.volumes
            for source in volume.get("projected", {}).get("sources", ())
        )

    @property
    def section(self) -> dict[str, Any]:
        """Return the `storage` part of Kopia's repository configuration."""
        return {"type": self.type_, "config": dict(self.config)}
