"""Where the API server is and how to authenticate: a kubeconfig file or a pod's service account.

The order, for the server, the credentials and the namespace alike:

 1. the file that is named (`--kubeconfig`),
 2. the files of $KUBECONFIG,
 3. the service account of the pod that this process runs in,
 4. ~/.kube/config.

controller-runtime has the same order for the server (pkg/client/config/config.go); client-go puts 3
last.
"""

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

import kubernetes.client
import kubernetes.config
import urllib3
import yaml
from kubernetes.client.rest import should_bypass_proxies
from kubernetes.config.kube_config import ConfigNode, KubeConfigMerger

from controller.errors import ConfigError
from controller.rest.credentials import PluginToken, TlsFiles, TokenFile, tls_context

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")

#: Where a user's kubeconfig is, if no other is named.
DEFAULT_KUBECONFIG: Final = "~/.kube/config"

USER_AGENT: Final = "repository-server-controller"

UNUSABLE_ACCOUNT: Final = "the pod's service account cannot be used: {error}"

#: What a kubeconfig raises that is not there, is not YAML or no kubeconfig, or has no credentials.
_UNUSABLE: Final = (
    kubernetes.config.ConfigException,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    yaml.YAMLError,
    # It is nested too deep.
    RecursionError,
)

_PART: Final = re.compile(r"[{\[]")

_PROXY_SCHEMES: Final = ("http", "https")


def load_api_client(
    kubeconfig: str = "", *, context: str = "", user_agent: str = USER_AGENT
) -> kubernetes.client.ApiClient:
    """Return the official client for the API server that is to be talked to.

    Client certificates and keys that stand in a kubeconfig itself are on disk only while this
    function loads them: OpenSSL takes them from files.

    Args:
        kubeconfig: Path of a kubeconfig file, "" to look around in the order above.
        context: Which of its contexts counts. A pod's service account has none, so it is left out
            then. Default: the current one.
        user_agent: How the server's audit log knows this process.

    Raises:
        ConfigError: Nothing was found, or what was found cannot be used.
    """
    configuration = kubernetes.client.Configuration()
    # As client-go does: load balancers forget connections that are idle for a few minutes.
    configuration.keep_alive = True
    source = _source(kubeconfig, context)
    with tempfile.TemporaryDirectory(prefix="kubeconfig-") as folder:
        if source is None:
            _load_service_account(configuration)
        else:
            _load_kubeconfig(configuration, source, context, folder)
        # To set it keeps it: it would be looked up anew with each change of the host.
        configuration.proxy = configuration.proxy
        if configuration.proxy:
            _set_up_proxy(configuration, source)
        origin = "the pod's service account" if source is None else f"kubeconfig {source}"
        return _api_client(configuration, user_agent, origin, Path(folder))


def _api_client(
    configuration: kubernetes.client.Configuration, user_agent: str, origin: str, folder: Path
) -> kubernetes.client.ApiClient:
    """Return a client for a configuration, some of whose files are about to be deleted.

    Args:
        configuration: It names none of these files afterwards.
        user_agent: As for `load_api_client`.
        origin: What an error message calls the source of the configuration.
        folder: Where these files are.
    """

    def is_temporary(file: str | None) -> bool:
        return file is not None and folder in Path(file).parents

    authority = configuration.ssl_ca_cert
    if authority is not None and is_temporary(authority):
        # OpenSSL takes ASCII alone, and leaves out what stands around the PEM.
        text = Path(authority).read_text(errors="replace")
        configuration.ca_cert_data = text.encode("ascii", "replace").decode()
        configuration.ssl_ca_cert = None
    try:
        context = tls_context(TlsFiles.of(configuration))
    except ConfigError as error:
        reason = error.__cause__ or error
        raise ConfigError(f"{origin}: certificates or key of no use: {reason}") from error
    keys_vanish = is_temporary(configuration.cert_file) or is_temporary(configuration.key_file)
    if keys_vanish:
        configuration.cert_file = configuration.key_file = None
    api_client = kubernetes.client.ApiClient(configuration)
    api_client.user_agent = user_agent
    if keys_vanish:
        api_client.rest_client.pool_manager.connection_pool_kw["ssl_context"] = context
    return api_client


def in_cluster() -> bool:
    """Return whether this process runs in a pod that has a service account's token."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and (SERVICE_ACCOUNT / "token").is_file()


def _source(kubeconfig: str, context: str) -> str | None:
    """Return the kubeconfig files that count, None for the pod's service account."""
    named = kubeconfig or os.environ.get("KUBECONFIG", "")
    return named or (None if in_cluster() and not context else DEFAULT_KUBECONFIG)


def _set_up_proxy(configuration: kubernetes.client.Configuration, source: str | None) -> None:
    """Set the login of a proxy, and refuse one that is not spoken to in HTTP: that needs PySocks.

    Args:
        configuration: With the proxy.
        source: As `_source` returns it.
    """
    if should_bypass_proxies(configuration.host, configuration.no_proxy or ""):
        return
    proxy, setting = str(configuration.proxy), _proxy_setting(configuration, source)
    try:
        scheme, headers = urlsplit(proxy).scheme, _proxy_headers(proxy)
    except (ValueError, urllib3.exceptions.HTTPError):
        # Not chained: the error has a part of the URL, whose login is secret.
        raise ConfigError(f"{setting} is no URL of a proxy: set one as http://HOST:PORT") from None
    if scheme.lower() not in _PROXY_SCHEMES:
        raise ConfigError(
            f"{setting} names a proxy of the scheme {str(scheme)!r}, which is not supported:"
            " set an http:// or https:// one, or except the server by NO_PROXY"
        )
    configuration.proxy_headers = headers


