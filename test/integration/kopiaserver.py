"""A real Kopia server as a process of this machine, and what a client of it may run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from attrs import define, field

from clusterlib import builds, components
from clusterlib.progress import Progress
from e2e.waiting import wait_for
from fakes import certificates
from fakes.ports import port_of, reserved
from reconcilers.kopia import htpasswd
from reconcilers.kopia.client.model import Limits, ServerConnection
from reconcilers.kopia.client.session import KopiaClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

USER, HOST, PASSWORD = "alice", "h1", "alice's password"
OTHER_USER, OTHER_HOST, OTHER_PASSWORD = "bob", "h2", "bob's password"
REPOSITORY_PASSWORD: Final = "of the repository"

#: What it runs ends when who started it does, however that ends.
ENDS_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL")
START_SECONDS: Final = 30.0

SETPRIV, MOUNT, UMOUNT = "/usr/bin/setpriv", "/usr/bin/mount", "/usr/bin/umount"

#: What root may and others may not, of what concerns files.
WITHOUT_POWERS: Final = "-chown,-dac_override,-dac_read_search,-fowner"


def kopia() -> Path:
    """Return Kopia's program, built if it was not yet."""
    known = components.load()
    builds.build_missing(known, ["kopia"], Progress(1))
    return known.program("kopia")


