"""What is fuzzed, and what must hold whatever it reads."""

from __future__ import annotations

import base64
import signal
import traceback
import tracemalloc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import structlog
from attrs import frozen
from structlog.testing import capture_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

#: Stands in each value that is secret. It is Base64, in whole groups: what was that stays so.
MARKER: Final = "ZmPlantedSecretA7Qx9"

#: Seconds of CPU that one input may take: far more than any takes, far less than a hang.
SECONDS: Final = 5.0

#: Bytes that one input may take: so many, and so many for each of its own.
BYTES: Final = 8 * 1024 * 1024
BYTES_EACH: Final = 400

TOO_SLOW: Final = "it takes longer than {seconds:.0f} s of CPU"
TOO_MUCH: Final = "it takes {used} bytes of memory for {given} bytes"
ESCAPED: Final = "{error} is none of the errors that it may raise"
SHOWN: Final = "it shows a secret value in {where}"


class Finding(Exception):
    """Something that must not happen, whatever is read.

    Args:
        what: In words.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class TooSlow(BaseException):
    """An input takes too long. No handler of the code that is tried must catch it."""


@frozen
class Target:
    """Something that reads what others write.

    Args:
        name: Of the target, and of the folder of its corpus.
        run: Reads an input, and returns what is shown of it, in messages, events or logs. What is
            not shown, as the value of a Secret is not, it leaves out.
        refusals: The errors by which it may refuse an input.
        is_json: Whether an input is JSON as a rule, so that it is changed as such.
    """

    name: str
    run: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...] = ()
    is_json: bool = False


def judge(target: Target, data: bytes, *, measured: bool = False) -> None:
    """Read an input, and check what came of it.

    Args:
        target: Reads it.
        data: The input.
        measured: Whether the memory is looked at, which takes several times as long. Default: no.

    Raises:
        Finding: Another error than a refusal came of it, it took too long or too much, or a
            secret value is shown.
    """
    with _limited(), _measured(len(data), on=measured), capture_logs() as logged:
        error: Exception | None = None
        try:
            shown = repr(target.run(data))
        except target.refusals as refusal:
            error, shown = refusal, ""
        except TooSlow:
            raise Finding(TOO_SLOW.format(seconds=SECONDS)) from None
        except Exception as other:
            raise Finding(ESCAPED.format(error=type(other).__name__)) from other
    told = {"what it returns": shown, "the log": repr(logged)}
    if error is not None:
        told["its error"] = "".join(traceback.format_exception(error)) + repr(error)
    for where, text in told.items():
        if any(word in text for word in _WORDS):
            raise Finding(SHOWN.format(where=where))


def secret(text: str) -> str:
    """Return a value of an input as a secret one: with the marker in it, where it is in order."""
    if "-----BEGIN" in text:
        return f"{MARKER}\n{text}"
    middle = len(text) // 8 * 4
    return f"{text[:middle]}{MARKER}{text[middle:]}"


_WORDS: Final = (MARKER, base64.b64encode(MARKER.encode()).decode().rstrip("="))


@contextmanager
def _limited() -> Iterator[None]:
    """Raise TooSlow in what takes too long. libFuzzer's own limit counts the time of day."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    except TooSlow:
        raise Finding(TOO_SLOW.format(seconds=SECONDS)) from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def _measured(given: int, *, on: bool) -> Iterator[None]:
    """Raise a finding if more memory is taken than the size of an input explains."""
    if not on:
        yield
        return
    tracemalloc.start()
    try:
        yield
        used = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    if used > BYTES + given * BYTES_EACH:
        raise Finding(TOO_MUCH.format(used=used, given=given))


def silence() -> None:
    """Keep the log of what is tried off the terminal."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
