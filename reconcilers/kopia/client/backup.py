"""Making a snapshot: the attempts, and whether what came of one is what was asked for."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from attrs import evolve

from reconcilers.kopia.client import child, failures, output
from reconcilers.kopia.client.attempts import Attempts
from reconcilers.kopia.client.errors import ClientFailed, Kind
from reconcilers.kopia.client.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconcilers.kopia.client.model import Ended, Snapshot
    from reconcilers.kopia.client.runner import Runner

NOT_COMPLETE: Final = "the snapshot of {what} is not complete ({reason}) and was deleted; try again"
IGNORED: Final = (
    "{what} has {count} files or folders that could not be read, and a policy of the repository "
    "says to ignore that; the snapshot was deleted, since it would look complete; let this process "
    "read them, or take the setting out of the policy"
)
IDENTICAL: Final = (
    "Kopia made no snapshot of {what}: it is as it was, and a policy of the repository ignores "
    "identical snapshots; change that with `kopia policy set --ignore-identical-snapshots=false "
    "{source}`"
)

TOO_MUCH_READ: Final = "more than {mib:g} MiB of the stream were read"

_MIB: Final = 1 << 20


def make(
    runner: Runner,
    arguments: Callable[[str], list[str]],
    streams: child.Streams,
    *,
    what: str,
    source: str,
) -> Snapshot:
    """Return a snapshot. Whatever goes wrong, nothing that looks complete is left.

    What comes of a stream is tried again as long as its beginning can be given again.

    Args:
        runner: Runs Kopia.
        arguments: Returns those of an attempt by its name.
        streams: Those of Kopia.
        what: What is backed up, for messages.
        source: `USERNAME@HOSTNAME:PATH`.

    Raises:
        ClientFailed: There is no snapshot, or it is not what was asked for.
    """
    setting = runner.setting(failures.BACK_UP, what)
    attempts = Attempts(runner)
    kept = runner.limits.replay_bytes
    stream = None if streams.stdin is None else Replay(streams.stdin, kept)

    def attempt() -> Snapshot:
        name = attempts.begin()
        with contextlib.nullcontext(None) if stream is None else stream.reading() as stdin:
            ended = runner.run(
                arguments(name),
                stop=runner.stop,
                streams=evolve(streams, stdin=stdin),
                patience=child.Patience(
                    runner.limits.connect_seconds, runner.limits.stalled_seconds
                ),
                connected_to=runner.connection.port,
            )
        if ended.code != 0:
            unread = _unread(ended.output)
            raise (failures.unread(unread, setting) if unread else runner.explained(ended, setting))
        return _judged(ended, what, source)

    def not_again() -> str:
        return "" if stream is None or stream.is_whole else TOO_MUCH_READ.format(mib=kept / _MIB)

    try:
        return runner.retried(attempt, unless=not_again)
    except ClientFailed as error:
        raise attempts.failed(error) from error
    except BaseException:
        # An interrupt, or a fault of this program.
        attempts.failed(ClientFailed(Kind.CANCELLED, child.CANCELLED))
        raise


def _judged(ended: Ended, what: str, source: str) -> Snapshot:
    """Return the snapshot that Kopia has made, if it is what was asked for."""
    if not ended.output.strip():
        raise ClientFailed(Kind.POLICY, IDENTICAL.format(what=what, source=source))
    found = output.snapshot(ended.output)
    if found.ignored:
        message = IGNORED.format(what=what, count=found.ignored)
        raise ClientFailed(Kind.SOURCE_UNREADABLE, message)
    if found.incomplete or found.failed:
        message = NOT_COMPLETE.format(what=what, reason=found.incomplete or "failed")
        raise ClientFailed(Kind.UNKNOWN, message)
    return output.made_by(found, ended.progress.uploaded)


def _unread(printed: bytes) -> list[output.Failed]:
    """Return what could not be read, as far as Kopia has said it."""
    try:
        return output.failed_entries(printed)
    except ClientFailed:
        return []
