"""The connection that the options say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconcilers.datafunctions.connect import folders
from reconcilers.datafunctions.connect.wanted import PASSWORD_VARIABLE
from reconcilers.datafunctions.errors import Refused

if TYPE_CHECKING:
    from controller.stop import Stop
    from reconcilers.datafunctions.connect.wanted import Wanted
    from reconcilers.kopia.client.model import ServerConnection

BOTH: Final = "give one of --profile and --repository-server, not both"
OTHER_HOST: Final = (
    "argument repositoryServerUserHostname or --hostname is {wanted!r}, but the Profile connects "
    "as a user of host {found!r}; leave it out, or pass that user's Profile"
)


def connection_of(wanted: Wanted, *, stop: Stop | None = None) -> ServerConnection:
    """Return the connection, as it is now: certificates and passwords are renewed.

    Args:
        wanted: The options.
        stop: Cuts a request that hangs. Default: None, nothing does.

    Raises:
        Refused: Something is missing or cannot be read.
        ClientFailed: The API server was asked, and has not answered.
        InvalidRequest: A value cannot work.
    """
    if wanted.profile and wanted.repository_server:
        raise Refused(BOTH)
    # The two below bring libraries along that take longer to import than a small backup takes.
    if wanted.profile:
        from reconcilers.datafunctions.connect import profile  # noqa: PLC0415 - see above

        connection = profile.connection_of(wanted.profile)
        if wanted.hostname not in ("", connection.hostname):
            raise Refused(OTHER_HOST.format(wanted=wanted.hostname, found=connection.hostname))
        return connection
    if wanted.repository_server:
        from reconcilers.datafunctions.connect import byname  # noqa: PLC0415 - see above

        return byname.connection_of(wanted, stop=stop)
    return folders.connection_of(wanted, variable=PASSWORD_VARIABLE)
