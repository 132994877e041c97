"""Whether a server answers, before Kopia is started: Kopia itself has no deadline for that."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Final

from reconcilers.kopia.client.errors import ClientFailed, Kind

if TYPE_CHECKING:
    from controller.clock import Clock
    from controller.stop import Stop
    from reconcilers.kopia.client.model import ServerConnection

NO_ANSWER: Final = (
    "the server at {url} did not answer within {seconds:.0f} s: {cause}; check that it is ready, "
    "and that its NetworkPolicy admits this pod"
)
OTHER_CERTIFICATE: Final = (
    "the server at {url} has a certificate with fingerprint {found}, not {expected}; take the "
    "fingerprint of now from the server's connection Secret"
)
NOT_TRUSTED: Final = (
    "the server at {url} has a certificate that cannot be trusted: {cause}; give the fingerprint "
    "of the server's certificate, or the authority that has signed it"
)
CANCELLED: Final = "cancelled before the server at {url} had answered"

#: Seconds that one try may take, and between two.
_TRY_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.5


def wait_until_reached(
    connection: ServerConnection, seconds: float, *, clock: Clock, stop: Stop | None
) -> None:
    """Wait until the server has shown the expected certificate.

    A server that is not there yet, that has no name yet or that does not answer is asked again.

    Args:
        connection: The server.
        seconds: How long at most.
        clock: The time.
        stop: Ends the wait.

    Raises:
        ClientFailed: It did not answer in time, has another certificate, or the stop is set.
    """
    end = clock.monotonic() + seconds
    never = threading.Event()
    while True:
        if stop is not None and stop.is_set():
            raise ClientFailed(Kind.CANCELLED, CANCELLED.format(url=connection.url))
        left = end - clock.monotonic()
        try:
            _check(connection, min(_TRY_SECONDS, max(left, _PAUSE_SECONDS)))
        except OSError as error:
            cause = "it timed out" if isinstance(error, TimeoutError) else str(error)
        else:
            return
        if clock.monotonic() + _PAUSE_SECONDS >= end:
            message = NO_ANSWER.format(url=connection.url, seconds=seconds, cause=cause)
            raise ClientFailed(Kind.CANNOT_CONNECT, message)
        clock.wait_event(stop or never, _PAUSE_SECONDS)


def _check(connection: ServerConnection, timeout: float) -> None:
    """Return if the server shows the expected certificate, as Kopia checks it.

    Kopia takes a fingerprint in place of name, authority and validity (internal/tlsutil).

    Raises:
        ClientFailed: It shows another one.
        OSError: It does not answer.
    """
    context = ssl.create_default_context()
    if connection.fingerprint:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        try:
            context.load_verify_locations(cadata=connection.ca)
        except ssl.SSLError:
            message = NOT_TRUSTED.format(url=connection.url, cause="the authority is no PEM")
            raise ClientFailed(Kind.CERTIFICATE, message) from None
    try:
        with (
            socket.create_connection((connection.host, connection.port), timeout) as plain,
            context.wrap_socket(plain, server_hostname=connection.host) as secured,
        ):
            shown = secured.getpeercert(binary_form=True) or b""
    except ssl.SSLCertVerificationError as error:
        message = NOT_TRUSTED.format(url=connection.url, cause=error.verify_message)
        raise ClientFailed(Kind.CERTIFICATE, message) from None
    found = hashlib.sha256(shown).hexdigest()
    if connection.fingerprint and found != connection.fingerprint:
        message = OTHER_CERTIFICATE.format(
            url=connection.url, found=found, expected=connection.fingerprint
        )
        raise ClientFailed(Kind.CERTIFICATE, message)
