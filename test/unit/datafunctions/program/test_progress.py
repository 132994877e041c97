"""How far a run is, on a terminal and elsewhere."""

import io

import pytest
from attrs import evolve

from fakes.clock import FakeClock
from reconcilers.datafunctions.program.progress import Bar, Lines, line, marked, reporter
from reconcilers.kopia.client.model import Progress

HALF = Progress(files=50, size=500_000_000, total_size=1_000_000_000, rate=100_000_000.0)


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        pytest.param(
            {"/data": HALF},
            "50 files, 500 MB of 1.0 GB (50 %), 100 MB/s, 5 s left",
            id="with an estimate",
        ),
        pytest.param(
            {"/data": Progress(files=7, size=2_000_000, rate=1_000_000.0)},
            "7 files, 2.0 MB, 1.0 MB/s",
            id="before there is one",
        ),
        pytest.param(
            {"db-0": HALF, "db-1": HALF},
            "100 files, 1.0 GB of 2.0 GB (50 %), 200 MB/s, 5 s left",
            id="of several pods together",
        ),
        pytest.param(
            {"db-0": HALF, "db-1": Progress(files=1, size=1_000_000, rate=1_000_000.0)},
            "51 files, 501 MB, 101 MB/s",
            id="while one of them has none",
        ),
        pytest.param(
            {"db-0": HALF, "db-1": Progress(total_size=0)},
            "50 files, 500 MB of 1.0 GB (50 %), 100 MB/s, 5 s left",
            id="beside an empty folder",
        ),
        pytest.param(
            {"/data": Progress(size=10**9, total_size=10**12, rate=10**8)},
            "0 files, 1.0 GB of 1.0 TB (0 %), 100 MB/s, 2 h 46 min left",
            id="hours",
        ),
        pytest.param(
            {"/data": Progress(size=10**9, total_size=10**10, rate=10**8)},
            "0 files, 1.0 GB of 10 GB (10 %), 100 MB/s, 1 min 30 s left",
            id="minutes",
        ),
        pytest.param(
            {"/data": Progress(size=2 * 10**9, total_size=10**9, rate=10**8)},
            "0 files, 2.0 GB of 1.0 GB (100 %), 100 MB/s, 0 s left",
            id="more than was estimated",
        ),
        pytest.param(
            {"/data": Progress(total_size=10**9)},
            "0 files, 0 B of 1.0 GB (0 %), 0 B/s",
            id="at the beginning",
        ),
    ],
)
def test_a_line(pieces: dict[str, Progress], text: str) -> None:
    assert line(pieces) == text


def test_a_line_every_30_seconds() -> None:
    clock, stream = FakeClock(), io.StringIO()
    lines = Lines(stream, clock)

    printed = []
    for _ in range(100):
        lines.update("/data", HALF)
        printed.append(stream.getvalue().count("\n"))
        clock.step(1)
    lines.close()

    assert [printed.index(number) for number in (1, 2, 3)] == [30, 60, 90]
    assert stream.getvalue().startswith("50 files, 500 MB of 1.0 GB")


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        pytest.param(
            {"/data": evolve(HALF, uploaded=7)},
            '{"percent": 50, "sizeUploadedB": 7, "secondsLeft": 5}',
            id="of a backup with an estimate",
        ),
        pytest.param({"db-0": HALF, "db-1": Progress(size=1)}, '{"percent": 0}', id="without one"),
        pytest.param(
            {"/data": Progress(size=2 * 10**9, total_size=10**9)},
            '{"percent": 99}',
            id="what runs is not at its end, whatever was estimated",
        ),
    ],
)
def test_a_line_for_the_controller(pieces: dict[str, Progress], text: str) -> None:
    assert marked(pieces) == f"###Phase-progress###: {text}"


def test_the_controller_gets_a_line_every_10_seconds_on_a_terminal_too() -> None:
    clock, stream = FakeClock(), Terminal()
    lines = reporter(stream, clock, "marked")

    for _ in range(25):
        lines.update("/data", HALF)
        clock.step(1)

    assert stream.getvalue() == f"{marked({'/data': HALF})}\n" * 2


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_and_nothing_else() -> None:
    stream = Terminal()
    bar = reporter(stream, FakeClock())

    bar.update("/data", HALF)
    bar.close()

    assert isinstance(bar, Bar)
    assert "\n" not in stream.getvalue()
    assert stream.getvalue().endswith("\r"), "the bar is taken away again"


def test_a_bar_shows_how_far_it_is() -> None:
    stream = Terminal()
    bar = Bar(stream)

    bar.update("/data", HALF)
    bar.refresh()

    assert "50%" in stream.getvalue()
    assert "50 files" in stream.getvalue()
    bar.close()


def test_a_bar_makes_room_for_a_sentence() -> None:
    stream = Terminal()
    bar = Bar(stream)
    bar.update("/data", HALF)
    bar.refresh()

    bar.clear()

    *_, last, rest = stream.getvalue().split("\r")
    assert (last.strip(), rest) == ("", ""), "blanks over the bar, and back to the beginning"
    bar.close()


def test_no_terminal_gets_lines() -> None:
    assert isinstance(reporter(io.StringIO(), FakeClock()), Lines)
