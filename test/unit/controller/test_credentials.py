"""Tokens and certificates that are replaced while the process runs."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes.client
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from controller import errors
from controller.clock import SystemClock
from controller.metrics import Metrics
from controller.rest.credentials import TlsFiles, TokenFile, tls_context
from controller.rest.transport import Call, Transport
from fakes import apiserver
from fakes.apiserver import FakeApiServer
from fakes.certificates import self_signed

READ = Call("GET", "/api/v1/namespaces/ns/pods/a")
WRITE = Call("POST", "/api/v1/namespaces/ns/pods", body=b"{}")


def transport_of(api_client: kubernetes.client.ApiClient) -> Transport:
    return Transport(api_client, clock=SystemClock(), metrics=Metrics(CollectorRegistry()))


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as started:
        yield started


class TestTokenFile:
    @pytest.fixture
    def token(self, tmp_path: Path) -> Path:
        file = tmp_path / "token"
        file.write_text("first\n")
        return file

    @pytest.fixture
    def connections(self, server: FakeApiServer, token: Path) -> Transport:
        api_client = server.api_client()
        api_client.configuration.refresh_api_key_hook = TokenFile(token)
        return transport_of(api_client)

    def sent(self, server: FakeApiServer) -> list[str]:
        return [request.headers["authorization"] for request in server.requests]

    def test_one_that_is_replaced_goes_along_at_once(
        self, server: FakeApiServer, connections: Transport, token: Path
    ) -> None:
        server.expect(apiserver.ok({}), apiserver.ok({}))

        connections.request(READ)
        token.with_suffix(".new").write_text("second")
        token.with_suffix(".new").replace(token)
        connections.request(READ)

        assert self.sent(server) == ["Bearer first", "Bearer second"]

    def test_one_that_cannot_be_read_for_once_stays(
        self, server: FakeApiServer, connections: Transport, token: Path
    ) -> None:
        """Else a volume that is being remounted would cost a leader its lease."""
        server.expect(apiserver.ok({}), apiserver.ok({}), apiserver.ok({}))

        connections.request(READ)
        token.unlink()
        connections.request(READ)
        token.write_text("")
        connections.request(READ)

        assert self.sent(server) == ["Bearer first"] * 3

    @pytest.mark.parametrize("call", [READ, WRITE], ids=["a read", "a write"])
    def test_one_that_is_refused_is_read_anew(
        self, server: FakeApiServer, connections: Transport, token: Path, call: Call
    ) -> None:
        """Whether the file looks like another one or not: a 401 did nothing, so it may be sent."""
        server.expect(apiserver.failure(401), apiserver.ok({"a": 1}))

        assert connections.request(call) == b'{"a": 1}'
        assert [request.method for request in server.requests] == [call.method] * 2

    def test_one_that_is_refused_and_cannot_be_read_is_an_error(
        self, server: FakeApiServer, connections: Transport, token: Path
    ) -> None:
        server.expect(apiserver.ok({}), apiserver.failure(401), apiserver.ok({}))
        connections.request(READ)
        token.unlink()

        with pytest.raises(errors.TransportError, match="the credentials cannot be renewed"):
            connections.request(READ)

        token.write_text("second")
        connections.request(READ)
        assert self.sent(server) == ["Bearer first", "Bearer first", "Bearer second"]

    def test_the_second_refusal_is_one(self, server: FakeApiServer, connections: Transport) -> None:
        server.expect(apiserver.failure(401), apiserver.failure(401))

        with pytest.raises(errors.Unauthorized):
            connections.request(READ)

        assert len(server.requests) == 2


def test_a_token_may_stand_in_the_configuration_as_the_official_client_documents_it(
    server: FakeApiServer,
) -> None:
    api_client = server.api_client()
    api_client.configuration.api_key["authorization"] = "fixed"
    api_client.configuration.api_key_prefix["authorization"] = "Bearer"
    server.expect(apiserver.ok({}))

    transport_of(api_client).request(READ)

    assert server.requests[0].headers["authorization"] == "Bearer fixed"


def test_a_token_that_cannot_have_changed_is_not_sent_again(server: FakeApiServer) -> None:
    api_client = server.api_client()
    api_client.configuration.api_key["BearerToken"] = "Bearer fixed"
    server.expect(apiserver.failure(401))

    with pytest.raises(errors.Unauthorized):
        transport_of(api_client).request(READ)

    assert len(server.requests) == 1


def test_the_hook_of_a_credential_plugin_is_asked_for_each_request(server: FakeApiServer) -> None:
    tokens = iter(["first", "second"])
    api_client = server.api_client()

    def refresh(configuration: Any) -> None:
        configuration.api_key["BearerToken"] = f"Bearer {next(tokens)}"

    api_client.configuration.refresh_api_key_hook = refresh
    connections = transport_of(api_client)
    server.expect(apiserver.ok({}), apiserver.ok({}))

    connections.request(READ)
    connections.request(READ)

    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer first", "Bearer second"]


class TestClientCertificate:
    """A server that knows who asks by the certificate of the connection alone."""

    @pytest.fixture
    def tls(self, tmp_path: Path) -> Path:
        return self_signed(tmp_path, "server")

    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        return self_signed(tmp_path, "client")

    @pytest.fixture
    def server(self, tls: Path, certificate: Path, tmp_path: Path) -> Iterator[FakeApiServer]:
        # Those that it has given out, the one to come among them.
        successor = self_signed(tmp_path, "successor")
        trusted = tmp_path / "trusted.pem"
        trusted.write_bytes(certificate.read_bytes() + successor.read_bytes())
        with FakeApiServer(tls=tls, clients=trusted) as started:
            yield started

    @pytest.fixture
    def connections(self, server: FakeApiServer, certificate: Path) -> Transport:
        api_client = server.api_client()
        api_client.configuration.cert_file = str(certificate)
        return transport_of(api_client)

    def only(self, name: str) -> apiserver.Answer:
        """Answer whoever has a certificate of a name, and refuse all others."""

        def answer(handler: apiserver.Handler) -> None:
            allowed = handler.peer_name() == name
            (apiserver.ok({}) if allowed else apiserver.failure(401))(handler)

        return answer

    def test_one_that_was_replaced_is_shown_to_a_server_that_refuses_the_old_one(
        self, server: FakeApiServer, connections: Transport, certificate: Path
    ) -> None:
        """Kept connections go on with the old one until they are closed."""
        server.expect(self.only("client"), self.only("successor"), self.only("successor"))
        connections.request(READ)
        certificate.with_name("successor.pem").replace(certificate)

        assert connections.request(READ) == b"{}"

    def test_one_that_cannot_be_read_stays(
        self, server: FakeApiServer, connections: Transport, certificate: Path
    ) -> None:
        """Its key may be in the middle of being replaced."""
        server.expect(self.only("client"), apiserver.failure(401), self.only("client"))
        connections.request(READ)
        certificate.write_text("half")

        with capture_logs() as lines:
            assert connections.request(READ) == b"{}"

        (line,) = lines
        assert line["event"] == "the certificates cannot be loaded anew"


class TestAuthority:
    """Whom the process believes to be the API server."""

    def test_a_certificate_nobody_vouches_for_is_a_transport_error(self, tmp_path: Path) -> None:
        with FakeApiServer(tls=self_signed(tmp_path)) as server:
            configuration = kubernetes.client.Configuration(host=server.url)
            configuration.proxy = None
            connections = transport_of(kubernetes.client.ApiClient(configuration))

            with pytest.raises(errors.TransportError, match="certificate verify failed"):
                connections.request(READ)

    def test_one_that_is_replaced_on_disk_is_believed(self, tmp_path: Path) -> None:
        """The kubelet replaces `ca.crt`; nobody starts the process anew for it."""
        tls = self_signed(tmp_path)
        with FakeApiServer(apiserver.ok({}), apiserver.ok({}), tls=tls) as server:
            connections = server.transport()
            connections.request(WRITE)

            server.stop_listening()
            server.drop_connections()
            self_signed(tmp_path)
            server.listen_again()

            assert connections.request(WRITE) == b"{}"


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        pytest.param("none.pem", "no client certificate in", id="that is not there"),
        pytest.param("key.pem", "is encrypted", id="whose key needs a password"),
    ],
)
def test_a_client_certificate_that_is_of_no_use_is_named(
    tmp_path: Path, certificate: str, words: str
) -> None:
    """Without a question for the password on a terminal."""
    self_signed(tmp_path, "key", password=b"made-up")
    files = TlsFiles(
        None, None, str(tmp_path / certificate), None, verify=True, check_hostname=True
    )

    with pytest.raises(errors.ConfigError, match=words):
        tls_context(files)


@pytest.mark.parametrize(
    ("verify", "check_hostname", "mode"),
    [
        pytest.param(True, True, ssl.CERT_REQUIRED, id="as a rule"),
        pytest.param(True, False, ssl.CERT_REQUIRED, id="whatever its name"),
        pytest.param(False, False, ssl.CERT_NONE, id="insecure-skip-tls-verify"),
    ],
)
def test_a_server_is_believed_as_the_configuration_says(
    *, verify: bool, check_hostname: bool, mode: ssl.VerifyMode
) -> None:
    files = TlsFiles(None, None, None, None, verify=verify, check_hostname=check_hostname)

    context = tls_context(files)

    assert (context.verify_mode, context.check_hostname) == (mode, check_hostname)
