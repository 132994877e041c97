"""Amounts mean what they mean to the Kubernetes API."""

from decimal import Decimal
from typing import Any

import pytest

from reconcilers.pods import quantities


@pytest.mark.parametrize(
    ("quantity", "amount"),
    [
        pytest.param(2, "2", id="a bare number"),
        pytest.param("2", "2", id="a number as text"),
        pytest.param("500m", "0.5", id="thousandths, of a core say"),
        pytest.param("100u", "0.0001", id="millionths"),
        pytest.param("1k", "1000", id="a small k is a thousand"),
        pytest.param("1M", "1000000", id="a capital is a power of 1000"),
        pytest.param("1Ki", "1024", id="with an i it is one of 1024"),
        pytest.param("1.5Gi", "1610612736", id="parts of a unit"),
        pytest.param("1e9", "1000000000", id="an exponent"),
        pytest.param("12E-1", "1.2", id="an exponent with a capital"),
        pytest.param("2E", "2000000000000000000", id="a capital E alone is a unit"),
        pytest.param(".5", "0.5", id="without a digit before the point"),
        pytest.param("5.", "5", id="without a digit after it"),
        pytest.param("+1", "1", id="a sign"),
        pytest.param("1e5000", "9223372036854775807", id="more than the API server counts"),
        pytest.param("9" * 5000, "9223372036854775807", id="the same, written in full"),
        pytest.param("10E", "9223372036854775807", id="the same, by its unit"),
        pytest.param("1e9999999999", "9223372036854775807", id="more than Python counts"),
        pytest.param("1e-9999999999", "1e-100", id="less than anybody counts"),
    ],
)
def test_is(quantity: Any, amount: str) -> None:
    assert quantities.amount(quantity) == Decimal(amount)


@pytest.mark.parametrize(
    "quantity",
    [
        pytest.param("", id="nothing"),
        pytest.param("lots", id="a word"),
        pytest.param("1K", id="a unit that there is not: the small k, or Ki"),
        pytest.param("1 Gi", id="a space"),
        pytest.param("1GiB", id="too much of a unit"),
        pytest.param(None, id="null"),
        pytest.param({}, id="an object"),
    ],
)
def test_is_none(quantity: Any) -> None:
    with pytest.raises(ValueError, match=r"is no quantity|has an unknown unit"):
        quantities.amount(quantity)
