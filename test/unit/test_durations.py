"""Durations as users write them."""

import pytest

from reconcilers import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("90s", 90.0, id="seconds"),
        pytest.param("5m", 300.0, id="minutes"),
        pytest.param("1h30m", 5400.0, id="parts are added up"),
        pytest.param("1.5h", 5400.0, id="a fraction"),
        pytest.param(".5h", 1800.0, id="a fraction of nothing before the point"),
        pytest.param("+5m", 300.0, id="a sign"),
        pytest.param("500ms", 0.5, id="ms is not m"),
        pytest.param("100us10ns", 0.00010001, id="the smallest units of Go"),
        pytest.param("2d", 172800.0, id="days, which Go lacks"),
        pytest.param(" 360s\n", 360.0, id="white space of a template"),
        pytest.param("0", 0.0, id="zero needs no unit"),
    ],
)
def test_a_duration_is_read_as_by_go(text: str, seconds: float) -> None:
    assert durations.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("5", id="no unit"),
        pytest.param("5 m", id="white space within"),
        pytest.param("-5m", id="a time in the past"),
        pytest.param("5m!", id="something after it"),
        pytest.param("++5m", id="two signs"),
        pytest.param(".h", id="a point alone"),
        pytest.param("\u0665m", id="digits of another script"),
        pytest.param("999999999h", id="beyond the end of the calendar"),
        pytest.param("9" * 1000 + "s", id="many digits"),
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|years"):
        durations.parse(text)
