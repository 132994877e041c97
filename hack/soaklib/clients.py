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
from e2e.waiting import CLOCK, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from e2e.backup_client import Client, Login
    from e2e.kubectl import Ran
    from e2e.server import Server

# New contents each time, small enough that thousands of backups fit on a disk.
WRITE_FILES = """
rm -rf source && mkdir -p 'source/a directory'
for size in 0 1 1000 200000; do head -c "$size" /dev/urandom >"source/$size"; done
head -c 5000 /dev/urandom >'source/a directory/a file'
"""
FILES = 5

# Between two backups of a client.
PAUSE_SECONDS = 2.0

# For the first try to connect, with a password that may not be in force yet; each further one has
# as much more, as the machine may be busy.
TRY_SECONDS = 5
TRY_SECONDS_AT_MOST = 20

# In the end nothing is broken: what does not work by then, and again, does not.
CONNECT_SECONDS = 60.0
RESTORE_TRIES = 2
COMPLAINT_CHARACTERS = 300
PROGRESS_EVERY = 50


class _FailedError(Exception):
    """A command of the client's has failed, or nobody knows what came of it."""

    def __init__(self, ran: Ran) -> None:
        complaint = " ".join(ran.complaint.split())
        super().__init__(f"exit code {ran.code}: {complaint[:COMPLAINT_CHARACTERS]}")


# What a client meets while things are broken: an API server that is away, commands that fail, hang,
# or end with half of what they had to say.
FAILURES = (_FailedError, AssertionError, ClientError, ValueError, subprocess.TimeoutExpired)


@define
class Counts:
    """What came of all the tries.

    Attributes:
        done: Backups that were reported done.
        failed: Those that were not; a fault may well cause it.
        restored: Restores that brought what was backed up.
        not_restored: Restores, while things are broken, that did not.
    """

    done: int = 0
    failed: int = 0
    restored: int = 0
    not_restored: int = 0


@define
class BackupLoop:
    """One client of one server.

    Attributes:
        server: The server.
        client: The pod that the client runs in.
        counts: What came of it so far.
        failure: Why the last try came to nothing; "" if it did not.
    """

    server: Server
    client: Client
    counts: Counts = field(factory=Counts)
    failure: str = field(default="")
    # Checksums of the files of each snapshot that was reported done.
    _snapshots: dict[str, Mapping[str, str]] = field(factory=dict)
    _last_done: float = field(default=0.0)
    # How often in a row it could not connect.
    _refused: int = field(default=0)
    _stop: threading.Event = field(factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def prepare(self) -> None:
        """Have the server keep what is backed up, before anything is broken.

        Raises:
            Exception: One of `FAILURES`.
        """
        self.client.keep_all(self.server.name, self._connect())

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
        try:
            me = wait_for("a connection", self._try_to_connect, seconds=CONNECT_SECONDS)
        except AssertionError:
            return list(self._snapshots)
        return [
            snapshot
            for number, snapshot in enumerate(self._snapshots)
            if not self._is_restored(me, number, snapshot)
        ]

    def _is_restored(self, me: Login | None, number: int, snapshot: str) -> bool:
        if number % PROGRESS_EVERY == 0:
            print(f"{self.server.name}: {number} of {len(self._snapshots)}", flush=True)
        for _ in range(RESTORE_TRIES):
            if me is not None and self._is_there(me, snapshot):
                self.counts.restored += 1
                return True
            me = self._try_to_connect()
        print(f"{self.server.name}: snapshot {snapshot} is lost: {self.failure}", flush=True)
        return False

    def _is_there(self, me: Login, snapshot: str) -> bool:
        try:
            there = self._restored(me, snapshot) == self._snapshots[snapshot]
        except FAILURES as error:
            self.failure = str(error)
            return False
        self.failure = "" if there else "other files were restored than were backed up"
        return there

    def _run(self) -> None:
        # Which snapshots are restored on the way is of no matter for what is broken when.
        chance = random.Random()  # noqa: S311 - no secret
        me: Login | None = None
        while not CLOCK.wait_event(self._stop, PAUSE_SECONDS):
            began = CLOCK.monotonic()
            try:
                if me is None or me.password != self.server.password_of():
                    me = self._connect()
                self.back_up(me)
                self._last_done, self.failure = began, ""
                snapshot = chance.choice(list(self._snapshots))
                # Whatever fails here is looked at again in the end.
                if self._is_there(me, snapshot):
                    self.counts.restored += 1
                else:
                    self.counts.not_restored += 1
            except FAILURES as error:
                self.counts.failed += 1
                self.failure = str(error)
                # Another certificate, perhaps.
                me = None

    def _try_to_connect(self) -> Login | None:
        try:
            return self._connect()
        except FAILURES as error:
            self.failure = str(error)
            return None

    def _connect(self) -> Login:
        me = login(self.server.get(), self.server.password_of())
        seconds = min(TRY_SECONDS * (1 + self._refused), TRY_SECONDS_AT_MOST)
        ran = self.client.connect(self.server.name, me, seconds=seconds)
        self._refused = self._refused + 1 if ran.code else 0
        if ran.code:
            raise _FailedError(ran)
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
            raise _FailedError(ran)
        self._snapshots[json.loads(ran.output)["id"]] = written
        self.counts.done += 1

    def _restored(self, me: Login, snapshot: str) -> Mapping[str, str]:
        self.client.shell(self.server.name, "rm -rf restored")
        ran = self.client.attempt_to_restore(self.server.name, me, snapshot)
        if ran.code:
            raise _FailedError(ran)
        return parse_checksums(ran.output)


def in_parallel(work: Sequence[Callable[[], list[str]]]) -> list[str]:
    """Run functions at the same time and return all that they return."""
    with ThreadPoolExecutor(max_workers=len(work)) as pool:
        found = pool.map(lambda one: one(), work)
        return [lost for part in found for lost in part]
