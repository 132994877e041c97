"""A request to end that whoever waits for something else hears as well.

Python cannot interrupt a thread that waits for a socket. Who can wake it, the cut-off of the
connections for example, has itself called back when the stop is set.
"""

import threading
from collections.abc import Callable


class Stop(threading.Event):
    """An event that calls back, as `context.AfterFunc` of a Go context does.

    It is set once and never cleared.
    """

    def __init__(self) -> None:
        super().__init__()
        # Guards the field below, and that no callback is added after they were called.
        self._callbacks_lock = threading.Lock()
        # In the order in which they were added; empty once the stop is set.
        self._callbacks: dict[object, Callable[[], None]] = {}

    def set(self) -> None:
        """Ask for the end, wake all who wait, and call back all who asked for it."""
        super().set()
        with self._callbacks_lock:
            callbacks, self._callbacks = list(self._callbacks.values()), {}
        for callback in callbacks:
            callback()

    def call_back(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have a function called once the stop is set, at once if it is.

        Args:
            callback: Called on the thread that sets the stop: fast, and without waiting.

        Returns:
            What takes the request back; it does nothing once the callback was called.
        """
        token = object()
        with self._callbacks_lock:
            if not self.is_set():
                self._callbacks[token] = callback
                return lambda: self._forget(token)
        callback()
        return lambda: None

    def _forget(self, token: object) -> None:
        with self._callbacks_lock:
            self._callbacks.pop(token, None)
