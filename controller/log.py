"""Logging: structlog for the lines of this project, and the same output for those of libraries."""

import contextlib
import logging
import sys
from typing import Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

FORMAT_AUTO: Final = "auto"
FORMAT_JSON: Final = "json"
FORMAT_CONSOLE: Final = "console"
FORMATS: Final = (FORMAT_AUTO, FORMAT_JSON, FORMAT_CONSOLE)

#: Keys of log lines whose values are withheld. No code logs them on purpose: this is the second
#: line of defence.
SECRET_KEYS: Final = frozenset({"password", "token", "secret", "key", "authorization"})
WITHHELD: Final = "<withheld>"


def configure(level: str, format_: str, stream: TextIO | None = None) -> None:
    """Set up logging for the process.

    Args:
        level: `debug`, `info`, `warning` or `error`. Lines below it are dropped.
        format_: `json`, `console`, or `auto`: console on a terminal, json elsewhere.
        stream: Where the lines are written. Default: standard error.

    Raises:
        KeyError: There is no such level.
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
    # The console renderer formats tracebacks itself. JSON needs them as text.
    rendering: list[Processor] = (
        # The rich traceback shows local variables, which may hold passwords.
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
    # At debug level the HTTP libraries log request headers, credentials among them.
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


class _Logger(structlog.WriteLogger):
    """Writes lines, and drops one that cannot be written, as klog and the logging module do.

    A full disk or a closed pipe must not end the thread that logs, the elector's for example.
    """

    def msg(self, message: str) -> None:
        """Write a line, or drop it if that fails."""
        with contextlib.suppress(OSError, ValueError):
            super().msg(message)

    debug = info = warning = error = critical = msg


def withhold(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Return the event with the values of `SECRET_KEYS` replaced. A structlog processor."""
    return {
        name: WITHHELD if name.lower() in SECRET_KEYS else value for name, value in event.items()
    }
