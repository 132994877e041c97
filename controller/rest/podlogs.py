"""The log of a container, over the log subresource of its pod, as a stream of bytes."""

import math
from typing import Final

from attrs import evolve

from controller.clock import PASSED, Deadline, DeadlineExceeded
from controller.resource import Resource
from controller.rest.cutoff import Cause
from controller.rest.stream import Stream
from controller.rest.transport import OPEN_SECONDS, Call, Transport

_PODS: Final = Resource("", "v1", "pods", "Pod")

#: Seconds of silence after which the connection of a log that is not followed counts as dead.
IDLE_SECONDS: Final = 60.0

#: What the API server may answer: the log as it is, and a Status where it refuses.
ACCEPT: Final = "application/json, */*"


class LogStream(Stream):
    """The log of a container, piece by piece. A piece may begin and end inside a line.

    Iterating ends when the server ends the log in good order. That is no proof of a whole log: an
    API server that loses the kubelet ends its answer in good order as well.

    Args:
        transport: See `Stream`.
        call: See `Stream`.
        idle_seconds: Seconds of silence after which the connection counts as dead.
        deadline: For all of it; its stop cuts it at once.

    Raises:
        ApiError: The server refuses, or the container has no log (yet).
        TransportError: No answer came in time.
        DeadlineExceeded: No time was left.
        Stopped: The stop was set before the log was open.
    """

    def __init__(
        self, transport: Transport, call: Call, *, idle_seconds: float, deadline: Deadline
    ) -> None:
        bounded = evolve(call, deadline=deadline)
        super().__init__(transport, bounded, description=f"LOG {call.path}", stop=deadline.stop)
        self._idle_seconds = idle_seconds
        self._deadline = deadline

    def __next__(self) -> bytes:
        """Wait for the next piece.

        Raises:
            StopIteration: The server ended the log in good order.
            TransportError: The connection broke, or was silent for too long.
            DeadlineExceeded: The deadline has passed.
            Stopped: The stop was set.
        """
        left = self._deadline.remaining()
        if not left:
            raise DeadlineExceeded(f"{self._description}: {PASSED}")
        if left <= self._idle_seconds:
            content = self._read(left, Cause.DEADLINE)
        else:
            content = self._read(self._idle_seconds, Cause.SILENCE)
        if not content:
            raise StopIteration
        return content


class PodLogs:
    """Reads the logs of containers. Safe to share between threads: each stream is its reader's.

    Needs the verb get on pods/log.

    Args:
        transport: The connections.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def open(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        deadline: Deadline,
        follow: bool = False,
        timestamps: bool = False,
        idle_seconds: float | None = None,
    ) -> LogStream:
        """Open a log at its beginning: of what the node still has, see `follow`.

        Args:
            namespace: The pod's.
            pod: Its name.
            container: Which of its containers. One that was started again has the log of its
                present process.
            deadline: For all of it; its stop cuts it at once. It may lie at infinity.
            follow: Whether to go on until the container has ended. A kubelet keeps to a log that it
                rotates while it is followed; opened anew it begins with the newest file
                (kubernetes pkg/kubelet/kuberuntime/logs). Default: only what there is.
            timestamps: Whether each line begins with the time at which the node has read it.
                Default: False.
            idle_seconds: Seconds of silence after which the connection counts as dead. Default:
                `IDLE_SECONDS`, and none while it is followed: a program may be silent for hours.

        Returns:
            The open stream; the caller enters it as a context manager.

        Raises:
            ApiError: The server refuses, or the container has no log (yet).
            TransportError: No answer came in time.
            DeadlineExceeded: No time was left.
            Stopped: The stop was set.
        """
        if idle_seconds is None:
            idle_seconds = math.inf if follow else IDLE_SECONDS
        query = {
            "container": container,
            "follow": "true" if follow else "",
            "timestamps": "true" if timestamps else "",
        }
        call = Call(
            "GET",
            _PODS.path(namespace, pod, "log"),
            query=query,
            accept=ACCEPT,
            seconds=OPEN_SECONDS,
        )
        return LogStream(self._transport, call, idle_seconds=idle_seconds, deadline=deadline)
