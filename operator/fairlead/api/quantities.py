"""Kubernetes quantities: `500m`, `2`, `128Mi`, `1.5e3` (apimachinery, `pkg/api/resource/quantity.go`)."""

from __future__ import annotations

import re
from decimal import Decimal

__all__ = ["parse_quantity"]

_QUANTITY = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d+))?", re.ASCII)
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}

#: The API server clamps what is larger; a longer exponent would only make us compute large powers.
_MAX_EXPONENT = 30


def parse_quantity(text: str | int) -> Decimal:
    """Return the value of a quantity. Raises ValueError when it is none."""
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is not a quantity")
    number, suffix, exponent = match.groups()
    if suffix in _BINARY:
        return Decimal(number) * Decimal(1024) ** _BINARY[suffix]
    power = _DECIMAL[suffix] if suffix else int(exponent or 0)
    if abs(power) > _MAX_EXPONENT:
        raise ValueError(f"{text!r} has too large an exponent")
    return Decimal(number) * Decimal(10) ** power