def _proxy_setting(configuration: kubernetes.client.Configuration, source: str | None) -> str:
    """Return what a proxy was set by: a variable of the environment, or the kubeconfig."""
    variables = (f"{urlsplit(configuration.host).scheme}_proxy", "all_proxy")
    return next(
        (
            name
            for variable in variables
            for name in (variable, variable.upper())
            if os.environ.get(name) == configuration.proxy
        ),
        f"proxy-url in {source}",
    )


def _proxy_headers(proxy: str) -> dict[str, str]:
    """Return the login that a proxy's URL holds, which the official client leaves there."""
    login = urllib3.util.parse_url(proxy).auth
    return urllib3.make_headers(proxy_basic_auth=unquote(login)) if login else {}


def _load_service_account(configuration: kubernetes.client.Configuration) -> None:
    try:
        kubernetes.config.load_incluster_config(configuration, try_refresh_token=False)  # type: ignore[no-untyped-call]
        _follow_token(configuration, SERVICE_ACCOUNT / "token")
    except (kubernetes.config.ConfigException, OSError, ValueError) as error:
        raise ConfigError(UNUSABLE_ACCOUNT.format(error=error)) from error


def _load_kubeconfig(
    configuration: kubernetes.client.Configuration, source: str, context: str, folder: str
) -> None:
    """Load a kubeconfig.

    Args:
        configuration: Is told what it says.
        source: Its path, or several.
        context: Which of its contexts counts; "" for the current one.
        folder: Where the official client may write what stands in it as data.
    """
    try:
        kubernetes.config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=source,
            context=context or None,
            client_configuration=configuration,
            persist_config=False,
            temp_file_path=folder,
        )
        user = _user(source, context)
        if user is None or not ("exec" in user or "auth-provider" in user):
            # What stands in the kubeconfig stays as it is: there is nothing to refresh.
            configuration.refresh_api_key_hook = None
        if user is not None and "tokenFile" in user and "token" not in user:
            _follow_token(configuration, Path(user.path).parent / user["tokenFile"])
        if user is not None and "exec" in user:
            _require_credentials(configuration, user["exec"]["command"])
            _follow_plugin(configuration, source, context)
    except _UNUSABLE as error:
        # Not chained: errors show the part of the file that is wrong, and so perhaps a token.
        raise ConfigError(
            f"kubeconfig {source}: {_words(error)} (name one with --kubeconfig or KUBECONFIG,"
            " or run in a pod with a service account)"
        ) from None


def _words(error: Exception) -> str:
    """Return what is wrong with a kubeconfig, without what stands in it."""
    if isinstance(error, ConfigError | OSError):
        return str(error)
    if isinstance(error, kubernetes.config.ConfigException):
        # The official client puts the whole part of the file behind its words.
        return _PART.split(str(error), maxsplit=1)[0].rstrip("/ ")
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1} is no YAML"
    return f"it is no kubeconfig ({type(error).__name__})"


def _user(source: str, context: str) -> ConfigNode | None:
    """Return how the user of a context authenticates, None if there is no user."""
    config = KubeConfigMerger(source).config  # type: ignore[no-untyped-call]
    name = context or config["current-context"]
    found = config["contexts"].get_with_name(name)["context"]
    user = config["users"].get_with_name(found.safe_get("user"), safe=True)
    return user["user"] if user else None


def _require_credentials(configuration: kubernetes.client.Configuration, plugin: str) -> None:
    """Refuse a plugin that failed: the official client logs why, and would go on as nobody."""
    if not (configuration.api_key or configuration.cert_file):
        raise ConfigError(f"{plugin} gave no credentials")


def _follow_plugin(
    configuration: kubernetes.client.Configuration, source: str, context: str
) -> None:
    """Ask a plugin anew when its token is refused. The official client waits until it expires."""
    # Declared as None.
    hook: Any = configuration.refresh_api_key_hook
    if hook is None:
        # It gave a certificate.
        return

    def ask() -> Callable[[Any], None]:
        fresh = kubernetes.client.Configuration()
        with tempfile.TemporaryDirectory(prefix="kubeconfig-") as folder:
            _load_kubeconfig(fresh, source, context, folder)
        found: Any = fresh.refresh_api_key_hook
        if found is None:
            raise ConfigError(f"kubeconfig {source}: its plugin gave no token")
        return cast("Callable[[Any], None]", found)

    configuration.refresh_api_key_hook = PluginToken(hook, ask)  # type: ignore[assignment]


def _follow_token(configuration: kubernetes.client.Configuration, path: Path) -> None:
    """Read a token that stands in a file anew when the file is replaced.

    The official client reads it once, with its newline, which no header can hold.
    """
    token = TokenFile(path)
    token(configuration)
    configuration.refresh_api_key_hook = token  # type: ignore[assignment]  # declared as None


def current_namespace(kubeconfig: str = "", *, context: str = "") -> str:
    """Return the namespace this process works in.

    Args:
        kubeconfig: As for `load_api_client`.
        context: As for `load_api_client`.

    Returns:
        That of the context, or the pod's own, in the order above; "default" if there is
        none.

    Raises:
        ConfigError: The pod's service account has no namespace.
    """
    source = _source(kubeconfig, context)
    if source is None:
        try:
            return (SERVICE_ACCOUNT / "namespace").read_text().strip()
        except OSError as error:
            raise ConfigError(UNUSABLE_ACCOUNT.format(error=error)) from error
    try:
        found, current = kubernetes.config.list_kube_config_contexts(source)  # type: ignore[no-untyped-call]
    except _UNUSABLE:
        return "default"
    if context:
        current = next((one for one in found if one["name"] == context), {"context": {}})
    return str(current["context"].get("namespace") or "default")
