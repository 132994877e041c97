"""Metrics over TLS: with the certificate that the files hold now, whoever connects meanwhile."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry, Counter
from structlog.testing import capture_logs

from controller.health import MetricsServer
from controller.servingcert import CertificateUnusable, ServingCertificate
from controller.stop import Stop
from fakes.certificates import self_signed
from fakes.clock import STUCK_AFTER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a certificate, as a kubelet mounts a Secret."""
    mounted = tmp_path / "mounted"
    bring(mounted, "first")
    return mounted


@pytest.fixture
def port(folder: Path) -> Iterator[int]:
    """Yield the port of metrics that are served with it."""
    registry, stop = CollectorRegistry(), Stop()
    Counter("backups", "Backups made.", registry=registry).inc(3)
    server = MetricsServer("127.0.0.1:0", registry, cert_path=str(folder))
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    # Once it serves it has logged that, into no test's own log.
    assert presented(server.port) == "first"
    yield server.port
    stop.set()
    thread.join(STUCK_AFTER)
    assert not thread.is_alive()


def bring(mounted: Path, name: str, *, key_of: str = "", password: bytes = b"") -> None:
    """Bring another certificate into the folder by one rename, as the kubelet does.

    Args:
        mounted: The folder.
        name: Of the certificate, and for what stands beside the folder.
        key_of: The name of the certificate whose key is brought; this one's by default.
        password: Encrypts the key.
    """
    content = mounted.parent / f"content-{name}"
    content.mkdir()
    shutil.copy(self_signed(mounted.parent, name, password=password), content / "tls.crt")
    shutil.copy(mounted.parent / f"{key_of or name}.pem", content / "tls.key")
    link = mounted.parent / "link"
    link.symlink_to(content)
    os.replace(link, mounted)  # noqa: PTH105 - the very call that makes it one step


def presented(port: int) -> str:
    """Return the common name of the certificate that a server presents."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=STUCK_AFTER) as plain,
        context.wrap_socket(plain) as connection,
    ):
        found = ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True) or b"")
    return common_name(found)


def common_name(pem: str) -> str:
    (name,) = x509.load_pem_x509_certificate(pem.encode()).subject.get_attributes_for_oid(
        NameOID.COMMON_NAME
    )
    return str(name.value)


def test_who_trusts_the_certificate_reads_the_metrics(folder: Path, port: int) -> None:
    trusting = ssl.create_default_context(cafile=str(folder / "tls.crt"))
    connection = http.client.HTTPSConnection("localhost", port, timeout=10, context=trusting)

    connection.request("GET", "/metrics")

    assert "backups_total 3.0" in connection.getresponse().read().decode()


def test_a_renewed_certificate_is_presented_to_who_connects_next(folder: Path, port: int) -> None:
    assert presented(port) == "first"

    bring(folder, "second")

    with capture_logs() as lines:
        assert [presented(port), presented(port)] == ["second", "second"]
    assert [line["event"] for line in lines] == ["certificate renewed"]


def test_files_that_do_not_fit_leave_the_last_certificate_in_use(folder: Path, port: int) -> None:
    bring(folder, "broken", key_of="first")

    with capture_logs() as lines:
        assert [presented(port), presented(port)] == ["first", "first"]

    (line,) = lines
    assert line["event"] == "certificate not renewed, serving with the last one"
    assert (
        f"{folder}/tls.crt and {folder}/tls.key are not a certificate and its key" in line["error"]
    )
    bring(folder, "second")
    assert presented(port) == "second"


def test_files_that_are_gone_for_a_moment_are_no_end(folder: Path, port: int) -> None:
    target = folder.readlink()
    folder.unlink()
    assert presented(port) == "first"

    folder.symlink_to(target)

    assert presented(port) == "first"


def test_who_says_nothing_keeps_nobody_waiting(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)):
        assert presented(port) == "first"


def test_who_speaks_plain_http_reads_nothing(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=STUCK_AFTER) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        try:
            answer = client.recv(4096)
        except ConnectionResetError:
            answer = b""

    assert b"backups" not in answer
    assert presented(port) == "first"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("key_of", "password", "reason"),
    [
        pytest.param("", b"secret words", "the key has a password", id="an encrypted key"),
        pytest.param("other", b"", "KEY_VALUES_MISMATCH", id="the key of another certificate"),
    ],
)
def test_a_start_without_a_certificate_fails_and_names_the_files(
    tmp_path: Path, key_of: str, password: bytes, reason: str
) -> None:
    mounted = tmp_path / "mounted"
    self_signed(tmp_path, "other")
    bring(mounted, "first", key_of=key_of, password=password)

    with pytest.raises(CertificateUnusable, match=reason) as error:
        ServingCertificate(str(mounted))

    assert f"{mounted}/tls.crt and {mounted}/tls.key" in str(error.value)
    assert "secret words" not in str(error.value)


def test_a_start_without_files_fails(tmp_path: Path) -> None:
    with pytest.raises(CertificateUnusable, match="No such file or directory"):
        MetricsServer("127.0.0.1:0", CollectorRegistry(), cert_path=str(tmp_path))