@define(eq=False)
class KopiaServer:
    """A server with a repository of its own. A context manager: it runs inside of `with`.

    Attributes:
        folder: Of its files.
        executable: Kopia.
        policies: Flags of `kopia policy set`, by the path of a source of the user.
    """

    folder: Path
    executable: Path
    policies: Mapping[str, tuple[str, ...]] = field(factory=dict)
    _kept: socket.socket = field(init=False)
    _certificate: Path = field(init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _starter: ThreadPoolExecutor = field(factory=lambda: ThreadPoolExecutor(1), init=False)

    def __enter__(self) -> Self:
        self._kept = reserved()
        self._certificate = certificates.self_signed(self.folder, "localhost")
        hashes = htpasswd.hashes(
            {f"{USER}@{HOST}": PASSWORD, f"{OTHER_USER}@{OTHER_HOST}": OTHER_PASSWORD}
        )
        (self.folder / "htpasswd").write_text(htpasswd.render(hashes))
        self.command(
            *("repository", "create", "filesystem", f"--path={self.repository}"),
            *("--override-username=admin", "--override-hostname=store"),
            f"--cache-directory={self.folder / 'cache'}",
        )
        for path, flags in self.policies.items():
            self.command("policy", "set", f"{USER}@{HOST}:{path}", *flags)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._starter.shutdown()
        self._kept.close()

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    @property
    def port(self) -> int:
        return port_of(self._kept)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and return when it answers."""
        self.begin_to_start()
        self.wait_until_it_answers()

    def begin_to_start(self) -> None:
        """Start it, from whatever thread: it ends with the one that has started it."""
        self._starter.submit(self._begin).result()

    def _begin(self) -> None:
        log = (self.folder / "server.log").open("ab")
        with log:
            self._process = subprocess.Popen(  # noqa: S603 - a program of this project
                [
                    *(*ENDS_WITH_US, self.executable, "--disable-file-logging", "--log-level=info"),
                    *("--no-auto-maintenance", "server", "start", "--no-ui"),
                    f"--address=https://127.0.0.1:{self.port}",
                    f"--tls-cert-file={self._certificate}",
                    f"--tls-key-file={self._certificate}",
                    f"--htpasswd-file={self.folder / 'htpasswd'}",
                    "--server-control-username=control",
                ],
                env=self._environment(KOPIA_SERVER_CONTROL_PASSWORD="of control"),
                stdout=log,
                stderr=log,
            )

    def wait_until_it_answers(self) -> None:
        wait_for("the server to answer", self._answers, seconds=START_SECONDS)

    def kill(self, with_: signal.Signals = signal.SIGKILL) -> None:
        """End it, and return when it is gone."""
        assert self._process is not None
        self._process.send_signal(with_)
        self._process.wait(START_SECONDS)

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def pause(self) -> None:
        """Let it hang, and return when it does: its threads stand still one after the other."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self) -> None:
        if self.is_running():
            os.kill(self.pid, signal.SIGCONT)

    def forget_contents(self) -> None:
        """Restart it without what it has read before."""
        self.kill()
        shutil.rmtree(self.folder / "cache")
        self.start()

    def command(self, *arguments: str) -> str:
        """Run Kopia on the repository itself, and return what it printed."""
        return subprocess.run(  # noqa: S603 - a program of this project
            [self.executable, "--disable-file-logging", "--no-auto-maintenance", *arguments],
            env=self._environment(),
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def snapshots(self, source: str) -> list[dict[str, Any]]:
        """Return all that the repository has of a source of the user, complete or not."""
        printed = self.command("snapshot", "list", "--all", "--json", "--incomplete")
        found: list[dict[str, Any]] = json.loads(printed)
        return [one for one in found if one["source"]["path"] == source]

    def connection(self, **changes: str) -> ServerConnection:
        """Return how a client reaches it; by its fingerprint unless told otherwise."""
        usual = {
            "url": f"https://localhost:{self.port}",
            "username": USER,
            "hostname": HOST,
            "password": PASSWORD,
            "fingerprint": self.fingerprint,
        }
        return ServerConnection(**{**usual, **changes})

    def client(
        self,
        connection: ServerConnection | None = None,
        *,
        limits: Limits | None = None,
        executable: Path | None = None,
        **more: Any,
    ) -> KopiaClient:
        """Return a client of it, that waits less than others.

        Args:
            connection: Default: that of the user.
            limits: Default: short ones.
            executable: Stands for Kopia.
            more: For `KopiaClient`.
        """
        short = Limits(connect_seconds=20.0, answer_seconds=30.0, stalled_seconds=30.0)
        return KopiaClient(
            connection or self.connection(),
            limits=limits or short,
            executable=str(executable or self.executable),
            **more,
        )

    @property
    def certificate(self) -> str:
        """Its certificate, which signs itself."""
        text = self._certificate.read_text()
        return text[: text.index("-----BEGIN PRIVATE KEY")]

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.certificate)).hexdigest()

    def _environment(self, **more: str) -> dict[str, str]:
        return {
            "HOME": str(self.folder),
            "PATH": os.environ["PATH"],
            "KOPIA_CONFIG_PATH": str(self.folder / "repository.config"),
            "KOPIA_PASSWORD": REPOSITORY_PASSWORD,
            "KOPIA_PERSIST_CREDENTIALS_ON_CONNECT": "false",
            "KOPIA_CHECK_FOR_UPDATES": "false",
            **more,
        }

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "server.log").read_text()
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            with (
                socket.create_connection(("127.0.0.1", self.port), 5.0) as plain,
                context.wrap_socket(plain),
            ):
                return True
        except OSError:
            return False


def script(folder: Path, name: str, text: str) -> Path:
    """Write an executable script that stands for Kopia, and return its path.

    Args:
        folder: Where to.
        name: Of the file.
        text: What the shell runs; `$@` is what Kopia is told.
    """
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def without_powers(folder: Path, executable: Path) -> Path:
    """Return what runs Kopia as a user who may not do all that root may."""
    return script(
        folder,
        "without-powers",
        f'exec {SETPRIV} --bounding-set={WITHOUT_POWERS} {executable} "$@"',
    )


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[None]:
    """Have a folder be a disk of its own, as root."""
    subprocess.run(  # noqa: S603 - as root, in a test
        [MOUNT, "-t", "tmpfs", "-o", f"size={megabytes}m", "test", folder], check=True
    )
    try:
        yield
    finally:
        subprocess.run([UMOUNT, folder], check=True)  # noqa: S603 - as above


def enlarge(folder: Path, *, megabytes: int) -> None:
    """Give such a disk another size."""
    subprocess.run(  # noqa: S603 - as above
        [MOUNT, "-o", f"remount,size={megabytes}m", folder], check=True
    )
