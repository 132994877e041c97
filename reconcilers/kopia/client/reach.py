"""Whether a server answers, before Kopia is started: Kopia itself has no deadline for that."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Final

from attrs import evolve

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
NOR_SIGNED: Final = "{refusal}; nor can it be trusted by its authority: {cause}"
NO_AUTHORITY: Final = "the authority is no PEM"
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
) -> ServerConnection:
    """Wait until the server has shown the expected certificate.

    Return the connection as Kopia is to trust the server: with its fingerprint if that fits;
    otherwise without, if the authority has signed the certificate. Kopia takes one of the two.

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
            return _trusted(connection, min(_TRY_SECONDS, max(left, _PAUSE_SECONDS)))
        except OSError as error:
            cause = "it timed out" if isinstance(error, TimeoutError) else str(error)
        if clock.monotonic() + _PAUSE_SECONDS >= end:
            message = NO_ANSWER.format(url=connection.url, seconds=seconds, cause=cause)
            raise ClientFailed(Kind.CANNOT_CONNECT, message)
        clock.wait_event(stop or never, _PAUSE_SECONDS)


def _trusted(connection: ServerConnection, timeout: float) -> ServerConnection:
    """Return the connection as Kopia is to trust the server.

    Kopia takes a fingerprint in place of name, authority and validity (internal/tlsutil).

    Raises:
        ClientFailed: The server shows another certificate.
        OSError: It does not answer.
    """
    if not connection.fingerprint:
        cause = _distrust(connection, timeout)
        if cause:
            message = NOT_TRUSTED.format(url=connection.url, cause=cause)
            raise ClientFailed(Kind.CERTIFICATE, message)
        return connection
    # Not the default one: it would read the authorities of the system, which takes longer than the
    # connection.
    unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE
    found = hashlib.sha256(_shown(connection, unchecked, timeout)).hexdigest()
    if found == connection.fingerprint:
        return connection
    message = OTHER_CERTIFICATE.format(
        url=connection.url, found=found, expected=connection.fingerprint
    )
    if connection.ca:
        cause = _distrust(connection, timeout)
        if not cause:
            return evolve(connection, fingerprint="")
        message = NOR_SIGNED.format(refusal=message, cause=cause)
    raise ClientFailed(Kind.CERTIFICATE, message)


def _distrust(connection: ServerConnection, timeout: float) -> str:
    """Return why the server cannot be trusted by its authority; empty if it can.

    An authority of the system is not the one that was named.

    Raises:
        OSError: It does not answer.
    """
    try:
        context = ssl.create_default_context(cadata=connection.ca)
    except (ssl.SSLError, TypeError):
        # The second: it is not ASCII.
        return NO_AUTHORITY
    # As Go has it: whoever was named need not be a root.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        _shown(connection, context, timeout)
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    return ""


def _shown(connection: ServerConnection, context: ssl.SSLContext, timeout: float) -> bytes:
    """Return the certificate that the server shows, in DER."""
    with (
        socket.create_connection((connection.host, connection.port), timeout) as plain,
        context.wrap_socket(plain, server_hostname=connection.host) as secured,
    ):
        return secured.getpeercert(binary_form=True) or b""
