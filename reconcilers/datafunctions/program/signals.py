"""How the program is told to end."""

from __future__ import annotations

import signal
import socket
import threading

from controller.stop import Stop


def stop_on_signals() -> Stop:
    """Return a stop that SIGTERM, of a pod that is drained, or SIGINT, of a terminal, sets.

    A thread sets it. A handler runs on the main thread between two of its instructions, and could
    wait for a lock that this thread holds. Unlike those of controller.manager the signals are not
    blocked: Kopia's processes would inherit that.
    """
    stop = Stop()
    reader, writer = socket.socketpair()
    writer.settimeout(0)
    # Python writes a byte here as soon as the signal comes, whatever the main thread waits for.
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)

    def wait() -> None:
        with reader, writer:
            reader.recv(1)
            stop.set()
            # The descriptor stays Python's until the process ends.
            threading.Event().wait()

    threading.Thread(target=wait, name="signals", daemon=True).start()
    return stop
