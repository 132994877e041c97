"""Amounts of a resource, as the Kubernetes API writes them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

# The suffixes of k8s.io/apimachinery pkg/api/resource, with what one of them is.
_UNITS: Final = {
    "": Decimal(1),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", start=1)},
    **{unit: Decimal(1000) ** -power for power, unit in enumerate("mun", start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
}
_QUANTITY: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([eE][+-]?\d+|[a-zA-Z]*)")

# The API server takes what is more for this.
LARGEST: Final = Decimal(2**63 - 1)
# Where the exponent does not count any more: the largest amount, or as good as nothing.
_LARGEST_EXPONENT: Final = 100


def amount(quantity: Any) -> Decimal:  # noqa: ANN401 - a user wrote it
    """Return what a quantity is, in its base unit: bytes, cores; `LARGEST` at most.

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
        return min(Decimal(number) * _UNITS[suffix], LARGEST)
    if suffix[1:].lstrip("+-").isdigit():
        exponent = max(min(int(suffix[1:]), _LARGEST_EXPONENT), -_LARGEST_EXPONENT)
        return min(Decimal(f"{number}e{exponent}"), LARGEST)
    raise ValueError(f"{quantity!r} has an unknown unit")
