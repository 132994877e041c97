"""Finding the API server: the file named, the pod's service account, or the user's kubeconfig."""

import socket
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from controller.errors import ConfigError
from controller.rest import kubeconfig
from controller.rest.transport import request_headers

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
    (folder / "ca.crt").write_text("certificate")
    (folder / "namespace").write_text("kanister\n")
    loader = "kubernetes.config.incluster_config"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(kubeconfig, "SERVICE_ACCOUNT", folder)
    monkeypatch.setattr(f"{loader}.SERVICE_TOKEN_FILENAME", str(folder / "token"))
    monkeypatch.setattr(f"{loader}.SERVICE_CERT_FILENAME", str(folder / "ca.crt"))
    return folder


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


def test_a_token_in_a_file_is_read_anew_for_each_request(config_file: str, tmp_path: Path) -> None:
    users = [{"name": "me", "user": {"tokenFile": "token"}}]
    Path(config_file).write_text(yaml.safe_dump({**CLUSTERS, "users": users}))
    token = tmp_path / "token"
    token.write_text("first\n")
    api_client = kubeconfig.load_api_client(config_file)

    assert request_headers(api_client)["authorization"] == "Bearer first"

    token.write_text("second\n")

    assert request_headers(api_client)["authorization"] == "Bearer second"


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


def test_connections_are_kept_and_probed(config_file: str) -> None:
    pool = kubeconfig.load_api_client(config_file).rest_client.pool_manager

    options = pool.connection_pool_kw
    assert options["maxsize"] == kubeconfig.POOL_SIZE
    assert (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1) in options["socket_options"]


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
    ],
)
def test_an_unusable_kubeconfig_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "config"
    if content is not None:
        file.write_text(content)

    with pytest.raises(ConfigError, match=str(file)):
        kubeconfig.load_api_client(str(file))


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

    tokens = [request_headers(api_client)["authorization"] for _ in range(2)]

    assert tokens == ["Bearer 2", "Bearer 3"]


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

    assert "authorization" not in request_headers(kubeconfig.load_api_client(config_file))


def test_no_kubeconfig_means_the_default_namespace(tmp_path: Path) -> None:
    assert kubeconfig.current_namespace(str(tmp_path / "none")) == "default"


@pytest.mark.usefixtures("service_account")
def test_in_a_pod_its_service_account_is_used() -> None:
    configuration = kubeconfig.load_api_client().configuration

    assert configuration.host == "https://10.0.0.1:443"
    assert kubeconfig.current_namespace() == "kanister"


@pytest.mark.usefixtures("service_account")
def test_the_proxy_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """To look through the environment takes longer than all else that a request's head needs."""
    monkeypatch.setenv("https_proxy", "http://first:3128")
    api_client = kubeconfig.load_api_client()
    monkeypatch.setenv("https_proxy", "http://second:3128")

    request_headers(api_client)

    assert api_client.configuration.proxy == "http://first:3128"


def test_a_service_account_without_certificate_is_refused(service_account: Path) -> None:
    (service_account / "ca.crt").unlink()

    with pytest.raises(ConfigError, match="service account"):
        kubeconfig.load_api_client()


@pytest.mark.usefixtures("service_account")
def test_a_kubeconfig_that_is_named_wins_over_the_pod(config_file: str) -> None:
    assert kubeconfig.load_api_client(config_file).configuration.host == "https://one:6443"
