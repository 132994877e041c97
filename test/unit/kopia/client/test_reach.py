"""A server is waited for, and its certificate is looked at, before Kopia is started."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest
from attrs import define, field

from controller.clock import SystemClock
from controller.stop import Stop
from fakes import certificates
from fakes.clock import InstantClock
from fakes.ports import port_of, reserved
from reconcilers.kopia.client.errors import ClientFailed, Kind
from reconcilers.kopia.client.model import ServerConnection
from reconcilers.kopia.client.reach import wait_until_reached

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@define
class Server:
    """Speaks TLS, and nothing else."""

    file: Path
    kept: socket.socket = field(factory=reserved)
    listener: socket.socket | None = None

    @property
    def certificate(self) -> str:
        text = self.file.read_text()
        return text[: text.index("-----BEGIN PRIVATE KEY")]

    def listen(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", port_of(self.kept)))
        threading.Thread(target=self._serve, args=(self.listener,), daemon=True).start()

    def connection(self, **changes: str) -> ServerConnection:
        found = hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.certificate)).hexdigest()
        url = f"https://localhost:{port_of(self.kept)}"
        usual = {"url": url, "username": "u", "hostname": "h", "password": "secret-51d0"}
        return ServerConnection(**{**usual, "fingerprint": found, **changes})

    def _serve(self, listener: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file)
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                context.wrap_socket(plain, server_side=True).close()
            except OSError:
                plain.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(certificates.self_signed(tmp_path))
    yield made
    made.kept.close()
    if made.listener is not None:
        made.listener.close()


def reach(connection: ServerConnection, **more: object) -> ServerConnection:
    stop = more.get("stop")
    assert stop is None or isinstance(stop, Stop)
    return wait_until_reached(connection, 20.0, clock=SystemClock(), stop=stop)


def test_a_server_is_known_by_its_fingerprint(server: Server) -> None:
    server.listen()

    connection = server.connection(ca="not looked at")

    assert reach(connection) == connection


def test_a_server_is_known_by_its_authority(server: Server) -> None:
    server.listen()

    connection = server.connection(fingerprint="", ca=server.certificate)

    assert reach(connection) == connection


def test_one_with_another_certificate_of_the_authority_is_trusted_by_that(server: Server) -> None:
    """The certificate was renewed after the fingerprint was copied."""
    server.listen()

    trusted = reach(server.connection(fingerprint="ab" * 32, ca=server.certificate))

    assert trusted.fingerprint == ""
    assert trusted.ca == server.certificate


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"fingerprint": "ab" * 32}, f"not {'ab' * 32}", id="another certificate"),
        pytest.param(
            {"fingerprint": "", "ca": "OTHER"}, "self-signed certificate", id="another authority"
        ),
        pytest.param(
            {"fingerprint": "", "ca": "no PEM"}, "the authority is no PEM", id="no authority"
        ),
        pytest.param(
            {"fingerprint": "", "ca": "kein PEM: \xfc"}, "the authority is no PEM", id="no ASCII"
        ),
        pytest.param(
            {"fingerprint": "ab" * 32, "ca": "OTHER"},
            f"not {'ab' * 32}; .* nor can it be trusted by its authority: self-signed certificate",
            id="another certificate, of another authority",
        ),
        pytest.param(
            {"url": "https://127.1:PORT", "fingerprint": "ab" * 32, "ca": "ITS"},
            "nor can it be trusted by its authority: Hostname mismatch",
            id="another certificate, of the authority, for another name",
        ),
    ],
)
def test_another_server_is_refused_at_once(
    server: Server, tmp_path: Path, changes: dict[str, str], says: str
) -> None:
    server.listen()
    given = {
        "OTHER": Server(certificates.self_signed(tmp_path, "x")).certificate,
        "ITS": server.certificate,
    }
    changes = {key: given.get(value, value) for key, value in changes.items()}
    if "url" in changes:
        changes["url"] = changes["url"].replace("PORT", str(port_of(server.kept)))

    with pytest.raises(ClientFailed, match=says) as caught:
        reach(server.connection(**changes))

    assert caught.value.kind is Kind.CERTIFICATE


def test_an_authority_is_trusted_that_another_one_has_signed(tmp_path: Path) -> None:
    """As Go trusts it, and with it Kopia: an issuer may publish the intermediate one alone."""
    server = Server(certificates.self_signed(tmp_path, issuer="root"))
    server.listen()

    connection = server.connection(fingerprint="", ca=server.certificate)

    assert reach(connection) == connection


@pytest.mark.parametrize(
    "fingerprint",
    [
        pytest.param("", id="with no fingerprint"),
        pytest.param("ab" * 32, id="with the fingerprint of another certificate"),
    ],
)
def test_an_authority_of_the_system_is_not_the_one_that_was_named(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fingerprint: str
) -> None:
    """The password would go to whoever has a certificate of a public authority."""
    server.listen()
    system = tmp_path / "system.pem"
    system.write_text(server.certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(system))
    named = Server(certificates.self_signed(tmp_path, "named")).certificate

    with pytest.raises(ClientFailed) as caught:
        reach(server.connection(fingerprint=fingerprint, ca=named))

    assert caught.value.kind is Kind.CERTIFICATE


def test_a_server_that_is_not_there_is_asked_again_for_a_while(server: Server) -> None:
    clock = InstantClock()

    with pytest.raises(ClientFailed, match=r"within 5 s: .*refused; check that it is") as caught:
        wait_until_reached(server.connection(), 5.0, clock=clock, stop=None)

    assert caught.value.kind is Kind.CANNOT_CONNECT
    assert sum(clock.pauses) == 4.5


def test_a_server_that_comes_meanwhile_is_reached(server: Server) -> None:
    class Starting(InstantClock):
        """Starts the server in the third pause."""

        def wait_event(self, event: threading.Event, timeout: float | None) -> bool:
            if len(self.pauses) == 2:
                server.listen()
            return super().wait_event(event, timeout)

    clock = Starting()

    wait_until_reached(server.connection(), 60.0, clock=clock, stop=None)

    assert len(clock.pauses) == 3


def test_the_stop_ends_the_wait(server: Server) -> None:
    stop = Stop()
    stop.set()

    with pytest.raises(ClientFailed) as caught:
        reach(server.connection(), stop=stop)

    assert caught.value.kind is Kind.CANCELLED
