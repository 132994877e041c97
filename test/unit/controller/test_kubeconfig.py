"""Finding the API server: the file named, the pod's service account, or the user's kubeconfig."""

import base64
import socket
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes.client
import pytest
import urllib3
import yaml
from prometheus_client import CollectorRegistry

from controller.clock import SystemClock
from controller.errors import ConfigError
from controller.metrics import Metrics
from controller.rest import kubeconfig
from controller.rest.credentials import Credentials
from controller.rest.transport import Call, Transport
from fakes import apiserver
from fakes.apiserver import FakeApiServer
from fakes.certificates import self_signed

CLUSTERS: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "first",
    "clusters": [
        {"name": "one", "cluster": {"server": "https://one:6443"}},
        {"name": "two", "cluster": {"server": "https://two:6443"}},
    ],
    "users": [{"name": "me", "user": {"token": "made-up"}}],
    "contexts": [
        {"name": "first", "context": {"cluster": "one", "user": "me", "namespace": "backup"}},
        {"name": "second", "context": {"cluster": "two", "user": "me"}},
    ],
}


@pytest.fixture(autouse=True)
def outside_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("KUBECONFIG", raising=False)


@pytest.fixture
def config_file(tmp_path: Path) -> str:
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(CLUSTERS))
    return str(file)


@pytest.fixture
def service_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Make this process look as if it ran in a pod."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text("pod-token")
    self_signed(tmp_path, "authority").replace(folder / "ca.crt")
    (folder / "namespace").write_text("kanister\n")
    loader = "kubernetes.config.incluster_config"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(kubeconfig, "SERVICE_ACCOUNT", folder)
    monkeypatch.setattr(f"{loader}.SERVICE_TOKEN_FILENAME", str(folder / "token"))
    monkeypatch.setattr(f"{loader}.SERVICE_CERT_FILENAME", str(folder / "ca.crt"))
    return folder


def headers(api_client: kubernetes.client.ApiClient) -> dict[str, str]:
    """Return what goes along with the next request."""
    return Credentials(api_client).headers()


def script(file: Path, commands: str) -> None:
    file.write_text(f"#!/bin/sh\n{commands}\n")
    file.chmod(0o755)


@pytest.mark.parametrize(
    ("context", "host", "namespace"),
    [
        pytest.param("first", "https://one:6443", "backup", id="with a namespace"),
        pytest.param("second", "https://two:6443", "default", id="without one"),
    ],
)
def test_the_current_context_of_a_kubeconfig(
    config_file: str, context: str, host: str, namespace: str
) -> None:
    Path(config_file).write_text(yaml.safe_dump({**CLUSTERS, "current-context": context}))

    assert kubeconfig.load_api_client(config_file).configuration.host == host
    assert kubeconfig.current_namespace(config_file) == namespace


def test_a_context_that_is_named(config_file: str) -> None:
    """Its server, its namespace and its user, whichever is the current one."""
    users = [*CLUSTERS["users"], {"name": "you", "user": {"token": "made-up-too"}}]
    context = {"cluster": "two", "user": "you", "namespace": "yours"}
    contexts = [*CLUSTERS["contexts"], {"name": "third", "context": context}]
    content = {**CLUSTERS, "users": users, "contexts": contexts}
    Path(config_file).write_text(yaml.safe_dump(content))

    api_client = kubeconfig.load_api_client(config_file, context="third")

    assert api_client.configuration.host == "https://two:6443"
    assert headers(api_client)["Authorization"] == "Bearer made-up-too"
    assert kubeconfig.current_namespace(config_file, context="third") == "yours"
    assert kubeconfig.current_namespace(config_file, context="second") == "default"
    with pytest.raises(ConfigError, match="fourth"):
        kubeconfig.load_api_client(config_file, context="fourth")


def test_a_token_in_a_file_is_read_anew_for_each_request(config_file: str, tmp_path: Path) -> None:
    users = [{"name": "me", "user": {"tokenFile": "token"}}]
    Path(config_file).write_text(yaml.safe_dump({**CLUSTERS, "users": users}))
    token = tmp_path / "token"
    token.write_text("first\n")
    api_client = kubeconfig.load_api_client(config_file)

    assert headers(api_client)["Authorization"] == "Bearer first"

    token.write_text("second\n")

    assert headers(api_client)["Authorization"] == "Bearer second"


