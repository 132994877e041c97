"""What a client of a Kopia server takes and returns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from attrs import field, frozen

from reconcilers.kopia.client.errors import InvalidRequest
from reconcilers.secrets.data import trimmed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

#: An id of a snapshot: of its manifest, as Kopia prints it.
SNAPSHOT_ID: Final = re.compile(r"[0-9a-f]{32}")

_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")
_ALL: Final = 100.0


class Source(Protocol):
    """A stream to read, as a BinaryIO is."""

    def read(self, size: int, /) -> bytes:
        """Return some bytes, at most so many; none at the end.

        If there is a method `read1`, that is called: it does not wait until there are so many.
        """


class Sink(Protocol):
    """A stream to write, as a BinaryIO is."""

    def write(self, content: Any, /) -> int:  # noqa: ANN401 - any buffer
        """Write some bytes, and return how many."""

    def flush(self) -> object:
        """Pass on what was written."""


def _normalised(fingerprint: str) -> str:
    return trimmed(fingerprint).replace(":", "").lower()


@frozen
class ServerConnection:
    """How to reach a Kopia server, and as whom.

    Values may come from a Secret with a line end or a byte order mark, which are none of them: the
    server takes its users' passwords without these as well.

    Args:
        url: `https://HOST:PORT`.
        username: The user, without the host.
        hostname: The host of the user.
        password: The user's password.
        fingerprint: SHA-256 of the server's certificate in hexadecimal digits, with or without
            colons. Default: none, the certificate is checked by `ca`.
        ca: PEM certificates of the authorities that may have signed the server's certificate, for
            the host of the URL. Used if there is no fingerprint, or if the server's certificate has
            another one: it may have been renewed. Default: none.

    Raises:
        InvalidRequest: A field cannot work. The message names it.
    """

    url: str = field(converter=trimmed)
    username: str = field(converter=trimmed)
    hostname: str = field(converter=trimmed)
    password: str = field(converter=trimmed, repr=False)
    fingerprint: str = field(default="", converter=_normalised)
    ca: str = ""

    def __attrs_post_init__(self) -> None:
        """Check the fields."""
        if not _has_host_and_port(self.url):
            raise InvalidRequest(f"the server's URL is {self.url!r}; give https://HOST:PORT")
        for name, value in (
            ("user name", self.username),
            ("host name", self.hostname),
            ("password", self.password),
        ):
            if not value:
                raise InvalidRequest(f"the connection has no {name}; give one")
        if not self.fingerprint and not self.ca:
            raise InvalidRequest(
                "the connection has neither a fingerprint nor an authority's certificate; give the "
                "SHA-256 fingerprint of the server's certificate"
            )
        if self.fingerprint and not _FINGERPRINT.fullmatch(self.fingerprint):
            raise InvalidRequest(
                f"the fingerprint of the server's certificate is {self.fingerprint!r}; give the 64 "
                "hexadecimal digits of its SHA-256"
            )

    @property
    def host(self) -> str:
        """The host of the URL."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port of the URL."""
        return urlsplit(self.url).port or 0

    @property
    def user(self) -> str:
        """The user as Kopia names it: `USERNAME@HOSTNAME`."""
        return f"{self.username}@{self.hostname}"


@frozen
class Limits:
    """How long the client waits, how often it tries, and how much it keeps.

    Args:
        connect_seconds: Until the server has answered. A server that is not there yet is asked
            again until then.
        answer_seconds: Until a command that shows no progress has ended: list, delete.
        stalled_seconds: Without any progress, until a command is ended. Time in which the other end
            of a stream is waited for does not count.
        clean_up_seconds: For removing what an attempt has left. A pod that is told to end has 30 s
            as a rule.
        retries: How often a whole command is tried again after the server has gone, or another
            client has changed the same thing.
        replay_bytes: Of a stream that is backed up, how much is kept to be given again. Kopia may
            fail before it reads any: by then the pipe to it has 64 KiB, or 1 MiB where a page has
            64 KiB, and 64 KiB more were read for it. Default: 4 MiB.
        cache_mb: Limit of Kopia's cache in the temporary folder, in MB. Default: 0, there is none:
            the folder goes at the end, and one run hardly reads anything twice.
    """

    connect_seconds: float = 60.0
    answer_seconds: float = 300.0
    stalled_seconds: float = 600.0
    clean_up_seconds: float = 15.0
    retries: int = 3
    replay_bytes: int = 4 << 20
    cache_mb: int = 0


