"""The stop: an event that tells a runnable to end, and calls functions when it is set.

Python cannot interrupt a thread that waits for a socket. Code that can wake such a thread, the
cut-off of the connections for example, adds a callback to the stop.
"""

import threading
from collections.abc import Callable


class Stop(threading.Event):
    """An event with callbacks, as a Go context has them by `context.AfterFunc`.

    It is set once and never cleared. Safe to share between threads.
    """

    def __init__(self) -> None:
        super().__init__()
        # Guards the field below. A callback that is added while the stop is set is either called by
        # `set` or at once, never both.
        self._callbacks_lock = threading.Lock()
        # In the order in which they were added. Empty once the stop is set.
        self._callbacks: dict[object, Callable[[], None]] = {}

    def set(self) -> None:
        """Set the event, wake all threads that wait for it, and call the callbacks."""
        super().set()
        with self._callbacks_lock:
            callbacks, self._callbacks = list(self._callbacks.values()), {}
        for callback in callbacks:
            callback()

    def call_back(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call a function when the stop is set, or now if it is set already.

        Args:
            callback: Called once, on the thread that sets the stop. It must be fast, and neither
                wait nor raise: the callbacks after it would be late or missed.

        Returns:
            A function that removes the callback. It does nothing after the callback was called.
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
