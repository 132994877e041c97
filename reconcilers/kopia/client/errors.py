"""What can go wrong with a command of a client, as whoever called it is told."""

from __future__ import annotations

from enum import Enum
from typing import Final

#: The exit code of a program that was told to end by SIGTERM, as a shell reports it.
_TERMINATED: Final = 143


class Kind(Enum):
    """What a failure is, with the exit code of a program that ends for it.

    The codes are part of the interface: scripts branch on them. 1 and 2 are left to faults of the
    program and of its usage; from 126 on shells have codes of their own.
    """

    #: Nothing that fits the table. The message has Kopia's last line.
    UNKNOWN = 10
    #: What was asked cannot be done as it was asked.
    INVALID_REQUEST = 11
    #: The server did not answer in time.
    CANNOT_CONNECT = 20
    #: The server refuses the user or the password, or the user may not do this.
    ACCESS_DENIED = 21
    #: The server's certificate is not the expected one.
    CERTIFICATE = 22
    #: The server went away, and did not come back, or went away in each try.
    SERVER_GONE = 23
    #: The server has trouble with its repository: storage away, object missing.
    REPOSITORY = 24
    #: Another client changed the same thing at the same moment, in each try.
    CONFLICT = 25
    #: A file or folder could not be read, or has a name that Kopia would not keep.
    SOURCE_UNREADABLE = 30
    #: A file or folder changed or went while it was read, so that it could not be kept.
    SOURCE_CHANGED = 31
    #: The producer of a stream has failed.
    PRODUCER = 32
    #: Something at the target is in the way.
    TARGET = 40
    #: The target is full.
    DISK_FULL = 41
    #: Owners or modes could not be restored.
    OWNERS = 42
    #: The consumer of a stream has gone.
    CONSUMER = 43
    #: There is no such snapshot, or nothing of that name in it.
    NO_SUCH_SNAPSHOT = 50
    #: A policy of the repository kept the snapshot from being made as asked.
    POLICY = 51
    #: The contents of a snapshot are not what they should be.
    DAMAGED = 52
    #: Kopia printed what this client does not understand: another version, most likely.
    NOT_UNDERSTOOD = 53
    #: The kernel killed Kopia, or it found no memory.
    OUT_OF_MEMORY = 60
    #: No progress for too long.
    STALLED = 61
    #: The caller has set the stop.
    CANCELLED = _TERMINATED

    @property
    def exit_code(self) -> int:
        """The exit code of a program that ends for this."""
        return int(self.value)


class ClientFailed(Exception):
    """A command of a client has failed.

    Args:
        kind: What it is.
        message: What failed, and what to do. Without any secret.
        output: The end of what Kopia printed, without secrets. Default: nothing.
    """

    def __init__(self, kind: Kind, message: str, output: str = "") -> None:
        super().__init__(message)
        #: What it is.
        self.kind = kind
        #: What failed, and what to do.
        self.message = message
        #: The end of what Kopia printed.
        self.output = output


class InvalidRequest(ClientFailed):
    """What was asked cannot be done as it was asked. The message names what to correct.

    Args:
        message: See the class.
    """

    def __init__(self, message: str) -> None:
        super().__init__(Kind.INVALID_REQUEST, message)


class ProducerFailed(Exception):
    """Raised by the content of a stream: what makes it has failed, so that it is not complete.

    Args:
        message: What failed.
    """
