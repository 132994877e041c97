"""A test that passes prints nothing; one that fails shows what it logged and printed.

A test that logs an error has met a fault. If that is what it is about it asks for `logged`, by an
argument or, for a whole module, by `pytestmark = pytest.mark.usefixtures("logged")`.
"""

import io
from collections.abc import Generator, Iterator
from contextlib import redirect_stderr, redirect_stdout

import pytest
import structlog
from structlog.typing import EventDict, WrappedLogger

ERRORS = {"error", "critical"}

LOGGED = pytest.StashKey[list[EventDict]]()
PRINTED = pytest.StashKey[io.StringIO]()


class Keep:
    """The only processor of the log: keeps each line, and renders none."""

    def __init__(self, lines: list[EventDict]) -> None:
        self.lines = lines

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        self.lines.append({"level": method, **event})
        raise structlog.DropEvent


@pytest.fixture(autouse=True)
def quiet(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep what the test logs and prints, and let it fail for an error that it did not expect."""
    lines: list[EventDict] = []
    printed = io.StringIO()
    request.node.stash[LOGGED], request.node.stash[PRINTED] = lines, printed
    structlog.reset_defaults()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            Keep(lines),
        ]
    )
    # Threads that outlive the test go on logging to this list, not to the terminal.
    with redirect_stdout(printed), redirect_stderr(printed):
        yield
    errors = [line for line in lines if line["level"] in ERRORS]
    if errors and "logged" not in request.fixturenames:
        pytest.fail(f"logged, and not asked for by the fixture `logged`: {errors}")


@pytest.fixture
def logged(request: pytest.FixtureRequest) -> list[EventDict]:
    """What the test has logged so far, a dictionary a line; errors among it are expected."""
    lines: list[EventDict] = request.node.stash[LOGGED]
    return lines


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        if LOGGED in item.stash:
            lines = item.stash[LOGGED]
            report.sections.append(("logged", "\n".join(map(str, lines))))
        if PRINTED in item.stash:
            report.sections.append(("printed", item.stash[PRINTED].getvalue()))
    return report