@pytest.mark.parametrize(
    ("proxy", "headers"),
    [
        pytest.param("http://proxy:3128", {}, id="open to everybody"),
        pytest.param(
            "http://me:p%40ss@proxy:3128",
            {"proxy-authorization": "Basic bWU6cEBzcw=="},
            id="with a login",
        ),
    ],
)
def test_a_proxy_is_told_the_login_in_its_url(
    config_file: str, monkeypatch: pytest.MonkeyPatch, proxy: str, headers: dict[str, str]
) -> None:
    monkeypatch.setenv("https_proxy", proxy)

    manager = kubeconfig.load_api_client(config_file).rest_client.pool_manager

    assert isinstance(manager, urllib3.ProxyManager)
    assert manager.proxy_headers == headers


def test_connections_are_probed(config_file: str) -> None:
    """Load balancers forget those that are idle."""
    pool = kubeconfig.load_api_client(config_file).rest_client.pool_manager

    options = pool.connection_pool_kw["socket_options"]
    assert (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1) in options


class TestDataInTheKubeconfig:
    """Certificates and keys that stand in the file itself, which OpenSSL takes from files only."""

    @pytest.fixture
    def scratch(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "scratch"
        folder.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        return folder

    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[FakeApiServer]:
        client = self_signed(tmp_path, "client")
        with FakeApiServer(tls=self_signed(tmp_path), clients=client) as started:
            yield started

    @pytest.fixture
    def with_data(self, config_file: str, server: FakeApiServer, tmp_path: Path) -> str:
        def encoded(name: str) -> str:
            return base64.b64encode((tmp_path / name).read_bytes()).decode()

        content = {
            **CLUSTERS,
            "clusters": [
                {
                    "name": "one",
                    "cluster": {
                        "server": server.url,
                        "certificate-authority-data": encoded("tls.pem"),
                    },
                }
            ],
            "users": [
                {
                    "name": "me",
                    "user": {
                        "client-certificate-data": encoded("client.pem"),
                        "client-key-data": encoded("client.pem"),
                    },
                }
            ],
        }
        Path(config_file).write_text(yaml.safe_dump(content))
        return config_file

    def test_no_file_is_left_and_connections_are_made(
        self, with_data: str, server: FakeApiServer, scratch: Path
    ) -> None:
        """A process that is killed cannot clean up."""
        server.expect(apiserver.ok({}), apiserver.ok({}))

        # Twice: the official client remembers the files that it has written.
        for _ in range(2):
            api_client = kubeconfig.load_api_client(with_data)
            assert list(scratch.iterdir()) == []
            transport = Transport(
                api_client, clock=SystemClock(), metrics=Metrics(CollectorRegistry())
            )
            assert transport.request(Call("GET", "/version")) == b"{}"

    def test_the_official_clients_own_requests_work_as_well(
        self, with_data: str, server: FakeApiServer
    ) -> None:
        server.expect(apiserver.ok({"major": "1", "minor": "37"}))
        api_client = kubeconfig.load_api_client(with_data)

        pool = api_client.rest_client.pool_manager
        assert pool.request("GET", f"{server.url}/version").status == 200


def trusting(authority: bytes) -> dict[str, Any]:
    """Return the cluster of a kubeconfig that says whom to trust."""
    data = base64.b64encode(authority).decode()
    cluster = {"server": "https://one:6443", "certificate-authority-data": data}
    return {"name": "one", "cluster": cluster}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="no such file"),
        pytest.param("", id="an empty file"),
        pytest.param("a: [", id="no YAML"),
        pytest.param("[1]", id="no kubeconfig"),
        pytest.param("kind: Config", id="nothing in it"),
        pytest.param(
            yaml.safe_dump({**CLUSTERS, "current-context": "third"}), id="no such context"
        ),
        pytest.param(
            yaml.safe_dump({**CLUSTERS, "users": [{"name": "me", "user": {"tokenFile": "none"}}]}),
            id="a token in a file that is not there",
        ),
        pytest.param(
            yaml.safe_dump(
                {
                    **CLUSTERS,
                    "users": [{"name": "me", "user": {"client-certificate-data": "bm9uZQ=="}}],
                }
            ),
            id="a client certificate that is none",
        ),
        pytest.param(
            yaml.safe_dump({**CLUSTERS, "clusters": [trusting(b"\xd1\xff")]}),
            id="an authority that is no text",
        ),
        pytest.param("{a: " * 1000, id="maps that are nested too deep"),
    ],
)
def test_an_unusable_kubeconfig_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "config"
    if content is not None:
        file.write_text(content)

    with pytest.raises(ConfigError, match=str(file)):
        kubeconfig.load_api_client(str(file))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(
            yaml.safe_dump({**CLUSTERS, "users": [{"name": "me", "token": "made-up"}]}),
            id="a token in the wrong place",
        ),
        pytest.param(yaml.safe_dump(CLUSTERS).replace("token:", "token: :"), id="no YAML"),
    ],
)
def test_an_unusable_kubeconfig_is_not_shown(tmp_path: Path, content: str) -> None:
    file = tmp_path / "config"
    file.write_text(content)

    with pytest.raises(ConfigError, match=str(file)) as caught:
        kubeconfig.load_api_client(str(file))

    assert "made-up" not in "".join(traceback.format_exception(caught.value))


