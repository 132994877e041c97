"""Colours, columns and ages; nothing that a terminal obeys."""

from __future__ import annotations

import pytest

from fakes import objects
from reconcilers.plugin import screen
from reconcilers.plugin.screen import Cell, Paint, Tone


@pytest.mark.parametrize(
    ("environment", "terminal", "expected"),
    [
        pytest.param({}, True, True, id="a terminal has colours"),
        pytest.param({}, False, False, id="a pipe has none"),
        pytest.param({"NO_COLOR": "1"}, True, False, id="NO_COLOR switches them off"),
        pytest.param({"NO_COLOR": ""}, True, True, id="an empty NO_COLOR is none"),
        pytest.param({"TERM": "dumb"}, True, False, id="a dumb terminal has none"),
    ],
)
def test_when_there_are_colours(
    environment: dict[str, str], *, terminal: bool, expected: bool
) -> None:
    assert screen.wants_colours(environment, terminal=terminal) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("as it is", "as it is", id="words stay"),
        pytest.param("a\n  b\tc", "a b c", id="white space becomes one space"),
        pytest.param("\x1b]0;title\x07x", "?]0;title?x", id="a control sequence is disarmed"),
        pytest.param("\u202egnp.exe", "?gnp.exe", id="a mark that turns the text around is shown"),
        pytest.param("Größe", "Größe", id="letters of all languages stay"),
    ],
)
def test_text_of_the_cluster_is_made_plain(text: str, expected: str) -> None:
    assert screen.plain(text) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param("2026-01-01T00:00:00Z", "0s", id="now"),
        pytest.param("2025-12-31T23:58:01Z", "119s", id="under two minutes in seconds"),
        pytest.param("2025-12-31T23:58:00Z", "2m", id="from then on in minutes"),
        pytest.param("2025-12-31T22:01:00Z", "119m", id="under two hours in minutes"),
        pytest.param("2025-12-31T22:00:00Z", "2h", id="from then on in hours"),
        pytest.param("2025-12-30T00:00:01Z", "47h", id="under two days in hours"),
        pytest.param("2025-12-01T00:00:00Z", "31d", id="from then on in days"),
        pytest.param("2025-12-31T23:59:50.123456Z", "9s", id="a time with parts of a second"),
        pytest.param("2026-01-01T00:00:05Z", "0s", id="a clock that is ahead of ours"),
        pytest.param("", screen.UNKNOWN_AGE, id="no time"),
        pytest.param("yesterday", screen.UNKNOWN_AGE, id="no time at all"),
    ],
)
def test_ages(written: str, expected: str) -> None:
    assert screen.age(written, objects.NOW) == expected


def test_columns_are_as_wide_as_their_words_whatever_the_colours() -> None:
    rows = [[Cell("a-long-name"), Cell("Ready", Tone.GOOD)], [Cell("b"), Cell("", Tone.GOOD)]]

    without = screen.table(("NAME", "STATE"), rows, Paint(colours=False))
    coloured = screen.table(("NAME", "STATE"), rows, Paint(colours=True))

    assert without == ["NAME          STATE", "a-long-name   Ready", "b"]
    assert coloured == ["NAME          STATE", "a-long-name   \x1b[32mReady\x1b[0m", "b"]
