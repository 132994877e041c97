"""Amounts of a resource, as the Kubernetes API writes them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

# The suffixes of k8s.io/apimachinery pkg/api/resource, with what one of them is.
_UNITS = {
    "": Decimal(1),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", start=1)},
    **{unit: Decimal(1000) ** -power for power, unit in enumerate("mun", start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
}
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([eE][+-]?\d+|[a-zA-Z]*)")


def amount(quantity: Any) -> Decimal:  # noqa: ANN401 - a user wrote it
    """Return what a quantity is, in its base unit: bytes, cores.

    Args:
        quantity: As in `resources.limits`: `1.5Gi`, `500m`, `1e9`, or a number.

    Raises:
        ValueError: It is none.
    """
    written = _QUANTITY.fullmatch(str(quantity))
    if written is None:
        raise ValueError(f"{quantity!r} is no quantity")
    number, suffix = written.groups()
    if suffix in _UNITS:
        return Decimal(number) * _UNITS[suffix]
    if suffix[1:].lstrip("+-").isdigit():
        return Decimal(f"{number}{suffix}")
    raise ValueError(f"{quantity!r} has an unknown unit")
