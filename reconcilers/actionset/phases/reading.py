"""One log that is read: how far it is, and what to do next. Pure; `follower` does it.

A log is followed while its container runs, as a node throws away the beginning of a long one. The
end of that proves nothing: an API server that loses the kubelet ends its answer in good order. So a
log is complete if it ended after its container, and within seconds of the news of that; any other
is read once more, from its beginning.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from attrs import define, field, frozen

from controller.clock import DeadlineExceeded
from controller.errors import (
    ApiError,
    ClientError,
    Forbidden,
    ServerUnavailable,
    TooManyRequests,
)
from controller.stop import Stop
from reconcilers.actionset.phases.timedlog import Log, NoLog, TimedLog

if TYPE_CHECKING:
    from controller.reconcile import Request

#: Seconds that a follow may go on after the end of its container was seen. A connection that is
#: half open would go on for ever.
LAST_SECONDS: Final = 10.0
#: Seconds from the end of a follow to the news that its container has ended.
NEWS_SECONDS: Final = 10.0
#: Seconds by which the clock of a node may be ahead of this one. A follow that ended earlier than
#: that before its container was cut.
SKEW_SECONDS: Final = 1.0
#: Seconds after which somebody is to look whether a log is still followed: a follow that has ended
#: in good order wakes nobody, since as a rule the news of the container's end does.
LOOK_SECONDS: Final = 300.0
#: Seconds from a failure to the next try: at first, doubled each time, and at most.
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
#: Seconds of failures after which a log counts as lost: while its node does not answer, and where
#: the server says that there is none.
PATIENCE: Final = 600.0
PATIENCE_REFUSED: Final = 30.0

NO_LOG: Final = "the node has no log of container {container}"

# Refusals that may be mended: by the server, or by a Role.
_MENDABLE: Final = (ServerUnavailable, TooManyRequests, Forbidden)


@frozen
class Source:
    """Whose log it is.

    Args:
        namespace: Of the pod.
        pod: Its name.
        uid: Its uid: another pod may get the name.
        container: Which of its containers.
    """

    namespace: str
    pod: str
    uid: str
    container: str


@frozen
class Lost:
    """The log cannot be read.

    Args:
        why: In the words of who refuses.
    """

    why: str


@frozen
class Unread:
    """The log is not there yet.

    Args:
        why: Why the last try has failed; empty if none has.
        again_after: Seconds after which to ask again. The end of a reading wakes earlier, once the
            end of the container was seen.
    """

    why: str = ""
    again_after: float | None = None


class Do(Enum):
    """What to do next."""

    #: Open the log and follow it.
    FOLLOW = "follow"
    #: Open the log and read what there is.
    READ = "read"
    #: Cut the follow that goes on.
    CUT = "cut"


class Opening(Enum):
    """What is being done with a log."""

    NONE = "none"
    #: It waits for a place to be read.
    QUEUED = "queued"
    FOLLOWED = "followed"
    READ = "read"
    #: Its first line is read, while there is no place to follow it.
    PEEKED = "peeked"


@define(eq=False)
class Reading:
    """One log. All times are monotonic seconds.

    Args:
        request: The ActionSet that it belongs to.
        source: Whose log it is.
        log: What was read of it.
    """

    request: Request
    source: Source
    log: TimedLog
    #: What is being done with it.
    opening: Opening = Opening.NONE
    #: Cuts the present opening.
    stop: Stop = field(factory=Stop)
    #: Whether its first line was read while nobody followed it.
    peeked: bool = False
    #: Why the last opening failed; empty if none has since one ended in good order.
    why: str = ""
    _followed_until: float | None = None
    _end_seen: float | None = None
    _failures: int = 0
    _first_failure: float = 0.0
    _last_failure: float = 0.0
    _refused: bool = False
    _result: Log | None = None

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for its end."""
        return self._end_seen is not None

    def while_running(self, now: float) -> Do | Unread:
        """Return what to do while the container runs."""
        if self.opening is not Opening.NONE:
            return Unread(self.why, LOOK_SECONDS)
        if self._followed_until is not None:
            news = self._followed_until + NEWS_SECONDS - now
            if news > 0:
                return Unread(again_after=news)
        pause = self._pause(now)
        return Unread(self.why, pause) if pause else Do.FOLLOW

    def when_ended(self, now: float, ended: float | None = None) -> Do | Log | Lost | Unread:
        """Return what to do, or what the log says, once the container has ended.

        Args:
            now: The time.
            ended: When it ended, by the clock of its node. Default: None, that is not known.
        """
        if self._end_seen is None:
            self._end_seen = now
            if self._was_whole(now, ended):
                self._conclude(now)
        if self._result is not None:
            return self._result
        if self.opening is Opening.FOLLOWED:
            left = self._end_seen + LAST_SECONDS - now
            return Unread(self.why, left) if left > 0 else Do.CUT
        if self.opening is not Opening.NONE:
            return Unread(self.why)
        patience = PATIENCE_REFUSED if self._refused else PATIENCE
        if self._failures and now - max(self._first_failure, self._end_seen) >= patience:
            return Lost(self.why)
        pause = self._pause(now)
        return Unread(self.why, pause) if pause else Do.READ

    def _was_whole(self, now: float, ended: float | None) -> bool:
        """Return whether the last follow went on to the end of the container."""
        until = self._followed_until
        if until is None or now - until > NEWS_SECONDS:
            return False
        return ended is None or until >= ended - SKEW_SECONDS

    def begin(self, opening: Opening) -> Stop:
        """Begin an opening, and return what cuts it."""
        self.opening = opening
        self.stop = Stop()
        if opening is not Opening.QUEUED:
            self.log.open()
        return self.stop

    def end(self, now: float) -> None:
        """Record that the opening has ended in good order."""
        before, self.opening = self.opening, Opening.NONE
        self._failures, self.why = 0, ""
        if before is Opening.PEEKED:
            self.peeked = True
        elif before is Opening.FOLLOWED and self._end_seen is None:
            self._followed_until = now
        else:
            self._conclude(now)

    def fail(self, error: Exception, now: float) -> None:
        """Record that the opening has failed.

        Args:
            error: Why.
            now: The time.
        """
        self.opening = Opening.NONE
        self._followed_until = None
        if self.stop.is_set():
            # Cut by us.
            return
        if not self._failures:
            self._first_failure = now
        self._failures += 1
        self._last_failure = now
        self._refused = isinstance(error, NoLog) or (
            isinstance(error, ApiError) and not isinstance(error, _MENDABLE)
        )
        self.why = self._words(error)

    def _words(self, error: Exception) -> str:
        if isinstance(error, NoLog):
            return NO_LOG.format(container=self.source.container)
        # The message of a fault of this program may have what was read.
        known = isinstance(error, ClientError | DeadlineExceeded)
        return str(error) if known else type(error).__name__

    def _conclude(self, now: float) -> None:
        try:
            self._result = self.log.end()
        except NoLog as error:
            self.fail(error, now)

    def _pause(self, now: float) -> float:
        """Return the seconds until the next try."""
        if not self._failures:
            return 0.0
        pause = min(FIRST_PAUSE * 2.0 ** (self._failures - 1), LONGEST_PAUSE)
        return max(0.0, self._last_failure + pause - now)
