"""How a process proves to the API server who asks, and whom it believes to be the API server.

Tokens and certificates are replaced on disk while the process runs. Both are read anew when the
server no longer accepts them; a token in a file also as soon as the file is another one. client-go:
transport/token_source.go, transport/cert_rotation.go.
"""

import ssl
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Self

import kubernetes.client
import kubernetes.config
import structlog
from attrs import define, evolve, field, frozen

from controller.errors import ConfigError, TransportError
from controller.rest.cutoff import current

#: What a refresh hook of the official client raises: it reads files and runs programs.
_UNREADABLE: Final = (OSError, ValueError, KeyError, kubernetes.config.ConfigException)

_log = structlog.get_logger()


@define(eq=False)
class TokenFile:
    """A bearer token in a file that somebody else replaces: the kubelet, as a rule.

    A refresh hook of the official client: called with its configuration before each request.

    Args:
        path: The file.
    """

    path: Path
    # Which file the last token was read from: whoever replaces a file makes another one.
    _read: tuple[int, int, int] | None = field(default=None, init=False)

    def __call__(self, configuration: Any) -> None:  # noqa: ANN401 - the official client has no types
        """Put the token into a configuration, if the file is not the one of before.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is empty.
        """
        status = self.path.stat()
        found = (status.st_ino, status.st_mtime_ns, status.st_size)
        if found == self._read:
            return
        token = self.path.read_text().strip()
        if not token:
            raise ValueError(f"{self.path} is empty")
        configuration.api_key["BearerToken"] = f"Bearer {token}"
        self._read = found

    def forget(self) -> None:
        """Read the file with the next request, even if it has not changed."""
        self._read = None


@define(eq=False)
class PluginToken:
    """A bearer token that a credential plugin gives (client-go plugin/pkg/client/auth/exec).

    A refresh hook, as `TokenFile`. The official client asks the plugin anew once the token has
    expired. One that does not say when it expires is good until the server refuses it.

    Args:
        hook: The official client's own.
        ask: Asks the plugin anew, and returns the hook that has the new token.
    """

    _hook: Callable[[Any], None]
    _ask: Callable[[], Callable[[Any], None]]
    _refused: bool = field(default=False, init=False)

    def __call__(self, configuration: Any) -> None:  # noqa: ANN401 - the official client has no types
        """Put the token into a configuration.

        Raises:
            ConfigError: The plugin gave none.
        """
        if self._refused:
            self._hook = self._ask()
            self._refused = False
        self._hook(configuration)
        # The official client's hook puts itself in this place.
        configuration.refresh_api_key_hook = self

    def forget(self) -> None:
        """Ask the plugin anew with the next request."""
        self._refused = True


@frozen
class TlsFiles:
    """What the TLS settings of a server are made from.

    Args:
        authority: Path of the certificates that vouch for the server, None if `authority_data` or
            the system's do.
        authority_data: These certificates themselves: PEM, or bytes in DER.
        certificate: Path of the client certificate, None if there is none.
        key: Path of its key, None if that stands in the same file.
        verify: Whether the server must be vouched for at all.
        check_hostname: Whether its certificate must be for its name.
    """

    authority: str | None
    authority_data: str | bytes | None
    certificate: str | None
    key: str | None
    verify: bool
    check_hostname: bool

    @classmethod
    def of(cls, configuration: kubernetes.client.Configuration) -> Self:
        """Return what a configuration of the official client says."""
        return cls(
            authority=configuration.ssl_ca_cert or None,
            authority_data=configuration.ca_cert_data or None,
            certificate=configuration.cert_file or None,
            key=configuration.key_file or None,
            verify=configuration.verify_ssl,
            check_hostname=configuration.verify_ssl and configuration.assert_hostname is not False,
        )


class Tls:
    """The TLS settings of the connections to one server: one context for all of them.

    Args:
        files: What they are made from.
        context: Made before the files were deleted that held a client certificate: it stands in
            this alone then. None to make one.
        proxied: Whether there is a proxy.
        proxy_context: For the proxy; None to make one.

    Raises:
        ConfigError: A file is missing or holds no certificate or key.
    """

    def __init__(
        self,
        files: TlsFiles,
        context: ssl.SSLContext | None = None,
        *,
        proxied: bool = False,
        proxy_context: ssl.SSLContext | None = None,
    ) -> None:
        self._files = files
        self._keys_in_context = context is not None
        #: For the server.
        self.context = context or tls_context(files)
        #: For the proxy, which is believed as the server is (Go's net/http has one configuration
        #: for both as well), and is shown no client certificate; None without a proxy.
        self.proxy_context = proxy_context
        if proxied and proxy_context is None:
            self.proxy_context = tls_context(evolve(files, certificate=None))

    @property
    def has_authority_file(self) -> bool:
        """Whether those who vouch for the server stand in a file that may be replaced."""
        return self._files.authority is not None

    @property
    def has_certificate_file(self) -> bool:
        """Whether a client certificate stands in a file that may be replaced."""
        return self._files.certificate is not None

    def load_anew(self) -> None:
        """Load the files anew, for connections to come; what cannot be read stays as it was."""
        try:
            if not self._keys_in_context:
                self.context = tls_context(self._files)
            elif self._files.authority is not None:
                self.context.load_verify_locations(self._files.authority)
            if self._files.authority is not None and self.proxy_context is not None:
                self.proxy_context.load_verify_locations(self._files.authority)
        except (ConfigError, OSError) as error:
            _log.warning("the certificates cannot be loaded anew", error=str(error))


