"""The certificate that a server of the process presents, read again when its files change.

The counterpart of controller-runtime's pkg/certwatcher. The files are looked at when a client
connects: a kubelet that brings a renewed Secret into the pod changes them, and nothing needs a
restart.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final, NoReturn

import structlog

#: The names of a Secret of type `kubernetes.io/tls`, and of controller-runtime's defaults.
CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"

UNUSABLE: Final = (
    "{certificate} and {key} are not a certificate and its key, to serve with: {reason}; put both "
    "there, in PEM"
)
ENCRYPTED: Final = "the key has a password; store it without one"

_log = structlog.get_logger()


class CertificateUnusable(OSError):
    """The files are missing, or are no certificate with its key. The message names them."""


class ServingCertificate:
    """A certificate with its key, in two files of a folder.

    Args:
        directory: The folder, with `tls.crt` and `tls.key` in PEM.

    Raises:
        CertificateUnusable: There is nothing to begin with.
    """

    def __init__(self, directory: str) -> None:
        self._files = (Path(directory) / CERTIFICATE, Path(directory) / KEY)
        self._seen = self._marks()
        self._context = self._load()

    def context(self) -> ssl.SSLContext:
        """Return what the next connection is served with. Call it from one thread.

        Files that cannot be used leave the last ones in use, and are reported once.
        """
        marks = self._marks()
        if marks != self._seen:
            # Before they are read: what is written meanwhile is another change.
            self._seen = marks
            try:
                self._context = self._load()
            except CertificateUnusable as error:
                _log.warning("certificate not renewed, serving with the last one", error=str(error))
            else:
                _log.info("certificate renewed", file=str(self._files[0]))
        return self._context

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate, key = self._files
        try:
            # By itself OpenSSL asks the terminal for a password.
            context.load_cert_chain(certificate, key, password=_refuse)
        except OSError as error:
            reason = error.strerror or str(error)
            raise CertificateUnusable(
                UNUSABLE.format(certificate=certificate, key=key, reason=reason)
            ) from error
        return context

    def _marks(self) -> list[tuple[int, ...]]:
        """Return what tells the files from others of the same names; less for a missing one."""
        marks: list[tuple[int, ...]] = []
        for file in self._files:
            try:
                stat = file.stat()
            except OSError:
                continue
            marks.append((stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return marks


def _refuse() -> NoReturn:
    raise CertificateUnusable(ENCRYPTED)
