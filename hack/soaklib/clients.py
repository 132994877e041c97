"""Clients that back up and restore all the time, and remember what they were told is done."""

from __future__ import annotations

import json
import random
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from attrs import define, field

from controller.errors import ClientError
from e2e.backup_client import CHECKSUMS, login
from e2e.node import parse_checksums
from e2e.waiting import CLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from e2e.backup_client import Client, Login
    from e2e.server import Server

# New contents each time, small enough that thousands of backups fit on a disk.
WRITE_FILES = """
rm -rf source && mkdir -p 'source/a directory'
for size in 0 1 1000 200000; do head -c "$size" /dev/urandom >"source/$size"; done
head -c 5000 /dev/urandom >'source/a directory/a file'
"""
FILES = 5

# Between two backups of a client.
PAUSE_SECONDS = 1.0


class _FailedError(Exception):
    """A command of the client's has failed, or nobody knows what came of it."""


# What a client meets while things are broken: an API server that is away, commands that fail, hang,
# or end with half of what they had to say.
FAILURES = (_FailedError, AssertionError, ClientError, ValueError, subprocess.TimeoutExpired)


@define
class Counts:
    """What came of all the tries.

    Attributes:
        done: Backups that were reported done.
        failed: Those that were not; a fault may well cause it.
        restored: Restores that were compared.
    """

    done: int = 0
    failed: int = 0
    restored: int = 0


@define
class BackupLoop:
    """One client of one server.

    Attributes:
        server: The server.
        client: The pod that the client runs in.
        counts: What came of it so far.
    """

    server: Server
    client: Client
    counts: Counts = field(factory=Counts)
    # Checksums of the files of each snapshot that was reported done.
    _snapshots: dict[str, Mapping[str, str]] = field(factory=dict)
    _last_done: float = field(default=0.0)
    _stop: threading.Event = field(factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Make an end after the present backup."""
        self._stop.set()
        self._thread.join()

    def has_backed_up_since(self, moment: float) -> bool:
        """Return whether a backup was begun and done since a moment, in monotonic seconds."""
        return self._last_done > moment

    def verify(self) -> list[str]:
        """Restore every snapshot that was reported done, and return those that are lost."""
        me = self._connect()
        self.counts.restored += len(self._snapshots)
        return [snapshot for snapshot in self._snapshots if not self._is_there(me, snapshot)]

    def _is_there(self, me: Login, snapshot: str) -> bool:
        try:
            return self._restored(me, snapshot) == self._snapshots[snapshot]
        except FAILURES:
            return False

    def _run(self) -> None:
        # Which snapshots are restored on the way is of no matter for what is broken when.
        chance = random.Random()  # noqa: S311 - no secret
        me: Login | None = None
        while not CLOCK.wait_event(self._stop, PAUSE_SECONDS):
            began = CLOCK.monotonic()
            try:
                me = me or self._connect()
                self.back_up(me)
                self._last_done = began
                snapshot = chance.choice(list(self._snapshots))
                # Whatever fails here is looked at again in the end.
                self.counts.restored += self._is_there(me, snapshot)
            except FAILURES:
                self.counts.failed += 1
                # Another certificate, perhaps.
                me = None

    def _connect(self) -> Login:
        me = login(self.server.get(), self.server.password_of())
        if self.client.connect(self.server.name, me).code:
            raise _FailedError
        return me

    def back_up(self, me: Login) -> None:
        """Back new files up, and remember them if that is reported done.

        Args:
            me: As whom.

        Raises:
            Exception: One of `FAILURES`; nobody knows of a backup then.
        """
        script = WRITE_FILES + CHECKSUMS.format(folder="source")
        written = parse_checksums(self.client.shell(self.server.name, script))
        ran = self.client.attempt_to_back_up(self.server.name, me)
        # When the kubelet is killed kubectl reports a good end, with a part of what was said.
        if ran.code or len(written) != FILES:
            raise _FailedError
        self._snapshots[json.loads(ran.output)["id"]] = written
        self.counts.done += 1

    def _restored(self, me: Login, snapshot: str) -> Mapping[str, str]:
        self.client.shell(self.server.name, "rm -rf restored")
        ran = self.client.attempt_to_restore(self.server.name, me, snapshot)
        if ran.code:
            raise _FailedError
        return parse_checksums(ran.output)


def in_parallel(work: Sequence[Callable[[], list[str]]]) -> list[str]:
    """Run functions at the same time and return all that they return."""
    with ThreadPoolExecutor(max_workers=len(work)) as pool:
        found = pool.map(lambda one: one(), work)
        return [lost for part in found for lost in part]
