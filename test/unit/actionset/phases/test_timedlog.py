"""A log that is opened once or several times, and what a node may have thrown away meanwhile."""

import pytest

from reconcilers.actionset.phases.outputs import Printed
from reconcilers.actionset.phases.timedlog import Log, NoLog, TimedLog, nanoseconds


def stamp(second: int) -> bytes:
    return b"2026-01-01T00:00:%02d.000000001Z" % second


def lines(*seconds: int) -> bytes:
    return b"".join(stamp(second) + b" line %d\n" % second for second in seconds)


def at(second: int) -> int:
    return nanoseconds(stamp(second))


def read(*openings: bytes, first: int | None = None) -> Log:
    log = TimedLog(first)
    for opening in openings:
        log.open()
        log.feed(opening)
    return log.end()


def words(*seconds: int) -> tuple[str, ...]:
    return tuple(f"line {second}" for second in seconds)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"1970-01-01T00:00:01Z", 10**9),
        (b"1970-01-01T00:00:01.5Z", 1_500_000_000),
        (b"1970-01-01T02:00:01.000000001+02:00", 1_000_000_001),
    ],
)
def test_a_time_is_read_in_any_zone(text: bytes, expected: int) -> None:
    assert nanoseconds(text) == expected


@pytest.mark.parametrize("text", [b"", b"today", b"1970-01-01", b"1970-01-01T00:00:01"])
def test_what_is_no_time_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"^b"):
        nanoseconds(text)


@pytest.mark.parametrize("size", [1, 3, 35, 1000])
def test_the_times_are_taken_off(size: int) -> None:
    content = lines(1, 2) + stamp(3) + b' ###Phase-output###: {"key":"a","value":"b c"}\n'
    log = TimedLog()
    log.open()
    for start in range(0, len(content), size):
        log.feed(content[start : start + size])

    assert log.end() == Log(Printed({"a": "b c"}, words(1, 2)))
    assert log.first == at(1)


@pytest.mark.parametrize(
    ("openings", "first", "expected", "rotated"),
    [
        pytest.param([lines(1, 2)], None, (1, 2), False, id="read once"),
        pytest.param([b""], None, (), False, id="nothing printed"),
        pytest.param(
            [lines(1, 2)[:-3], lines(1, 2, 3)], None, (1, 2, 3), False, id="cut, and read anew"
        ),
        pytest.param(
            [lines(1, 2, 3), lines(2, 3, 4)],
            None,
            (1, 2, 3, 4),
            False,
            id="rotated, and the newer file overlaps with what was read",
        ),
        pytest.param(
            [lines(1, 2, 3)[:-3], lines(2, 3, 4)],
            None,
            (1, 2, 3, 4),
            False,
            id="cut inside a line that the newer file has",
        ),
        pytest.param(
            [lines(1, 2), lines(2, 3), lines(3, 4)],
            None,
            (1, 2, 3, 4),
            False,
            id="rotated twice, with an overlap each time",
        ),
        pytest.param(
            [lines(1, 2), lines(4, 5)],
            None,
            (1, 2, 4, 5),
            True,
            id="rotated, with a gap in which there may have been lines",
        ),
        pytest.param(
            [lines(1, 2), b""], None, (1, 2), True, id="rotated just now: the new file is empty"
        ),
        pytest.param([lines(1, 2)], 1, (1, 2), False, id="after a restart, from the same line"),
        pytest.param([lines(4, 5)], 1, (4, 5), True, id="rotated while no process has followed it"),
        pytest.param([b""], 1, (), True, id="the same, and the new file is empty"),
    ],
)
def test_what_several_openings_show(
    openings: list[bytes], first: int | None, expected: tuple[int, ...], *, rotated: bool
) -> None:
    log = read(*openings, first=None if first is None else at(first))

    assert log == Log(Printed({}, words(*expected)), rotated)


def test_an_output_that_was_seen_before_the_rotation_is_kept() -> None:
    output = stamp(1) + b' ###Phase-output###: {"key":"a","value":"b"}\n'

    log = read(output + lines(2), lines(2, 3))

    assert log.printed.outputs == {"a": "b"}
    assert not log.rotated


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"unable to retrieve container logs for containerd://0a1b", id="words"),
        pytest.param(b"failed", id="one word"),
        pytest.param(b"failed\n", id="one word on a line"),
        pytest.param(b"2026-02-30T00:00:00Z failed\n", id="a day that there is not"),
    ],
)
def test_the_words_of_a_kubelet_are_no_log(content: bytes) -> None:
    with pytest.raises(NoLog):
        read(content)


def test_words_of_a_kubelet_at_the_end_are_shown() -> None:
    log = read(lines(1) + b"failed to watch file: no space left on device")

    assert log.printed.tail == ("line 1", "failed to watch file: no space left on device")


def test_an_empty_line_is_one() -> None:
    log = read(stamp(1) + b" \n" + stamp(2) + b"\n" + lines(3))

    assert log.printed.tail == ("line 3",)


def test_it_knows_how_long_the_present_opening_is() -> None:
    log = TimedLog()
    for _ in range(2):
        log.open()
        log.feed(lines(1))

    assert log.size == len(lines(1))


@pytest.mark.parametrize("size", [100, 5_000, 65_536])
def test_of_a_talkative_program_the_outputs_and_the_last_lines_are_kept(size: int) -> None:
    """Of pieces without an output only the last lines are looked at."""
    talk = b"".join(
        b"2026-01-01T00:%02d:%02d.000000000Z line %d\n" % (*divmod(number, 60), number)
        for number in range(3000)
    )
    output = b'2026-01-01T01:00:00Z ###Phase-output###: {"key":"a","value":"b"}\n'
    content = talk + output + talk.replace(b"T00:", b"T02:") + talk[:30]
    log = TimedLog()
    log.open()
    for start in range(0, len(content), size):
        log.feed(content[start : start + size])

    assert log.size == len(content)
    assert log.end().printed == Printed({"a": "b"}, words(*range(2990, 3000)))
    log.open()
    log.feed(b"2026-01-01T02:49:59Z line 2999\n2026-01-01T03:00:00Z more\n")

    result = log.end()
    assert result.printed.tail[-2:] == ("line 2999", "more"), "each line once"
    assert not result.rotated, "the last line is known, whatever was skipped"
