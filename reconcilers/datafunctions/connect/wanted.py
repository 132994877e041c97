"""What the options say of the server."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from attrs import field, frozen

from reconcilers.secrets.data import trimmed

#: Where the documentation mounts the Secret of the connection, and that of the user.
CONNECTION_FOLDER: Final = Path("/etc/repository-server/connection")
USER_FOLDER: Final = Path("/etc/repository-server/user")

#: The variable with the password, which is Kopia's own.
PASSWORD_VARIABLE: Final = "KOPIA_PASSWORD"  # noqa: S105 - the name of a variable


@frozen
class Wanted:
    """The options about the server; what is empty was not given.

    Args:
        profile: A Profile of type kopia as JSON, or `@FILE`.
        repository_server: `NAME` or `NAMESPACE/NAME` of a RepositoryServer.
        connection: Folder that the connection Secret is mounted at.
        user: Folder that a Secret with users is mounted at.
        url: Of the server, over that of the folder.
        fingerprint: Of its certificate, over that of the folder.
        username: The user, over that of any other.
        hostname: The user's host, over that of any other.
        password: The user's password, of the environment.
        kubeconfig: For `repository_server`; empty to look around.
    """

    profile: str = field(default="", repr=False)
    repository_server: str = ""
    connection: Path = CONNECTION_FOLDER
    user: Path = USER_FOLDER
    url: str = ""
    fingerprint: str = ""
    username: str = field(default="", converter=trimmed)
    hostname: str = field(default="", converter=trimmed)
    password: str = field(default="", repr=False)
    kubeconfig: str = ""
