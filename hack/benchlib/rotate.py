"""How long until a server accepts what its access Secret says, after the Secret was changed.

A client in the cluster tries to connect with the new password, over and over, from before the
change until it is accepted.
"""

from __future__ import annotations

import contextlib
import secrets
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchlib import objects, scene
from benchlib.figures import Spread
from benchlib.milestones import watching
from clusterlib import waiting
from clusterlib.errors import ClusterError
from clusterlib.progress import Progress

if TYPE_CHECKING:
    from benchlib.scene import Scene

ROUNDS = 10
MANY_USERS = 500
PASSWORD_BYTES = 24
ACCEPT_TIMEOUT_SECONDS = 120
# More than this at the median is not wanted.
LIMIT_SECONDS = 3.0

REFUSED = "refused"
NOT_ACCEPTED = "the server did not accept the new password within {seconds} s"
CLIENT_FAILED = "the client ended with code {code}, having said {said!r}"

# Says when it has been refused: from then on only the change can be what it waits for.
CONNECT = """\
read -r KOPIA_PASSWORD
export KOPIA_PASSWORD KOPIA_CONFIG_PATH=/tmp/rotate/repository.config
export KOPIA_CACHE_DIRECTORY=/tmp/rotate/cache KOPIA_LOG_DIR=/tmp/rotate/log
connect() {
  kopia --log-level=error repository connect server --url="$1" --server-cert-fingerprint="$2" \
    --override-username="$3" --override-hostname="$4" >/dev/null 2>&1
}
if connect "$@"; then echo accepted before the change; exit 1; fi
echo refused
until connect "$@"; do :; done
"""


@dataclass(frozen=True)
class Server:
    """What a client has to know of it.

    Attributes:
        url: where it is.
        fingerprint: of its certificate.
        username: of its users, who differ by their hosts.
    """

    url: str
    fingerprint: str
    username: str


def measure(stage: Scene, *, users: int) -> dict[str, Any]:
    """Measure, and print what was found.

    Args:
        stage: where; its servers have so many users.
        users: how many.

    Returns:
        The figures for JSON.

    Raises:
        ClusterError: the server did not become Ready, or did not accept a password in time.
    """
    progress = Progress(3)
    with progress.step(f"waiting for a RepositoryServer with {users} users"):
        server = _start(stage)
    secret = f"{scene.SECRETS}/{_access_secret(stage)}"
    with progress.step(f"changing a password {ROUNDS} times"):
        seconds = [
            _change(stage, server, secret, {objects.user_key(number % users): _password()})
            for number in range(ROUNDS)
        ]
    with progress.step(f"giving {MANY_USERS} users new passwords at once"):
        changed = {objects.user_key(number): _password() for number in range(MANY_USERS)}
        many = _change(stage, server, secret, changed)
    stage.clear()
    return report(Spread.of(seconds), many, users)


def report(spread: Spread, many: float, users: int) -> dict[str, Any]:
    """Print the figures, and return them for JSON."""
    print(f"\nSeconds from a change of the access Secret until it is accepted, {users} users:\n")
    print(f"  one password, median of {ROUNDS}: {spread.median:.2f}", end="")
    print(f" (at most {LIMIT_SECONDS:.0f} is wanted)")
    print(f"  one password, worst of {ROUNDS}: {spread.last:.2f}")
    each = 1000 * many / MANY_USERS
    print(f"  {MANY_USERS} users at once: {many:.2f}, {each:.1f} ms a user")
    return {
        "bench": "rotate",
        "users": users,
        "seconds": spread.rounded(),
        "many_users": MANY_USERS,
        "many_users_seconds": round(many, 2),
        "milliseconds_per_user": round(each, 2),
    }


def _start(stage: Scene) -> Server:
    (wanted,) = stage.servers(1)
    stage.make_repositories([wanted])
    selector = f"{objects.BENCH_LABEL}={objects.SERVERS}"
    with watching(stage.proxy, scene.SERVERS, selector, wanted=1) as wait:
        stage.create(scene.SERVERS, [wanted])
        wait()
    info = stage.proxy.get(f"{scene.SERVERS}/{wanted['metadata']['name']}")["status"]["serverInfo"]
    return Server(
        url=f"https://{info['serviceName']}.{scene.NAMESPACE}.svc:51515",
        fingerprint=info["tlsFingerprint"],
        username=wanted["spec"]["server"]["userAccess"]["username"],
    )


def _access_secret(stage: Scene) -> str:
    (server,) = stage.servers(1)
    name: str = server["spec"]["server"]["userAccess"]["userAccessSecretRef"]["name"]
    return name


def _change(stage: Scene, server: Server, secret: str, passwords: dict[str, str]) -> float:
    """Change passwords, and return the seconds until the last of them is accepted."""
    host = list(passwords)[-1]
    arguments = (server.url, server.fingerprint, server.username, host)
    with stage.start(CONNECT, *arguments) as client, contextlib.ExitStack() as on_failure:
        on_failure.callback(client.kill)
        if client.stdin is None or client.stdout is None:
            raise AssertionError
        client.stdin.write(f"{passwords[host]}\n")
        client.stdin.flush()
        said = client.stdout.readline().strip()
        if said != REFUSED:
            raise ClusterError(CLIENT_FAILED.format(code=client.wait(), said=said))
        started = waiting.seconds()
        stage.proxy.merge(secret, {"stringData": passwords})
        try:
            code = client.wait(ACCEPT_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            raise ClusterError(NOT_ACCEPTED.format(seconds=ACCEPT_TIMEOUT_SECONDS)) from None
        taken = waiting.seconds() - started
        on_failure.pop_all()
    if code:
        raise ClusterError(CLIENT_FAILED.format(code=code, said=said))
    return taken


def _password() -> str:
    return secrets.token_urlsafe(PASSWORD_BYTES)