@pytest.fixture
def plugin_config(config_file: str, tmp_path: Path) -> str:
    """A kubeconfig whose user's credentials come from a program, each time others."""
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": str(tmp_path / "plugin"),
        "interactiveMode": "Never",
    }
    users = [{"name": "me", "user": {"exec": plugin}}]
    Path(config_file).write_text(yaml.safe_dump({**CLUSTERS, "users": users}))
    return config_file


def test_a_credential_plugin_is_asked_again_when_its_token_expires(
    plugin_config: str, tmp_path: Path
) -> None:
    script(
        tmp_path / "plugin",
        f"""
        echo called >> {tmp_path}/calls
        cat << END
        {{
          "apiVersion": "client.authentication.k8s.io/v1",
          "kind": "ExecCredential",
          "status": {{
            "token": "$(wc -l < {tmp_path}/calls)",
            "expirationTimestamp": "2020-01-01T00:00:00Z"
          }}
        }}\nEND""",
    )
    api_client = kubeconfig.load_api_client(plugin_config)

    tokens = [headers(api_client)["Authorization"] for _ in range(2)]

    assert tokens == ["Bearer 2", "Bearer 3"]


def test_a_credential_plugin_is_asked_again_when_its_token_is_refused(
    plugin_config: str, tmp_path: Path
) -> None:
    """Without a time at which it expires, a token is used until the server answers 401."""
    script(
        tmp_path / "plugin",
        f"""
        echo called >> {tmp_path}/calls
        cat << END
        {{
          "apiVersion": "client.authentication.k8s.io/v1",
          "kind": "ExecCredential",
          "status": {{"token": "$(wc -l < {tmp_path}/calls)"}}
        }}\nEND""",
    )
    read = Call("GET", "/api/v1/namespaces/ns/pods/a")
    refused = apiserver.failure(401, "Unauthorized")
    with FakeApiServer(apiserver.ok({}), refused, apiserver.ok({}), apiserver.ok({})) as server:
        content = yaml.safe_load(Path(plugin_config).read_text())
        content["clusters"][0]["cluster"]["server"] = server.url
        Path(plugin_config).write_text(yaml.safe_dump(content))
        transport = Transport(
            kubeconfig.load_api_client(plugin_config),
            clock=SystemClock(),
            metrics=Metrics(CollectorRegistry()),
        )

        for _ in range(3):
            transport.request(read)

    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer 1", "Bearer 1", "Bearer 2", "Bearer 2"]


