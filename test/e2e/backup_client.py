"""Kopia's client in a pod of another namespace."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from attrs import frozen

from e2e.cluster import CLIENTS, Cluster
from e2e.node import parse_checksums
from e2e.server import HOST, USERNAME
from e2e.waiting import CLOCK, wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.resource import Object
    from e2e.kubectl import Ran

# Files of many sizes, an empty one and one with a space in its name, contents new in each run.
WRITE_FILES = """
mkdir -p 'source/a directory/deeper'
: >source/empty
for size in 1 1000 100000 5000000; do head -c "$size" /dev/urandom >"source/$size"; done
head -c 70000 /dev/urandom >'source/a directory/deeper/a file'
"""
CHECKSUMS = "cd {folder} && find . -type f -exec sha256sum {{}} +"

# A backup of a stream, of which a half is written only when it is told to. It goes on when who
# started it is gone.
STREAM_BYTES = 20_000_000
BACK_UP_STREAM = f"""
rm -f stream go-on exit-code
{{
  {{
    head -c {STREAM_BYTES} /dev/urandom
    until [ -e go-on ]; do sleep 0.1; done
    head -c {STREAM_BYTES} /dev/urandom
  }} | tee stream | kopia snapshot create --stdin-file=stream source --json --no-progress \\
    >output 2>complaint && echo 0 >exit-code || echo 1 >exit-code
}} </dev/null >/dev/null 2>&1 &
"""

# More than anybody makes.
KEPT_SNAPSHOTS = 1_000_000

# Longer than a refused connection takes; a packet that is dropped is not waited for.
CONNECT_SECONDS = 15

# The node's rules follow an endpoint a moment later, on a machine that is busy. Until then nobody
# listens. No test expects that, so that none waits for as long.
ROUTED_SECONDS = 30.0
NOBODY_LISTENS = "connection refused"
# A server that refuses closes the stream at once, and now and then Kopia is still writing to it.
# Then it gets the end of the stream, and not the answer (grpc-go, `ClientStream.SendMsg`).
ANSWER_LOST = "unable to initialize session: EOF"

# Until a password opens the door and until the node's rules lead to another pod, on a machine that
# is busy.
PROMPTLY_SECONDS = 30.0


@frozen
class Login:
    """As whom and where to connect.

    Attributes:
        url: Of the server.
        fingerprint: Of its certificate; empty for a client that trusts an authority.
        password: The user's.
        username: The user's name.
        host: The user's host.
    """

    url: str
    fingerprint: str
    password: str
    username: str = USERNAME
    host: str = HOST


def login(server: Object, password: str, *, username: str = USERNAME, host: str = HOST) -> Login:
    """Return how a client connects to a RepositoryServer, by what its status says."""
    info = server["status"]["serverInfo"]
    return Login(info["url"], info["tlsFingerprint"], password, username, host)


@frozen
class Client:
    """A pod with Kopia.

    Attributes:
        cluster: Where it is.
        pod: Its name.
        labels: Its labels.
    """

    cluster: Cluster
    pod: str
    labels: Mapping[str, str]

    def manifest(self) -> dict[str, Any]:
        """Return the pod."""
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.pod, "namespace": CLIENTS, "labels": dict(self.labels)},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "containers": [
                    {
                        "name": "kopia",
                        "image": self.cluster.server_image,
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["/bin/sh", "-c", "while true; do sleep 3600; done"],
                    }
                ],
            },
        }

    def connect(self, directory: str, to: Login, *, seconds: int = CONNECT_SECONDS) -> Ran:
        """Connect to a server, and again for a moment while nobody listens or the answer is lost.

        Args:
            directory: Keeps the connection.
            to: Where, and as whom.
            seconds: How long one try may take; Kopia asks for 12 s whether it is really refused.
        """
        deadline = CLOCK.monotonic() + ROUTED_SECONDS
        while True:
            ran = self._connect(directory, to, seconds)
            passes = any(words in ran.complaint for words in (NOBODY_LISTENS, ANSWER_LOST))
            if not passes or CLOCK.monotonic() > deadline:
                return ran

    def wait_until_accepted(
        self, directory: str, to: Login, *, seconds: float = PROMPTLY_SECONDS
    ) -> None:
        """Connect to a server that has just moved to another pod, or learned a password."""
        wait_for(
            f"{to.username}@{to.host} to be accepted",
            lambda: self.connect(directory, to),
            lambda ran: ran.code == 0,
            seconds=seconds,
        )

    def _connect(self, directory: str, to: Login, seconds: int) -> Ran:
        pinned = f" --server-cert-fingerprint={to.fingerprint}" if to.fingerprint else ""
        return self._kopia(
            directory,
            to.password,
            f"timeout {seconds} kopia --log-level=error repository connect server"
            f" --url={to.url}{pinned}"
            f" --override-username={to.username} --override-hostname={to.host}",
        )

    def trust(self, directory: str, authority: str) -> None:
        """Trust the certificates that an authority has signed, from now on.

        Args:
            directory: Keeps the connection.
            authority: Its certificate in PEM.
        """
        ran = self._kopia(directory, "", f"echo {shlex.quote(authority)} >ca.crt")
        assert ran.code == 0, ran

    def write_files(self, directory: str) -> dict[str, str]:
        """Write files of random contents and return their checksums."""
        ran = self._kopia(directory, "", WRITE_FILES + CHECKSUMS.format(folder="source"))
        assert ran.code == 0, ran
        return parse_checksums(ran.output)

    def back_up(self, directory: str, to: Login) -> str:
        """Back the files up, and return the id of the snapshot."""
        ran = self.attempt_to_back_up(directory, to)
        assert ran.code == 0, ran
        snapshot: str = json.loads(ran.output)["id"]
        return snapshot

    def attempt_to_back_up(self, directory: str, to: Login) -> Ran:
        """Back the files up, and return what came of it."""
        return self._kopia(
            directory, to.password, "kopia snapshot create source --json --no-progress"
        )

    def begin_to_back_up(self, directory: str, to: Login) -> RunningBackup:
        """Begin to back a stream up, and return when half of it is on its way to the server."""
        ran = self._kopia(directory, to.password, BACK_UP_STREAM)
        assert ran.code == 0, ran
        running = RunningBackup(self, directory)
        wait_for("half of the stream to be read", running.bytes_read, STREAM_BYTES.__eq__)
        assert running.is_running()
        return running

    def administer(self, directory: str, to: Login) -> Ran:
        """Ask a server what only its administrator is told."""
        return self._kopia(
            directory,
            "",
            f"export KOPIA_SERVER_PASSWORD={shlex.quote(to.password)}\n"
            f"timeout {CONNECT_SECONDS} kopia --log-level=error server status --address={to.url}"
            f" --server-username={to.username} --server-cert-fingerprint={to.fingerprint}",
        )

    def keep_all(self, directory: str, to: Login) -> None:
        """Have Kopia keep all snapshots; otherwise a backup removes all but the newest ten."""
        ran = self._kopia(
            directory,
            to.password,
            f"kopia --log-level=error policy set source --keep-latest={KEPT_SNAPSHOTS}",
        )
        assert ran.code == 0, ran

    def snapshots(self, directory: str, to: Login) -> list[str]:
        """Return the ids of the user's snapshots."""
        ran = self._kopia(directory, to.password, "kopia snapshot list --json")
        assert ran.code == 0, ran
        return [snapshot["id"] for snapshot in json.loads(ran.output)]

    def attempt_to_delete(self, directory: str, to: Login, snapshot: str) -> Ran:
        """Delete a snapshot, and return what came of it."""
        script = f"kopia --log-level=error snapshot delete {snapshot} --delete"
        return self._kopia(directory, to.password, script)

    def restore(self, directory: str, to: Login, snapshot: str) -> dict[str, str]:
        """Restore a snapshot to another place, and return the checksums of what is there."""
        ran = self.attempt_to_restore(directory, to, snapshot)
        assert ran.code == 0, ran
        return parse_checksums(ran.output)

    def attempt_to_restore(self, directory: str, to: Login, snapshot: str) -> Ran:
        """Restore a snapshot to another place, and return what came of it."""
        return self._kopia(
            directory,
            to.password,
            f"kopia --log-level=error snapshot restore {snapshot} restored --no-progress >&2\n"
            + CHECKSUMS.format(folder="restored"),
        )

    def shell(self, directory: str, script: str) -> str:
        """Run a script beside a connection, and return what it prints."""
        ran = self._kopia(directory, "", script)
        assert ran.code == 0, ran
        return ran.output

    def _kopia(self, directory: str, password: str, script: str) -> Ran:
        return self.cluster.kubectl.shell(
            CLIENTS,
            self.pod,
            f"""
mkdir -p /tmp/{directory} && cd /tmp/{directory}
export KOPIA_PASSWORD={shlex.quote(password)} KOPIA_PERSIST_CREDENTIALS_ON_CONNECT=false
export KOPIA_CONFIG_PATH=$PWD/repository.config KOPIA_CACHE_DIRECTORY=$PWD/cache
export KOPIA_LOG_DIR=$PWD/log KOPIA_CHECK_FOR_UPDATES=false
if [ -e ca.crt ]; then export SSL_CERT_FILE=$PWD/ca.crt; fi
{script}
""",
        )


@frozen
class RunningBackup:
    """A backup that ends when it is told to.

    Attributes:
        client: Makes it.
        directory: Keeps the connection.
    """

    client: Client
    directory: str

    def bytes_read(self) -> int:
        """Return how much of the stream Kopia has taken, but for what a pipe holds."""
        return int(self.client.shell(self.directory, "wc -c <stream || echo 0"))

    def is_running(self) -> bool:
        """Return whether it has not ended."""
        return not self.client.shell(self.directory, "cat exit-code || true")

    def complete(self) -> str:
        """Let the stream end, and return the id of the snapshot when the backup has."""
        self.client.shell(self.directory, "touch go-on")
        wait_for("the backup to end", lambda: not self.is_running())
        complaint = self.client.shell(self.directory, "cat complaint")
        assert self.client.shell(self.directory, "cat exit-code") == "0\n", complaint
        assert self.bytes_read() == 2 * STREAM_BYTES
        snapshot: str = json.loads(self.client.shell(self.directory, "cat output"))["id"]
        return snapshot

    def checksums(self) -> dict[str, str]:
        """Return the checksum of the stream, as a restored one has it."""
        return parse_checksums(self.client.shell(self.directory, "sha256sum ./stream"))
