"""The Kopia command by which a client connects to a server. Pure functions.

No password is in it: the command asks the cluster for it and hands it on by the environment, so
that it is in no argument list and in no history of a shell.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from reconcilers.plugin.exits import USAGE, PluginError
from reconcilers.plugin.screen import plain
from reconcilers.repositoryserver import connection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.resource import Object
    from reconcilers.repositoryserver.connection import Connection

NO_SERVER: Final = "RepositoryServer {namespace}/{name} has no server to connect to yet: {message}"
NO_USERS: Final = (
    "RepositoryServer {namespace}/{name} has no users; add a key to Secret {secrets} for each that "
    "may connect"
)
WHICH_USER: Final = (
    "RepositoryServer {namespace}/{name} has several users: choose one by --user: {users}"
)
NO_SUCH_USER: Final = "RepositoryServer {namespace}/{name} has no user {user}; it has {users}"
BAD_USER: Final = "--user {user!r} is not of the form USER@HOST"
UNAVAILABLE: Final = "clients cannot connect at the moment: {message}"
FORWARD: Final = "# First, in another terminal: {command}"
IN_CLUSTER: Final = (
    "the URL is one of the cluster: run this in a pod that spec.server.networkPolicy admits, or "
    "anywhere with --local-port"
)
WITHOUT_MARK: Final = (
    "# The value begins with a byte order mark, which the server leaves out.",
    r"KOPIA_PASSWORD=${KOPIA_PASSWORD#$(printf '\357\273\277')}",
)

_MOST_NAMED: Final = 20
_LOCAL: Final = "127.0.0.1"


@frozen
class Account:
    """A user of a server, and where its password is.

    Args:
        user: As `user@host`.
        namespace: Of the Secret with the password.
        secret: Its name.
        key: The key that has it.
        has_mark: Whether the value begins with a byte order mark.
    """

    user: str
    namespace: str
    secret: str
    key: str
    has_mark: bool = False


@frozen
class Cluster:
    """Which cluster kubectl is to ask, as it was said on the command line.

    Args:
        kubeconfig: File; empty for kubectl's own.
        context: Of that file; empty for the current one.
    """

    kubeconfig: str = ""
    context: str = ""

    def flags(self) -> list[str]:
        """Return the flags of kubectl that say so."""
        said = {"kubeconfig": self.kubeconfig, "context": self.context}
        return [f"--{name}={value}" for name, value in said.items() if value]


@frozen
class Way:
    """How a client connects.

    Args:
        account: As whom.
        url: Of the server.
        fingerprint: Of its certificate.
        service: The Service, for a forwarded port.
        local_port: Of a port on the client's machine that is forwarded to it; 0 for none.
        cluster: Which cluster kubectl asks for the password.
    """

    account: Account
    url: str
    fingerprint: str
    service: str
    local_port: int = 0
    cluster: Cluster = Cluster()


def way(obj: Object, account: Account, *, local_port: int, cluster: Cluster) -> Way:
    """Return how a client connects to a server.

    Args:
        obj: The RepositoryServer.
        account: As whom.
        local_port: As of `Way`.
        cluster: As of `Way`.

    Raises:
        PluginError: It has no server yet.
    """
    found = connection.of(obj)
    if not found.url or not found.fingerprint:
        raise PluginError(NO_SERVER.format(**_named(obj), message=_why(found)))
    service: str = obj["status"]["serverInfo"]["serviceName"]
    return Way(account, found.url, found.fingerprint, service, local_port, cluster)


def choose(obj: Object, accounts: Sequence[Account], wanted: str) -> Account:
    """Return the account to connect as.

    Args:
        obj: The RepositoryServer, for messages.
        accounts: Those there are.
        wanted: `USER@HOST`; empty for the only one.

    Raises:
        PluginError: There is none, or not exactly one fits.
    """
    if not accounts:
        secrets = ", ".join(access.secret.name for access in connection.accesses(obj))
        raise PluginError(NO_USERS.format(**_named(obj), secrets=secrets))
    fitting = [one for one in accounts if wanted in ("", one.user)]
    if not fitting:
        raise PluginError(NO_SUCH_USER.format(**_named(obj), user=wanted, users=_users(accounts)))
    # The same user in two access Secrets is one user, with the password of the first.
    if len({one.user for one in fitting}) > 1:
        raise PluginError(WHICH_USER.format(**_named(obj), users=_users(fitting)), USAGE)
    return fitting[0]


def presumed(obj: Object, wanted: str) -> list[Account]:
    """Return the accounts that a user may be, for one who may not read the Secrets.

    Args:
        obj: The RepositoryServer.
        wanted: `USER@HOST`.

    Raises:
        InvalidInput: A field of the resource cannot work.
    """
    return [
        Account(wanted, access.secret.namespace, access.secret.name, key)
        for access in connection.accesses(obj)
        if (key := connection.key_of(access, wanted))
    ]


def script(found: Way) -> list[str]:
    """Return the commands for a shell."""
    username, _, hostname = found.account.user.partition("@")
    lines = [f'export KOPIA_PASSWORD="$({shlex.join(_password(found))})"']
    if found.account.has_mark:
        # Kopia drops the white space around a password, as the server does, but not this.
        lines += WITHOUT_MARK
    url = found.url
    if found.local_port:
        forward = ["kubectl", *found.cluster.flags(), "port-forward"]
        port = found.url.rpartition(":")[2]
        forward += [f"--namespace={_namespace(found)}", f"service/{found.service}"]
        # It runs for as long as the client is connected: not a line of the script, whatever ends of
        # lines a status has.
        command = plain(shlex.join([*forward, f"{found.local_port}:{port}"]))
        lines.insert(0, FORWARD.format(command=command))
        url = f"https://{_LOCAL}:{found.local_port}"
    options = (
        f"--url={url}",
        f"--server-cert-fingerprint={found.fingerprint}",
        f"--override-username={username}",
        f"--override-hostname={hostname}",
        # Kopia would write the password beside its configuration.
        "--no-persist-credentials",
    )
    command = " \\\n    ".join(shlex.quote(option) for option in options)
    lines += f"kopia repository connect server \\\n    {command}".splitlines()
    return lines


def document(found: Way) -> dict[str, Any]:
    """Return how a client connects, for programs."""
    username, _, hostname = found.account.user.partition("@")
    return {
        "url": found.url,
        "tlsFingerprint": found.fingerprint,
        "username": username,
        "hostname": hostname,
        "passwordSecret": {
            "namespace": found.account.namespace,
            "name": found.account.secret,
            "key": found.account.key,
        },
        "script": "\n".join(script(found)),
    }


def _password(found: Way) -> list[str]:
    """Return the command that prints the password.

    A go-template: the path of a jsonpath would end at each dot of a key.
    """
    template = f'{{{{index .data "{found.account.key}" | base64decode}}}}'
    return [
        "kubectl",
        *found.cluster.flags(),
        "get",
        "secret",
        f"--namespace={found.account.namespace}",
        found.account.secret,
        f"--output=go-template={template}",
    ]


def _namespace(found: Way) -> str:
    """Return the namespace of the Service, which is that of its Secrets."""
    return found.account.namespace


def _users(accounts: Sequence[Account]) -> str:
    names = list(dict.fromkeys(one.user for one in accounts))
    more = len(names) - _MOST_NAMED
    return ", ".join([*names[:_MOST_NAMED], *([f"{more} more"] if more > 0 else [])])


def _named(obj: Mapping[str, Any]) -> dict[str, str]:
    return {word: obj["metadata"][word] for word in ("namespace", "name")}


def _why(found: Connection) -> str:
    return found.message or connection.NOT_SEEN
