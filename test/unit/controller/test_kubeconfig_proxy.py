"""A proxy that cannot be spoken to is found at the start, not by a program that is missing."""

import traceback
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.errors import ConfigError
from controller.rest import kubeconfig

CLUSTERS: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "one",
    "clusters": [{"name": "one", "cluster": {"server": "https://one:6443"}}],
    "users": [{"name": "me", "user": {"token": "made-up"}}],
    "contexts": [{"name": "one", "context": {"cluster": "one", "user": "me"}}],
}


@pytest.fixture
def config_file(tmp_path: Path) -> str:
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(CLUSTERS))
    return str(file)


@pytest.mark.parametrize("variable", ["https_proxy", "ALL_PROXY"])
def test_one_of_another_protocol_is_refused_by_the_name_of_its_variable(
    config_file: str, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "socks5://me:made-up@proxy:1080")

    with pytest.raises(ConfigError, match=rf"^{variable} names .*'socks5'") as caught:
        kubeconfig.load_api_client(config_file)

    assert "made-up" not in str(caught.value)


def test_one_of_another_protocol_is_refused_by_the_field_of_the_kubeconfig(
    config_file: str,
) -> None:
    cluster = {"server": "https://one:6443", "proxy-url": "socks5://proxy:1080"}
    clusters = [{"name": "one", "cluster": cluster}]
    Path(config_file).write_text(yaml.safe_dump({**CLUSTERS, "clusters": clusters}))

    with pytest.raises(ConfigError, match=f"^proxy-url in {config_file} names"):
        kubeconfig.load_api_client(config_file)


@pytest.mark.parametrize(
    "proxy",
    [
        pytest.param("http://me:made/-up@proxy:3128", id="a slash in the password"),
        pytest.param("http://me:made-up@[proxy:3128", id="a bracket before the host"),
        pytest.param("http://me:made-up@proxy:port", id="a port that is none"),
    ],
)
def test_one_that_is_no_url_is_refused_without_its_login(
    config_file: str, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("https_proxy", proxy)

    with pytest.raises(ConfigError, match=r"^https_proxy is no URL of a proxy") as caught:
        kubeconfig.load_api_client(config_file)

    assert "made" not in "".join(traceback.format_exception(caught.value))


def test_one_that_the_server_is_excepted_from_does_not_matter(
    config_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "ftp://proxy:21")
    monkeypatch.setenv("no_proxy", "one")

    kubeconfig.load_api_client(config_file)
