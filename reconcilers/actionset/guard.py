"""Keeps the engine out of a namespace that a Kanister operator serves.

Both would begin the same ActionSets, and each takes what it sees of the other's for its own: the
operator sets one that runs to `complete` once it sees its phases so (Kanister
pkg/controller/controller.go, onUpdateActionSet).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import structlog

from controller.clock import Deadline
from controller.errors import ClientError, Forbidden, Stopped
from reconcilers.actionset.kanister import DEPLOYMENTS, IN_THE_WAY, operators

if TYPE_CHECKING:
    from controller.clock import Clock
    from controller.rest.client import Client
    from controller.stop import Stop

#: Seconds between two tries to ask the API server, before anything runs.
ASK_SECONDS: Final = 5.0
#: Seconds between two looks whether an operator was installed meanwhile.
LOOK_SECONDS: Final = 300.0

_log = structlog.get_logger()


class KanisterRuns(Exception):
    """A Kanister operator serves the namespace. The message names it."""


class Guard:
    """Looks for a Kanister operator: once before the start, and then as a runnable.

    Args:
        client: Lists Deployments.
        namespace: The namespace that is served.
        clock: The time.
    """

    name: Final = "guard against a Kanister operator"

    def __init__(self, client: Client, namespace: str, clock: Clock) -> None:
        self._client = client
        self._namespace = namespace
        self._clock = clock

    def wait_clear(self, stop: Stop) -> None:
        """Return if no Kanister operator serves the namespace, or if that cannot be found out.

        Args:
            stop: Ends this, which goes on for as long as the API server does not answer. A request
                that hangs is cut.

        Raises:
            KanisterRuns: One does.
        """
        while not stop.is_set():
            try:
                self._check(stop)
            except Stopped:
                return
            except Forbidden as error:
                _log.warning("cannot tell whether a Kanister operator runs here", error=str(error))
                return
            except ClientError as error:
                _log.warning("waiting for the API server", error=str(error))
                self._clock.wait_event(stop, ASK_SECONDS)
                continue
            return

    def run(self, stop: Stop) -> None:
        """Look from time to time until the stop is set.

        Raises:
            KanisterRuns: An operator was installed, or scaled up. It ends the process, and the next
                one does not start.
        """
        while not self._clock.wait_event(stop, LOOK_SECONDS):
            try:
                self._check(stop)
            except ClientError:
                # Those who need the API server say so; of a missing right `wait_clear` has.
                continue

    def _check(self, stop: Stop) -> None:
        # No end of its own, which is the transport's to set.
        deadline = Deadline(self._clock, math.inf, stop)
        found = self._client.list(DEPLOYMENTS, self._namespace, deadline=deadline)["items"]
        for name in operators(found):
            raise KanisterRuns(IN_THE_WAY.format(name=name, namespace=self._namespace))