class Credentials:
    """What goes along with each request. Safe to share between threads.

    Args:
        api_client: Its configuration says where tokens and certificates are.
    """

    def __init__(self, api_client: kubernetes.client.ApiClient) -> None:
        self._configuration = api_client.configuration
        # Who asks. The official client's own: whoever impersonates another one adds to them.
        self._default_headers = api_client.default_headers
        #: The TLS settings.
        self.tls = Tls(
            TlsFiles.of(self._configuration),
            api_client.rest_client.pool_manager.connection_pool_kw.get("ssl_context"),
            proxied=bool(self._configuration.proxy),
            proxy_context=self._configuration.proxy_ssl_context,
        )
        # Guards the fields below, and the official client's refresh hook, which is not made for
        # several threads at once.
        self._lock = threading.Lock()
        # Counts how often they were renewed.
        self._version = 0
        # The last one that could be read, None before the first; and whether it was refused since.
        self._token: str | None = None
        self._refused = False

    @property
    def version(self) -> int:
        """Which credentials a request that is made now carries."""
        return self._version

    def headers(self) -> dict[str, str]:
        """Return the headers that every request carries: who asks, and the token.

        A token that cannot be read stays as it was until the server refuses it.

        Raises:
            TransportError: The server has refused the token, and it cannot be read now; a later
                request may find it.
        """
        with self._lock:
            try:
                # Calls the refresh hook, if there is one.
                self._token = self._configuration.get_api_key_with_prefix(
                    "BearerToken", alias="authorization"
                )
                self._refused = False
            except _UNREADABLE as error:
                if self._refused:
                    raise TransportError(f"the credentials cannot be renewed: {error}") from error
            token = self._token
        headers = dict(self._default_headers)
        if token:
            headers["Authorization"] = token
        return headers

    def renew(self, version: int) -> bool:
        """Read everything anew, since the server has refused a request.

        Args:
            version: What `version` was when the request was made; another thread may have renewed
                them since.

        Returns:
            Whether it makes sense to send the request again: nothing that stands in the
            configuration itself can have changed.
        """
        if self._configuration.refresh_api_key_hook is None and not self.tls.has_certificate_file:
            return False
        with self._lock:
            if version == self._version:
                self._version += 1
                self._refused = True
                # Not before: a call of the official client's hook puts another one in its place.
                hook = self._configuration.refresh_api_key_hook
                if isinstance(hook, TokenFile | PluginToken):
                    hook.forget()
                if self.tls.has_certificate_file:
                    self.tls.load_anew()
        return True

    def believe_anew(self, version: int) -> bool:
        """Load the server's certificate authority anew, since its certificate was not believed.

        Args:
            version: As for `renew`.

        Returns:
            Whether it makes sense to connect again.
        """
        if not self.tls.has_authority_file:
            return False
        with self._lock:
            if version == self._version:
                self._version += 1
                self.tls.load_anew()
        return True


class _Socket(ssl.SSLSocket):
    """A TLS socket that the current request's guard can shut down while it shakes hands."""

    def do_handshake(self, block: bool = False) -> None:
        guard = current.guard
        if guard is not None and not guard.attach(self):
            raise ConnectionAbortedError("cut off")
        super().do_handshake(block)


class _Context(ssl.SSLContext):
    """A context that several threads may connect with at once."""

    sslsocket_class = _Socket

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Leave the protocols as they are: HTTP/1.1 is what a server speaks that is told of none.

        urllib3 sets them with each connection, while OpenSSL may be copying those there are for
        another thread.
        """


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """Make a context.

    Args:
        files: What it is made from.

    Raises:
        ConfigError: A file is missing or holds no certificate or key.
    """
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = files.check_hostname
    context.verify_mode = ssl.CERT_REQUIRED if files.verify else ssl.CERT_NONE
    try:
        if files.authority is not None or files.authority_data is not None:
            context.load_verify_locations(files.authority, cadata=files.authority_data)
        elif files.verify:
            context.load_default_certs()
    except (OSError, ValueError) as error:
        source = files.authority or "the kubeconfig"
        raise ConfigError(f"no certificate authority in {source}: {error}") from error
    if files.certificate is not None:
        try:
            context.load_cert_chain(files.certificate, files.key, _no_password)
        except OSError as error:
            raise ConfigError(f"no client certificate in {files.certificate}: {error}") from error
    return context


def _no_password() -> str:
    """Refuse a key that is encrypted: OpenSSL would ask for the password on the terminal."""
    raise ConfigError("the key of the client certificate is encrypted")
