"""How long until a server accepts what its access Secret says, after the Secret was changed.

A client in the cluster tries to connect with the new password, over and over, from before the
change until it is accepted.
"""

from __future__ import annotations

import contextlib
import secrets
import subprocess
from typing import TYPE_CHECKING, Any

from benchlib import client, objects
from benchlib.figures import Spread
from clusterlib import waiting
from clusterlib.errors import ClusterError
from clusterlib.progress import Progress

if TYPE_CHECKING:
    from benchlib.client import Server
    from benchlib.scene import Scene

ROUNDS = 10
MANY_USERS = 500
PASSWORD_BYTES = 24
ACCEPT_TIMEOUT_SECONDS = 120
# More than this is not wanted, at the median and at worst.
LIMIT_SECONDS, WORST_SECONDS = 1.0, 3.0

REFUSED = "refused"
NOT_ACCEPTED = "the server did not accept the new password within {seconds} s"
CLIENT_FAILED = "the client ended with code {code}, having said {said!r}"

# Says when it has been refused: from then on only the change can be what it waits for.
CLIENT = f"""\
{client.BEGINNING}
connect() {{
  {client.CONNECT}
}}
if connect; then echo accepted before the change; exit 1; fi
echo refused
until connect; do :; done
"""
FOLDER = "rotate"


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
        server = client.start_server(stage)
    secret = client.access_secret(stage)
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
    print(f" (less than {LIMIT_SECONDS:.0f} is wanted)")
    print(f"  one password, worst of {ROUNDS}: {spread.last:.2f}", end="")
    print(f" (less than {WORST_SECONDS:.0f} is wanted)")
    each = 1000 * many / MANY_USERS
    print(f"  {MANY_USERS} users at once: {many:.2f}, {each:.1f} ms a user")
    return {
        "bench": "rotate",
        "users": users,
        "seconds": spread.rounded(),
        "within_limits": spread.median < LIMIT_SECONDS and spread.last < WORST_SECONDS,
        "many_users": MANY_USERS,
        "many_users_seconds": round(many, 2),
        "milliseconds_per_user": round(each, 2),
    }


def _change(stage: Scene, server: Server, secret: str, passwords: dict[str, str]) -> float:
    """Change passwords, and return the seconds until the last of them is accepted."""
    host = list(passwords)[-1]
    arguments = server.arguments(FOLDER, host)
    with stage.start(CLIENT, *arguments) as running, contextlib.ExitStack() as on_failure:
        on_failure.callback(running.kill)
        if running.stdin is None or running.stdout is None:
            raise AssertionError
        running.stdin.write(f"{passwords[host]}\n")
        running.stdin.flush()
        said = running.stdout.readline().strip()
        if said != REFUSED:
            raise ClusterError(CLIENT_FAILED.format(code=running.wait(), said=said))
        started = waiting.seconds()
        stage.proxy.merge(secret, {"stringData": passwords})
        try:
            code = running.wait(ACCEPT_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            raise ClusterError(NOT_ACCEPTED.format(seconds=ACCEPT_TIMEOUT_SECONDS)) from None
        taken = waiting.seconds() - started
        on_failure.pop_all()
    if code:
        raise ClusterError(CLIENT_FAILED.format(code=code, said=said))
    return taken


def _password() -> str:
    return secrets.token_urlsafe(PASSWORD_BYTES)
