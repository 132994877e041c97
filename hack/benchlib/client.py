"""What the benches know of a server's clients: where it is, and who may connect.

Clients run in the pod with the volume: it has Kopia, and a server lets its own namespace in.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchlib import objects, scene
from benchlib.milestones import watching

if TYPE_CHECKING:
    from benchlib.scene import Scene

PORT = 51515

# A shell script begins so. It reads the password; its first argument is a folder for what Kopia
# keeps of the connection, the others are those of `Server.arguments`.
BEGINNING = """\
read -r KOPIA_PASSWORD
export KOPIA_PASSWORD KOPIA_PERSIST_CREDENTIALS_ON_CONNECT=false KOPIA_CHECK_FOR_UPDATES=false
export KOPIA_CONFIG_PATH="/tmp/$1/repository.config" KOPIA_CACHE_DIRECTORY="/tmp/$1/cache"
export KOPIA_LOG_DIR="/tmp/$1/log"
service=$2 fingerprint=$3 username=$4 host=$5
"""
CONNECT = f"""\
kopia --log-level=error repository connect server --url="https://$service:{PORT}" \
  --server-cert-fingerprint="$fingerprint" --override-username="$username" \
  --override-hostname="$host" </dev/null >/dev/null 2>&1"""


@dataclass(frozen=True)
class Server:
    """What a client has to know of a server.

    Attributes:
        name: the RepositoryServer's.
        service: the name of its Service, as DNS has it.
        fingerprint: of its certificate.
        username: of its users, who differ by their hosts.
    """

    name: str
    service: str
    fingerprint: str
    username: str

    def arguments(self, folder: str, host: str) -> tuple[str, ...]:
        """Return the arguments of a script that begins with `BEGINNING`.

        Args:
            folder: for what Kopia keeps.
            host: of the user.
        """
        return folder, self.service, self.fingerprint, self.username, host


def start_server(stage: Scene) -> Server:
    """Create one server, and return it once it is Ready.

    Raises:
        ClusterError: it did not become Ready.
    """
    (wanted,) = stage.servers(1)
    stage.make_repositories([wanted])
    selector = f"{objects.BENCH_LABEL}={objects.SERVERS}"
    with watching(stage.proxy, scene.SERVERS, selector, wanted=1) as wait:
        stage.create(scene.SERVERS, [wanted])
        wait()
    name = wanted["metadata"]["name"]
    info = stage.proxy.get(f"{scene.SERVERS}/{name}")["status"]["serverInfo"]
    return Server(
        name=name,
        service=f"{info['serviceName']}.{scene.NAMESPACE}.svc",
        fingerprint=info["tlsFingerprint"],
        username=wanted["spec"]["server"]["userAccess"]["username"],
    )


def access_secret(stage: Scene) -> str:
    """Return the path of the Secret with the users and their passwords."""
    (server,) = stage.servers(1)
    name = server["spec"]["server"]["userAccess"]["userAccessSecretRef"]["name"]
    return f"{scene.SECRETS}/{name}"


def password(stage: Scene, host: str) -> str:
    """Return the password of a user.

    Raises:
        ClusterError: the API server refuses.
    """
    return base64.b64decode(stage.proxy.get(access_secret(stage))["data"][host]).decode()
