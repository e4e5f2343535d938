"""Quantities, as apimachinery reads them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from fairlead.api.quantities import parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", "2"),
        (2, "2"),
        ("500m", "0.5"),
        ("1.5Gi", "1610612736"),
        ("1G", "1000000000"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("1E", "1000000000000000000"),
        ("12e-1", "1.2"),
        ("-1", "-1"),
        ("+1k", "1000"),
        ("100n", "0.0000001"),
    ],
)
def test_reads(text: str | int, value: str) -> None:
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "Mi", "1Q", "1 Gi", "1,5", "1gi", "--1", "1e", "1e999999999", "٣"])
def test_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a quantity|too large an exponent"):
        parse_quantity(text)
