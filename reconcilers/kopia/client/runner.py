"""Runs commands of Kopia against a server: configuration, deadlines, retries, and what failed."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar

from reconcilers.kopia.client import child, commands, failures
from reconcilers.kopia.client.errors import ClientFailed, InvalidRequest, Kind
from reconcilers.kopia.client.reach import wait_until_reached

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from controller.clock import Clock
    from controller.stop import Stop
    from reconcilers.kopia.client.model import Ended, Limits, ServerConnection

Result = TypeVar("Result")

#: After these a whole command is tried again.
RETRIED: Final = frozenset({Kind.SERVER_GONE, Kind.CONFLICT})

#: Seconds before the first retry; twice as long each time.
_FIRST_PAUSE: Final = 1.0

NOT_BACK: Final = "{gone}; it did not come back: {cause}"
TRIED: Final = "; it was tried {tries} times"
NOT_AGAIN: Final = "; it was not tried again by itself: {why}"
NO_FOLDER: Final = "this client is not open; use it inside of `with`"


class Runner:
    """What all commands of a client share. A context manager: it has the temporary folder.

    Args:
        connection: The server and the user.
        limits: Times, tries and sizes.
        stop: Ends what runs; None if nothing does.
        reconnect: Returns the connection for a retry; None for the same.
        on_retry: Called with the failure before each retry; None if nobody is told.
        clock: The time.
        executable: Kopia.
        directory: Where to make the temporary folder; None for where the system has such folders.
    """

    def __init__(
        self,
        connection: ServerConnection,
        limits: Limits,
        *,
        stop: Stop | None,
        reconnect: Callable[[], ServerConnection] | None,
        on_retry: Callable[[ClientFailed], object] | None,
        clock: Clock,
        executable: str,
        directory: Path | None,
    ) -> None:
        #: Times, tries and sizes.
        self.limits = limits
        #: Ends what runs.
        self.stop = stop
        #: The time.
        self.clock = clock
        self._connection = connection
        self._reconnect = reconnect
        self._on_retry = on_retry
        self._executable = executable
        self._directory = directory
        self._folder: Path | None = None
        # Guards the connection and the files that are made of it.
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Make the temporary folder, which nobody else may enter."""
        self._folder = Path(tempfile.mkdtemp(prefix="kopia-client-", dir=self._directory))
        self._configure(self._connection)
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the temporary folder."""
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def connection(self) -> ServerConnection:
        """The connection of now."""
        with self._lock:
            return self._connection

    def source(self, path: str) -> str:
        """Return a source of the user, as Kopia writes it.

        Args:
            path: Begins with `/`.

        Raises:
            InvalidRequest: It does not.
        """
        if not path.startswith("/"):
            raise InvalidRequest(f"the source is {path!r}; begin it with /")
        return f"{self.connection.user}:{path}"

    def setting(self, doing: str, what: str, *, target: str = "") -> failures.Setting:
        """Return what messages about a command name."""
        connection = self.connection
        return failures.Setting(connection.url, connection.user, doing, what, target)

    def retried(
        self, operation: Callable[[], Result], *, unless: Callable[[], str] = str
    ) -> Result:
        """Return what an operation returns, tried again as a whole after what passes by itself.

        Before each try the server is waited for.

        Args:
            operation: Runs commands.
            unless: Asked after a failure: why the operation must not be repeated; empty if it may.

        Raises:
            ClientFailed: It has failed for another reason, or each time.
        """
        pause = _FIRST_PAUSE
        tries = 0
        gone: ClientFailed | None = None
        while True:
            tries += 1
            try:
                self.reach()
                return operation()
            except ClientFailed as error:
                if gone is not None and error.kind is Kind.CANNOT_CONNECT:
                    message = NOT_BACK.format(gone=gone.message, cause=error.message)
                    raise ClientFailed(Kind.SERVER_GONE, message, gone.output) from error
                if error.kind not in RETRIED or not self.limits.retries:
                    raise
                if tries > self.limits.retries:
                    raise _with(error, TRIED.format(tries=tries)) from error
                if why := unless():
                    raise _with(error, NOT_AGAIN.format(why=why)) from error
                if error.kind is Kind.SERVER_GONE:
                    gone = error
                if self._on_retry is not None:
                    self._on_retry(error)
            self.clock.wait_event(self.stop or threading.Event(), pause)
            pause *= 2
            if self._reconnect is not None:
                self._configure(self._reconnect())

    def reach(self) -> None:
        """Wait until the server has shown the expected certificate.

        Raises:
            ClientFailed: It did not in time, it has another one, or the stop is set.
        """
        connection = self.connection
        trusted = wait_until_reached(
            connection, self.limits.connect_seconds, clock=self.clock, stop=self.stop
        )
        if trusted != connection:
            self._configure(trusted)

    def checked(
        self,
        arguments: Sequence[str],
        setting: failures.Setting,
        streams: child.Streams | None = None,
    ) -> Ended:
        """Run a command, and return what came of it.

        Args:
            arguments: Of `commands`.
            setting: What messages name.
            streams: Its streams. Default: none.

        Raises:
            ClientFailed: It has failed.
        """
        ended = self.run(arguments, stop=self.stop, streams=streams)
        if ended.code != 0:
            raise self.explained(ended, setting)
        return ended

    def run(
        self,
        arguments: Sequence[str],
        *,
        stop: Stop | None,
        streams: child.Streams | None = None,
        patience: child.Patience | None = None,
        connected_to: int | None = None,
    ) -> Ended:
        """Run a command, and return what came of it, good or bad.

        Args:
            arguments: Of `commands`.
            stop: Kills it; None if nothing does.
            streams: Its streams. Default: none.
            patience: How long it may go without a sign of life. Default: by the limits.
            connected_to: As of `child.run`.

        Raises:
            ClientFailed: As of `child.run`.
        """
        folder = self._folder
        if folder is None:
            raise InvalidRequest(NO_FOLDER)
        usual = child.Patience(self.limits.answer_seconds, self.limits.stalled_seconds)
        return child.run(
            [self._executable, *arguments],
            commands.environment(self.connection, folder),
            patience=patience or usual,
            clock=self.clock,
            stop=stop,
            streams=streams,
            connected_to=connected_to,
        )

    def explained(self, ended: Ended, setting: failures.Setting) -> ClientFailed:
        """Return why a command has failed."""
        return failures.explain(ended, setting, secret=self.connection.password)

    def _configure(self, connection: ServerConnection) -> None:
        with self._lock:
            self._connection = connection
            if self._folder is None:
                raise InvalidRequest(NO_FOLDER)
            config = commands.configuration(connection, self.limits, self._folder)
            _write(self._folder / commands.CONFIG_FILE, config)
            _write(self._folder / commands.CA_FILE, connection.ca)


def _with(error: ClientFailed, words: str) -> ClientFailed:
    """Return an error with some words more."""
    return ClientFailed(error.kind, error.message + words, error.output)


def _write(path: Path, text: str) -> None:
    """Write a file, whole for whoever reads it meanwhile."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.replace(path)
