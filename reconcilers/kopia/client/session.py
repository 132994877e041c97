"""The client of a Kopia server."""

from __future__ import annotations

import functools
import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from attrs import define, field

from controller.clock import SystemClock
from reconcilers.kopia import cli
from reconcilers.kopia.client import backup, child, commands, failures, names, output
from reconcilers.kopia.client.attempts import listed
from reconcilers.kopia.client.errors import ClientFailed, InvalidRequest, Kind
from reconcilers.kopia.client.model import Limits, Restored, Snapshot
from reconcilers.kopia.client.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from controller.clock import Clock
    from controller.stop import Stop
    from reconcilers.kopia.client.model import (
        Ended,
        Progress,
        ServerConnection,
        Sink,
        Source,
        Verification,
    )

INCOMPLETE: Final = "snapshot {id} is not complete ({reason}); give the id of another one"
FEWER: Final = (
    "{found} files of snapshot {id} were restored to {target}, but it should have {expected}; it "
    "may have been made of names that are not UTF-8; look at what is there, and at other snapshots"
)
SHORT: Final = (
    "{name} of snapshot {id} has {expected} bytes, but {found} came: what was written is not "
    "complete; try again"
)

PARTLY_WRITTEN: Final = "a part of the stream was written"

# Kopia logs it once a restore is over (cli/command_restore.go).
_RESTORED: Final = re.compile(
    r"Restored (?P<files>\d+) files, (?P<directories>\d+) directories and (?P<symlinks>\d+) "
    r"symbolic links"
)
_OBJECT_ID: Final = re.compile(r"k[0-9a-f]{32}")
_ALL: Final = 100.0


