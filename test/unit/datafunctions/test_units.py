"""Sizes as the outputs of the functions have always had them."""

import pytest

from reconcilers.datafunctions.units import binary, decimal


@pytest.mark.parametrize(
    ("size", "text"),
    [
        pytest.param(0, "0 B", id="nothing"),
        pytest.param(1023, "1023 B", id="bytes have no decimals"),
        pytest.param(1024, "1.000 KiB", id="the step is 1024"),
        pytest.param(1_294_000, "1.234 MiB", id="three decimals"),
        pytest.param(5 * 1024**3, "5.000 GiB", id="gibibytes"),
        pytest.param(3 * 1024**4 // 2, "1.500 TiB", id="tebibytes"),
        pytest.param(2048 * 1024**4, "2048.000 TiB", id="nothing above tebibytes"),
    ],
)
def test_restic_s_format(size: int, text: str) -> None:
    assert binary(size) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        pytest.param(0, "0 B", id="nothing"),
        pytest.param(9, "9 B", id="below ten bytes there is no decimal"),
        pytest.param(12, "12 B", id="nor for other bytes"),
        pytest.param(999, "999 B", id="the step is 1000"),
        pytest.param(1000, "1.0 kB", id="one decimal below ten"),
        pytest.param(1_249_999, "1.2 MB", id="rounded to the nearest"),
        pytest.param(1_250_000, "1.3 MB", id="a half goes up"),
        pytest.param(9_949_999, "9.9 MB", id="just below ten"),
        pytest.param(9_950_000, "10 MB", id="ten has no decimal"),
        pytest.param(82_854_982, "83 MB", id="go-humanize's own example"),
        pytest.param(999_999, "1000 kB", id="rounding does not change the unit"),
        pytest.param(1_200_000_000, "1.2 GB", id="gigabytes"),
        pytest.param(2 * 10**18, "2.0 EB", id="exabytes"),
    ],
)
def test_the_kopia_server_functions_format(size: int, text: str) -> None:
    assert decimal(size) == text
