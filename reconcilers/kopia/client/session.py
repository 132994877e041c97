"""The client of a Kopia server."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Self

from controller.clock import SystemClock
from reconcilers.kopia import cli
from reconcilers.kopia.client.model import Limits, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from controller.clock import Clock
    from controller.stop import Stop
    from reconcilers.kopia.client.model import Progress, Restored, ServerConnection, Verification


class KopiaClient:
    """Backs up to, and restores from, the repository behind a Kopia server. A context manager.

    It keeps Kopia's configuration in a private temporary folder, which is there inside of `with`
    only. The password is in the environment of Kopia's processes, and nowhere else. Methods may be
    called from several threads at once.

    All methods raise `ClientFailed`, with a `Kind` and a message that says what to do.

    Args:
        connection: The server and the user.
        limits: Times, tries and sizes. Default: those of `Limits`.
        stop: Set it to end what runs: Kopia is killed, what it has left is removed, and the method
            raises with `Kind.CANCELLED`. Default: nothing ends it.
        reconnect: Called before each retry; returns the connection of then, since a server that
            went may come back with another certificate. Default: `connection`.
        clock: The time. Default: the system's.
        executable: Kopia. Default: where the image has it.
        directory: Where to make the temporary folder. Default: where the system has such folders.
    """

    def __init__(
        self,
        connection: ServerConnection,
        *,
        limits: Limits | None = None,
        stop: Stop | None = None,
        reconnect: Callable[[], ServerConnection] | None = None,
        clock: Clock | None = None,
        executable: str = cli.EXECUTABLE,
        directory: Path | None = None,
    ) -> None:
        self._connection = connection
        self._limits = limits or Limits()
        self._stop = stop
        self._reconnect = reconnect
        self._clock = clock or SystemClock()
        self._executable = executable
        self._directory = directory

    def __enter__(self) -> Self:
        raise NotImplementedError

    def __exit__(self, *_: object) -> None:
        raise NotImplementedError

    def back_up(
        self,
        path: str | Path,
        *,
        source: str = "",
        tags: Mapping[str, str] | None = None,
        force_hash: bool = False,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> Snapshot:
        """Back up a folder or a file, and return its snapshot, complete and pinned.

        A file or folder that cannot be read fails it, and nothing that looks complete is left. What
        changes while it is read is kept as it was read.

        Args:
            path: Folder or file.
            source: Path that stands for it in the repository, beginning with `/`. Kopia takes a
                file from the last snapshot of the same source if name, size, time, mode and owner
                are the same: two folders must never have the same source. Default: `path`.
            tags: Names and values. A name has no colon.
            force_hash: Whether to read every file even if it looks the same as before.
            on_progress: Called about three times a second on a thread of the client. It must be
                fast.
        """
        raise NotImplementedError

    def back_up_stream(
        self,
        content: BinaryIO,
        *,
        directory: str,
        name: str,
        source: str = "",
        tags: Mapping[str, str] | None = None,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> Snapshot:
        """Back up a stream as one file of one folder, and return the snapshot, complete and pinned.

        The shape is kando's: either can restore what the other has backed up. A stream cannot be
        read again: if the server goes, the backup fails.

        Args:
            content: Read until its end. If reading raises an OSError or `ProducerFailed`, Kopia is
                killed before it takes the stream for complete.
            directory: Path of the folder in the repository, beginning with `/`. It exists nowhere.
            name: Of the file in it.
            source: As of `back_up`. Default: `directory`.
            tags: As of `back_up`.
            on_progress: As of `back_up`.
        """
        raise NotImplementedError

    def restore(
        self,
        snapshot: str,
        target: str | Path,
        *,
        path: str = "",
        sparse: bool = False,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> Restored:
        """Restore the content of a snapshot, or of a folder or file in it, to a path.

        What is at the target is overwritten where the snapshot has something of the same name, and
        is kept otherwise. Owners, modes and times are restored, or it fails: as root, or where all
        belongs to the user of this process. If it fails, part of it is there; another restore to
        the same target completes it.

        Args:
            snapshot: Id of the snapshot, or object id of a folder or file in the repository.
            target: Folder or file to write. Folders on the way are made.
            path: What to restore of the snapshot, relative to its root. Default: all.
            sparse: Whether to leave holes in files in place of zeros.
            on_progress: As of `back_up`.
        """
        raise NotImplementedError

    def restore_stream(
        self,
        snapshot: str,
        name: str,
        to: BinaryIO,
        *,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> int:
        """Write a file of a snapshot to a stream, and return the number of bytes.

        Args:
            snapshot: Id of the snapshot.
            name: Of the file, relative to the snapshot's root.
            to: Written to, and flushed at the end. It is not closed.
            on_progress: As of `back_up`.
        """
        raise NotImplementedError

    def snapshot(self, snapshot: str) -> Snapshot:
        """Return a snapshot by its id.

        Args:
            snapshot: Its id.
        """
        raise NotImplementedError

    def snapshots(
        self, *, source: str = "", tags: Mapping[str, str] | None = None
    ) -> list[Snapshot]:
        """Return the complete snapshots of the user that the client connects as, the oldest first.

        Args:
            source: Of this source only, as of `back_up`. Default: of all.
            tags: Only those that have all of these. Default: any.
        """
        raise NotImplementedError

    def delete(self, snapshots: Iterable[str]) -> list[str]:
        """Delete snapshots, pinned or not, and return the ids of those that were there.

        One that is gone is no failure.

        Args:
            snapshots: Their ids. An object id is refused: Kopia would delete all snapshots that
                have it for a root.
        """
        raise NotImplementedError

    def verify(
        self,
        snapshot: str,
        *,
        share: float = 1.0,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> Verification:
        """Read a snapshot back, and return how much was read.

        It proves that the repository knows the contents of every file and folder, and that those
        of the files that were read can be read, decrypted and hash to their names. It does not
        prove that they are what was on the disk.

        Args:
            snapshot: Its id.
            share: Which share of the files is read, from 0 to 1; which ones is left to chance.
            on_progress: As of `back_up`.
        """
        raise NotImplementedError
