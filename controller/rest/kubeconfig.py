"""Where the API server is and how to authenticate: a kubeconfig file or a pod's service account."""

import os
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import kubernetes.client
import kubernetes.config
import urllib3
import yaml
from kubernetes.config.kube_config import ConfigNode, KubeConfigMerger

from controller.errors import ConfigError

#: Kept-alive connections: one for each watch and each worker, and some for events and leader
#: election. More connections than these still work, they are just not kept.
POOL_SIZE: Final = 64

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")

USER_AGENT: Final = "repository-server-controller"

#: What a kubeconfig raises that is not there, is not YAML or no kubeconfig, or has no credentials.
_UNUSABLE: Final = (
    kubernetes.config.ConfigException,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    yaml.YAMLError,
)


def load_api_client(
    kubeconfig: str = "", *, user_agent: str = USER_AGENT
) -> kubernetes.client.ApiClient:
    """Find out where the API server is and how to authenticate.

    The order is that of controller-runtime (pkg/client/config): the file named, the service
    account of the pod this runs in, then $KUBECONFIG or ~/.kube/config.

    Args:
        kubeconfig: Path of a kubeconfig file, "" to look around. Its current context counts.
        user_agent: How the server's audit log knows this process.

    Raises:
        ConfigError: Nothing was found, or what was found cannot be used.
    """
    configuration = kubernetes.client.Configuration()
    configuration.connection_pool_maxsize = POOL_SIZE
    # As client-go does: load balancers forget connections that are idle for a few minutes.
    configuration.keep_alive = True
    if not kubeconfig and in_cluster():
        _load_service_account(configuration)
    else:
        _load_kubeconfig(configuration, kubeconfig)
    # To set it keeps it: in a pod it would be looked up anew with each request, though the pool of
    # connections has it from now on.
    configuration.proxy = configuration.proxy
    if configuration.proxy:
        configuration.proxy_headers = _proxy_headers(configuration.proxy)
    api_client = kubernetes.client.ApiClient(configuration)
    api_client.user_agent = user_agent
    return api_client


def in_cluster() -> bool:
    """Tell whether this process runs in a pod that has a service account's token."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and (SERVICE_ACCOUNT / "token").is_file()


def _proxy_headers(proxy: str) -> dict[str, str]:
    """Return the login that a proxy's URL holds, which the official client leaves there."""
    login = urllib3.util.parse_url(proxy).auth
    return urllib3.make_headers(proxy_basic_auth=unquote(login)) if login else {}


def _load_service_account(configuration: kubernetes.client.Configuration) -> None:
    try:
        kubernetes.config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    except (kubernetes.config.ConfigException, OSError) as error:
        raise ConfigError(f"the pod's service account cannot be used: {error}") from error


def _load_kubeconfig(configuration: kubernetes.client.Configuration, kubeconfig: str) -> None:
    source = kubeconfig or kubernetes.config.KUBE_CONFIG_DEFAULT_LOCATION
    try:
        kubernetes.config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=source, client_configuration=configuration, persist_config=False
        )
        user = _current_user(source)
        if user is not None and "tokenFile" in user:
            _follow_token_file(configuration, Path(user.path).parent / user["tokenFile"])
        if user is not None and "exec" in user:
            _require_credentials(configuration, user["exec"]["command"])
    except _UNUSABLE as error:
        raise ConfigError(
            f"kubeconfig {source}: {error} (name one with --kubeconfig or KUBECONFIG,"
            " or run in a pod with a service account)"
        ) from error


def _current_user(source: str) -> ConfigNode | None:
    """Return how the current context's user authenticates, None if there is no user."""
    config = KubeConfigMerger(source).config  # type: ignore[no-untyped-call]
    context = config["contexts"].get_with_name(config["current-context"])["context"]
    user = config["users"].get_with_name(context.safe_get("user"), safe=True)
    return user["user"] if user else None


def _require_credentials(configuration: kubernetes.client.Configuration, plugin: str) -> None:
    """Refuse a plugin that failed: the official client logs why, and would go on as nobody."""
    if not (configuration.api_key or configuration.cert_file):
        raise ValueError(f"{plugin} gave no credentials")


def _follow_token_file(configuration: kubernetes.client.Configuration, token: Path) -> None:
    """Have a token that stands in a file read anew with each request: it is replaced there.

    The official client reads it once, with its newline, which no header can hold.
    """

    def read(configuration: kubernetes.client.Configuration) -> None:
        configuration.api_key["BearerToken"] = f"Bearer {token.read_text().strip()}"

    read(configuration)
    configuration.refresh_api_key_hook = read  # type: ignore[assignment]  # declared as None


def current_namespace(kubeconfig: str = "") -> str:
    """Return the namespace this process works in.

    Args:
        kubeconfig: As for `load_api_client`.

    Returns:
        The pod's own, else that of the kubeconfig's current context, else "default".
    """
    if not kubeconfig and in_cluster():
        return (SERVICE_ACCOUNT / "namespace").read_text().strip()
    source = kubeconfig or kubernetes.config.KUBE_CONFIG_DEFAULT_LOCATION
    try:
        _, current = kubernetes.config.list_kube_config_contexts(source)  # type: ignore[no-untyped-call]
    except _UNUSABLE:
        return "default"
    return str(current["context"].get("namespace") or "default")
