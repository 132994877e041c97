"""Logging: structlog for our own lines, and the same output for those of libraries."""

import contextlib
import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

FORMAT_AUTO = "auto"
FORMAT_JSON = "json"
FORMAT_CONSOLE = "console"
FORMATS = (FORMAT_AUTO, FORMAT_JSON, FORMAT_CONSOLE)

# Nothing of ours logs these. A key that is named so by mistake must not become an incident.
SECRET_KEYS = frozenset({"password", "token", "secret", "key", "authorization"})
WITHHELD = "<withheld>"


def configure(level: str, format_: str, stream: TextIO | None = None) -> None:
    """Set up logging for the process.

    Args:
        level: `debug`, `info`, `warning` or `error`; lines below it are dropped.
        format_: `json`, `console`, or `auto`: console on a terminal, json elsewhere.
        stream: Where lines go; standard error unless told.
    """
    output = stream or sys.stderr
    threshold = logging.getLevelNamesMapping()[level.upper()]
    console = format_ == FORMAT_CONSOLE or (format_ == FORMAT_AUTO and output.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        withhold,
    ]
    # The console renderer draws tracebacks itself; JSON needs them as text.
    rendering: list[Processor] = (
        # The plain traceback: the rich one shows local variables, passwords among them.
        [
            structlog.dev.ConsoleRenderer(
                colors=output.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_names: _Logger(output),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    # At debug level the HTTP libraries print request headers, credentials among them.
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


class _Logger(structlog.WriteLogger):
    """Drops a line that cannot be written, as klog and the logging module do.

    A disk that is full, or a reader that has gone, must not end the thread that had something to
    say: an informer, or the leader's.
    """

    def msg(self, message: str) -> None:
        """Write a line if that is possible."""
        with contextlib.suppress(OSError, ValueError):
            super().msg(message)

    debug = info = warning = error = critical = msg


def withhold(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace the values of keys that are named as secrets are."""
    return {
        name: WITHHELD if name.lower() in SECRET_KEYS else value for name, value in event.items()
    }