@frozen
class Snapshot:
    """A snapshot as the repository has it.

    Args:
        id: Of its manifest: 32 hexadecimal digits.
        root: Object id of its root.
        source: What it is a snapshot of: `USERNAME@HOSTNAME:PATH`.
        start: When it was begun.
        end: When it was complete.
        size: Bytes of all files.
        files: Number of files.
        directories: Number of folders, with the root.
        symlinks: Number of symbolic links.
        failed: Number of files and folders that could not be read. Of a snapshot that `back_up`
            returns it is 0.
        ignored: Number of those that could not be read, and that a policy of the repository says to
            ignore. Of a snapshot that `back_up` returns it is 0.
        tags: The caller's tags.
        pins: Its pins. A snapshot with one is never removed by a retention policy.
        incomplete: Why it is not complete, in Kopia's word; empty for a complete one.
        excluded_files: Number of files that a policy of the repository or a `.kopiaignore` file
            leaves out, but for those below folders that are left out.
        excluded_directories: Number of folders that are left out, for the same reasons or by their
            CACHEDIR.TAG.
        uploaded: Bytes that were sent to the server for it, to about three digits. None for a
            snapshot that another call has made.
    """

    id: str
    root: str
    source: str
    start: datetime
    end: datetime
    size: int
    files: int
    directories: int
    symlinks: int
    failed: int
    ignored: int
    tags: Mapping[str, str]
    pins: tuple[str, ...]
    incomplete: str = ""
    excluded_files: int = 0
    excluded_directories: int = 0
    uploaded: int | None = None


@frozen
class Progress:
    """How far a command is. Sizes are Kopia's, to about three digits.

    Args:
        files: Files that are done; of a restore or a verification folders and links as well.
        size: Their bytes.
        hashed: Bytes that were read from the disk.
        uploaded: Bytes that were sent to the server.
        total_files: Files that there will be, as far as it is known. Default: unknown.
        total_size: Bytes that there will be, as far as it is known. Default: unknown.
        seconds: Since the command was begun.
        rate: Bytes a second since then.
    """

    files: int = 0
    size: int = 0
    hashed: int = 0
    uploaded: int = 0
    total_files: int | None = None
    total_size: int | None = None
    seconds: float = 0.0
    rate: float = 0.0

    @property
    def percent(self) -> float | None:
        """The share of the bytes that is done, from 0 to 100; None while the sum is unknown."""
        if not self.total_size:
            return None
        return min(_ALL, self.size * _ALL / self.total_size)

    @property
    def remaining_seconds(self) -> float | None:
        """Seconds until the end at the rate so far; None while that is unknown."""
        if not self.total_size or not self.rate:
            return None
        return max(0.0, self.total_size - self.size) / self.rate


@frozen
class Restored:
    """What a restore has written.

    Args:
        files: Number of files.
        directories: Number of folders, with the target.
        symlinks: Number of symbolic links.
        size: Bytes of the files, to about three digits.
    """

    files: int
    directories: int
    symlinks: int
    size: int


@frozen
class Verification:
    """What a verification has read.

    Args:
        objects: Files, folders and links whose contents the repository says to have.
        size: Bytes of the files among them.
        read_files: Files that were read as a whole, and were as their hashes say.
        read_size: Their bytes.
    """

    objects: int
    size: int
    read_files: int
    read_size: int


@frozen
class Ended:
    """What came of a command of Kopia.

    Args:
        code: Its exit code; negative for the signal that killed it.
        output: What it printed on standard output, unless that was passed on.
        lines: The end of its log, without lines of progress.
        progress: The last that it showed.
        passed_on: Bytes of standard output that were passed on.
    """

    code: int
    output: bytes
    lines: tuple[str, ...]
    progress: Progress
    passed_on: int = 0


def _has_host_and_port(url: str) -> bool:
    """Return whether a URL is `https://HOST:PORT`, whatever follows."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and bool(parts.hostname) and parts.port is not None
    except ValueError:
        # A bracket without its other one, or a port that is none.
        return False