@pytest.mark.parametrize(
    "plugin", [pytest.param("exit 3", id="fails"), pytest.param(None, id="is not there")]
)
def test_a_credential_plugin_without_credentials_is_named(
    plugin_config: str, tmp_path: Path, plugin: str | None
) -> None:
    if plugin is not None:
        script(tmp_path / "plugin", plugin)

    with pytest.raises(ConfigError, match=f"{tmp_path}/plugin gave no credentials"):
        kubeconfig.load_api_client(plugin_config)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"users": []}, id="a user who is not there"),
        pytest.param(
            {"contexts": [{"name": "first", "context": {"cluster": "one"}}]}, id="no user"
        ),
    ],
)
def test_a_kubeconfig_without_credentials_is_one(config_file: str, change: dict[str, Any]) -> None:
    """A proxy of `kubectl` asks for none."""
    Path(config_file).write_text(yaml.safe_dump({**CLUSTERS, **change}))

    assert "Authorization" not in headers(kubeconfig.load_api_client(config_file))


def test_no_kubeconfig_means_the_default_namespace(tmp_path: Path) -> None:
    assert kubeconfig.current_namespace(str(tmp_path / "none")) == "default"


class TestOrder:
    """The file that is named, KUBECONFIG, the pod's service account, the user's own file."""

    @pytest.fixture
    def home(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
        """A user's own kubeconfig, for the second cluster."""
        file = tmp_path / "home" / ".kube" / "config"
        file.parent.mkdir(parents=True)
        context = {"cluster": "two", "user": "me", "namespace": "own"}
        contexts = [{"name": "first", "context": context}]
        file.write_text(yaml.safe_dump({**CLUSTERS, "contexts": contexts}))
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        return file

    def found(self, named: str = "") -> tuple[str, str]:
        host = kubeconfig.load_api_client(named).configuration.host
        return host, kubeconfig.current_namespace(named)

    @pytest.mark.usefixtures("service_account", "home")
    def test_the_file_that_is_named_is_the_first(
        self, config_file: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KUBECONFIG", "/nowhere")

        assert self.found(config_file) == ("https://one:6443", "backup")

    @pytest.mark.usefixtures("service_account", "home")
    def test_a_context_is_one_of_a_file_even_in_a_pod(self) -> None:
        api_client = kubeconfig.load_api_client(context="first")

        assert api_client.configuration.host == "https://two:6443"
        assert kubeconfig.current_namespace(context="first") == "own"

    @pytest.mark.usefixtures("service_account", "home")
    def test_kubeconfig_comes_before_the_service_account(
        self, config_file: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever sets it in a pod means another cluster than the one that the pod is in."""
        monkeypatch.setenv("KUBECONFIG", config_file)

        assert self.found() == ("https://one:6443", "backup")

    @pytest.mark.usefixtures("service_account", "home")
    def test_the_service_account_comes_before_the_users_own_file(self) -> None:
        assert self.found() == ("https://10.0.0.1:443", "kanister")

    @pytest.mark.usefixtures("home")
    def test_the_users_own_file_is_the_last(self) -> None:
        assert self.found() == ("https://two:6443", "own")


@pytest.mark.usefixtures("service_account")
def test_the_token_of_a_service_account_is_followed() -> None:
    """The kubelet replaces it within the hour."""
    api_client = kubeconfig.load_api_client()
    assert headers(api_client)["Authorization"] == "Bearer pod-token"

    (kubeconfig.SERVICE_ACCOUNT / "token").write_text("new pod-token")

    assert headers(api_client)["Authorization"] == "Bearer new pod-token"


@pytest.mark.usefixtures("service_account")
def test_the_proxy_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://first:3128")
    api_client = kubeconfig.load_api_client()
    monkeypatch.setenv("https_proxy", "http://second:3128")

    headers(api_client)

    assert api_client.configuration.proxy == "http://first:3128"


def test_a_service_account_without_certificate_is_refused(service_account: Path) -> None:
    (service_account / "ca.crt").unlink()

    with pytest.raises(ConfigError, match="service account"):
        kubeconfig.load_api_client()


def test_a_service_account_without_namespace_is_refused(service_account: Path) -> None:
    (service_account / "namespace").unlink()

    with pytest.raises(ConfigError, match=r"service account .*/namespace"):
        kubeconfig.current_namespace()
