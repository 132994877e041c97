"""Secrets that are mounted into the pod: that of the connection, and that of its user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconcilers.datafunctions.connect import users
from reconcilers.datafunctions.errors import Refused
from reconcilers.kopia.client.model import ServerConnection
from reconcilers.secrets.data import trimmed

if TYPE_CHECKING:
    from pathlib import Path

    from reconcilers.datafunctions.connect.wanted import Wanted

# Keys of the Secret that spec.publish.connection makes.
KEY_URL: Final = "url"
KEY_FINGERPRINT: Final = "fingerprint"
KEY_AUTHORITY: Final = "ca.crt"

NO_CONNECTION: Final = (
    "nothing says which server: mount the Secret repo-server-NAME-connection at {folder}, or give "
    "its folder as --connection; or give --repository-server NAME, --profile, or --url and "
    "--fingerprint"
)
NO_KEY: Final = (
    "folder {folder} has no {key}; mount the Secret repo-server-NAME-connection there, which the "
    "controller makes for spec.publish.connection"
)
NO_USER: Final = (
    "nothing says as whom to connect: mount the Secret with the user at {folder}, or give its "
    "folder as --user; or give the password in the variable {variable}, with --username and "
    "--hostname"
)
NO_NAMES: Final = "variable {variable} has a password; give --username and --hostname with it"
UNREADABLE: Final = "{file} cannot be read: {reason}"


def connection_of(wanted: Wanted, *, variable: str) -> ServerConnection:
    """Return the connection that the mounted Secrets and the options beside them say.

    Args:
        wanted: The options.
        variable: Name of the variable that the password comes from, for messages.

    Raises:
        Refused: Something is missing or cannot be read.
        InvalidRequest: A value cannot work.
    """
    if not wanted.connection.is_dir() and not (wanted.url and wanted.fingerprint):
        raise Refused(NO_CONNECTION.format(folder=wanted.connection))
    values = _values(wanted.connection)
    url = wanted.url or values.get(KEY_URL, "")
    fingerprint = wanted.fingerprint or values.get(KEY_FINGERPRINT, "")
    # Who names a fingerprint means that certificate and no other.
    authority = "" if wanted.fingerprint else values.get(KEY_AUTHORITY, "")
    for key, value in ((KEY_URL, url), (KEY_FINGERPRINT, fingerprint or authority)):
        if not value:
            raise Refused(NO_KEY.format(folder=wanted.connection, key=key))
    user = user_of(wanted, variable=variable)
    if user is None:
        raise Refused(NO_USER.format(folder=wanted.user, variable=variable))
    return ServerConnection(
        url=url,
        username=user.username,
        hostname=user.hostname,
        password=user.password,
        fingerprint=fingerprint,
        ca=authority,
    )


def user_of(wanted: Wanted, *, variable: str) -> users.User | None:
    """Return the user that the environment or a mounted Secret says, None if neither does.

    Args:
        wanted: The options.
        variable: Name of the variable that the password comes from, for messages.

    Raises:
        Refused: A name is missing, several users fit, or a file cannot be read.
    """
    if wanted.password:
        if not wanted.username or not wanted.hostname:
            raise Refused(NO_NAMES.format(variable=variable))
        return users.User(wanted.username, wanted.hostname, wanted.password)
    if not wanted.user.is_dir():
        return None
    return users.choose(
        _values(wanted.user),
        where=f"folder {wanted.user}",
        username=wanted.username,
        hostname=wanted.hostname,
    )


def _values(folder: Path) -> dict[str, str]:
    """Return the values of a Secret that is mounted, by key; none if there is no folder."""
    if not folder.is_dir():
        return {}
    # The kubelet keeps the files in a folder whose name begins with two dots, behind links.
    return {
        file.name: _text(file)
        for file in sorted(folder.iterdir())
        if not file.name.startswith("..") and file.is_file()
    }


def _text(file: Path) -> str:
    try:
        # The server trims its users' passwords as well, see repositoryserver/users/access.py.
        return trimmed(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise Refused(UNREADABLE.format(file=file, reason=reason)) from None