class KopiaClient:
    """Backs up to, and restores from, the repository behind a Kopia server. A context manager.

    It keeps Kopia's configuration in a private temporary folder, which is there inside of `with`
    only. The password is in the environment of Kopia's processes, and nowhere else. Methods may be
    called from several threads at once.

    All methods raise `ClientFailed`, with a `Kind` and a message that says what to do. A command
    whose server goes away is tried again as a whole, `Limits.retries` times.

    Args:
        connection: The server and the user.
        limits: Times, tries and sizes. Default: those of `Limits`.
        stop: Set it to end what runs: Kopia is killed, what it has left is removed, and the method
            raises with `Kind.CANCELLED`. Default: nothing ends it.
        reconnect: Called before each retry; returns the connection of then, since a server that
            went may come back with another certificate. Default: `connection`.
        on_retry: Called with the failure before each retry. Default: nobody is told.
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
        on_retry: Callable[[ClientFailed], object] | None = None,
        clock: Clock | None = None,
        executable: str = cli.EXECUTABLE,
        directory: Path | None = None,
    ) -> None:
        self._runner = Runner(
            connection,
            limits or Limits(),
            stop=stop,
            reconnect=reconnect,
            on_retry=on_retry,
            clock=clock or SystemClock(),
            executable=executable,
            directory=directory,
        )

    def __enter__(self) -> Self:
        """Make the temporary folder."""
        self._runner.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the temporary folder."""
        self._runner.__exit__()

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
        changes while it is read is kept as it was read; what goes before it is read is left out.
        Sockets, pipes and devices are left out. Hard links become files of their own, and extended
        attributes are not kept: Kopia has neither.

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
        absolute = _absolute(path)
        of = self._runner.source(source or absolute)
        tags = commands.checked_tags(tags or {})
        names.check(absolute, self._runner.stop)

        def arguments(attempt: str) -> list[str]:
            return commands.create(
                absolute, source=of, tags=tags, attempt=attempt, force_hash=force_hash
            )

        streams = child.Streams(on_progress=on_progress)
        return backup.make(self._runner, arguments, streams, what=absolute, source=of)

    def back_up_stream(
        self,
        content: Source,
        *,
        directory: str,
        name: str,
        source: str = "",
        tags: Mapping[str, str] | None = None,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> Snapshot:
        """Back up a stream as one file of one folder, and return the snapshot, complete and pinned.

        The shape is kando's: either can restore what the other has backed up. A stream cannot be
        read twice. Its beginning is kept, and the backup is tried again as long as no more than
        that was read, `Limits.replay_bytes`.

        Args:
            content: Read until its end. If reading raises an OSError or `ProducerFailed`, Kopia is
                killed before it takes the stream for complete.
            directory: Path of the folder in the repository, beginning with `/`. It exists nowhere.
            name: Of the file in it.
            source: As of `back_up`. Default: `directory`.
            tags: As of `back_up`.
            on_progress: As of `back_up`.
        """
        if not directory.startswith("/"):
            raise InvalidRequest(f"the folder of a stream is {directory!r}; begin it with /")
        if not name or "/" in name:
            raise InvalidRequest(f"the file of a stream is {name!r}; give a name without /")
        of = self._runner.source(source or directory)
        tags = commands.checked_tags(tags or {})

        def arguments(attempt: str) -> list[str]:
            return commands.create_from_stdin(
                directory, name, source=of, tags=tags, attempt=attempt
            )

        streams = child.Streams(stdin=content, on_progress=on_progress)
        what = f"the stream {name}"
        return backup.make(self._runner, arguments, streams, what=what, source=of)

    def restore(
        self,
        snapshot: str | Snapshot,
        target: str | Path,
        *,
        path: str = "",
        sparse: bool = False,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> Restored:
        """Restore the content of a snapshot, or of a folder or file in it, to a path.

        What is at the target is overwritten where the snapshot has something of the same name, and
        is kept otherwise, as restic did. A symbolic link at the target that stands where the
        snapshot has a folder or a file is followed, unless it is the last part of a path that the
        snapshot has as a link as well. Owners, modes and times are restored, or it fails: as root,
        or where all belongs to the user of this process. If it fails, part of it is there; another
        restore to the same target completes it.

        Args:
            snapshot: The snapshot, where it was asked for already; else its id, or the object id of
                a folder in the repository.
            target: Folder or file to write. Folders on the way are made.
            path: What to restore of the snapshot, relative to its root. Default: all.
            sparse: Whether to leave holes in files in place of zeros.
            on_progress: As of `back_up`.
        """
        absolute = _absolute(target)
        inner = _relative(path)
        id_ = _id_of(snapshot)
        found = None if _OBJECT_ID.fullmatch(id_) else self._complete(snapshot)
        of = f"{id_}/{inner}" if inner else id_
        setting = self._runner.setting(failures.RESTORE, f"snapshot {of}", target=absolute)
        try:
            Path(absolute).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise failures.of_target(error, setting) from error
        arguments = commands.restore(of, absolute, sparse=sparse)
        streams = child.Streams(on_progress=on_progress)
        ended = self._runner.retried(lambda: self._runner.checked(arguments, setting, streams))
        restored = _restored(ended)
        if found is not None and not inner and restored.files != found.files:
            counts = {"found": restored.files, "expected": found.files}
            message = FEWER.format(id=id_, target=absolute, **counts)
            raise ClientFailed(Kind.DAMAGED, message)
        return restored

    def restore_stream(
        self,
        snapshot: str,
        name: str,
        to: Sink,
        *,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> int:
        """Write a file of a snapshot to a stream, and return the number of bytes.

        It is tried again only as long as nothing was written.

        Args:
            snapshot: Id of the snapshot.
            name: Of the file, relative to the snapshot's root.
            to: Written to, and flushed at the end. It is not closed.
            on_progress: As of `back_up`.
        """
        found = self._complete(snapshot)
        inner = _relative(name)
        if not inner:
            raise InvalidRequest("no file of the snapshot is named; give its name")
        setting = self._runner.setting(failures.READ, f"{inner} of snapshot {snapshot}")
        arguments = commands.show(f"{found.root}/{inner}")
        counted = _Counted(to)
        streams = child.Streams(stdout=counted, on_progress=on_progress)
        ended = self._runner.retried(
            lambda: self._runner.checked(arguments, setting, streams),
            unless=lambda: PARTLY_WRITTEN if counted.written else "",
        )
        # A snapshot of one file, which a stream's is, says how long it is.
        if found.files == 1 and ended.passed_on != found.size:
            message = SHORT.format(
                name=inner, id=snapshot, expected=found.size, found=ended.passed_on
            )
            raise ClientFailed(Kind.DAMAGED, message)
        try:
            to.flush()
        except (OSError, ValueError) as error:
            raise child.consumer_gone(error) from error
        return ended.passed_on

    def snapshot(self, snapshot: str) -> Snapshot:
        """Return a snapshot by its id, complete or not.

        Args:
            snapshot: Its id.
        """
        arguments = commands.show_manifest(snapshot)
        setting = self._runner.setting(failures.READ, f"snapshot {snapshot}")
        ended = self._runner.retried(lambda: self._runner.checked(arguments, setting))
        return output.manifest(ended.output, snapshot)

    def snapshots(
        self, *, source: str = "", tags: Mapping[str, str] | None = None
    ) -> list[Snapshot]:
        """Return the complete snapshots of the user that the client connects as, the oldest first.

        Args:
            source: Of this source only, as of `back_up`. Default: of all.
            tags: Only those that have all of these. Default: any.
        """
        of = self._runner.source(source) if source else ""
        arguments = commands.list_snapshots(of, commands.checked_tags(tags or {}))
        runner = self._runner
        found = runner.retried(lambda: listed(runner, arguments, runner.stop))
        user = f"{runner.connection.user}:"
        # Kopia lists those of all folders above as well.
        mine = [one for one in found if (one.source == of if of else one.source.startswith(user))]
        complete = [one for one in mine if not one.incomplete]
        return sorted(complete, key=lambda one: (one.start, one.id))

    def delete(self, snapshots: Iterable[str]) -> list[str]:
        """Delete snapshots, pinned or not, and return the ids of those that were there.

        One that is gone is no failure.

        Args:
            snapshots: Their ids. An object id is refused: Kopia would delete all snapshots that
                have it for a root.
        """
        ids = list(dict.fromkeys(commands.snapshot_id(id_) for id_ in snapshots))
        there = [id_ for id_ in ids if self._exists(id_)]
        for id_ in there:
            self._runner.retried(functools.partial(self._delete, id_))
        return there

    def verify(
        self,
        snapshot: str | Snapshot,
        *,
        share: float = 1.0,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> Verification:
        """Read a snapshot back, and return how much was read.

        It proves that the repository knows the contents of every file and folder, and that those
        of the files that were read can be read, decrypted and hash to their names. It does not
        prove that they are what was on the disk.

        Args:
            snapshot: The snapshot, where it was asked for already; else its id.
            share: Which share of the files is read, from 0 to 1; which ones is left to chance.
            on_progress: As of `back_up`.
        """
        if not (math.isfinite(share) and 0.0 <= share <= 1.0):
            raise InvalidRequest(f"the share to verify is {share}; give a number from 0 to 1")
        id_ = self._complete(snapshot).id
        arguments = commands.verify(id_, share * _ALL)
        setting = self._runner.setting(failures.READ, f"snapshot {id_}")
        streams = child.Streams(on_progress=on_progress)
        ended = self._runner.retried(lambda: self._runner.checked(arguments, setting, streams))
        found, _ = output.verification(ended.output)
        return found

    def _complete(self, snapshot: str | Snapshot) -> Snapshot:
        """Return a snapshot, asked for by its id if only that is known.

        Raises:
            ClientFailed: There is none, or it is not complete.
        """
        found = snapshot if isinstance(snapshot, Snapshot) else self.snapshot(snapshot)
        if found.incomplete:
            message = INCOMPLETE.format(id=found.id, reason=found.incomplete)
            raise ClientFailed(Kind.NO_SUCH_SNAPSHOT, message)
        return found

    def _exists(self, snapshot: str) -> bool:
        try:
            self.snapshot(snapshot)
        except ClientFailed as error:
            if error.kind is Kind.NO_SUCH_SNAPSHOT:
                return False
            raise
        return True

    def _delete(self, snapshot: str) -> None:
        setting = self._runner.setting(failures.DELETE, f"snapshot {snapshot}")
        try:
            self._runner.checked(commands.delete([snapshot]), setting)
        except ClientFailed as error:
            # Somebody else, or an attempt whose end was not seen, has deleted it meanwhile.
            if error.kind is not Kind.NO_SUCH_SNAPSHOT:
                raise


@define(eq=False)
class _Counted:
    """A stream to write that counts."""

    to: Sink
    written: int = field(default=0, init=False)

    def write(self, content: Any, /) -> int:  # noqa: ANN401 - any buffer
        """Write as the stream does."""
        written = self.to.write(content)
        self.written += written
        return written

    def flush(self) -> None:
        """Flush as the stream does."""
        self.to.flush()


def _restored(ended: Ended) -> Restored:
    for line in ended.lines:
        if found := _RESTORED.match(line):
            counts = {name: int(count) for name, count in found.groupdict().items()}
            return Restored(**counts, size=ended.progress.size)
    message = output.NOT_UNDERSTOOD.format(what="a restore", fault="it does not say how much")
    raise ClientFailed(Kind.NOT_UNDERSTOOD, message)


def _id_of(snapshot: str | Snapshot) -> str:
    return snapshot.id if isinstance(snapshot, Snapshot) else snapshot


def _absolute(path: str | Path) -> str:
    return os.path.normpath(Path(path).absolute())


def _relative(path: str) -> str:
    """Return a path in a snapshot, relative to its root.

    Raises:
        InvalidRequest: It leads out of it.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise InvalidRequest(f"the path in the snapshot is {path!r}; give one without ..")
    return "/".join(parts)
