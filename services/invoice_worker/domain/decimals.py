"""Decimal numbers of a job, bounded before anything is computed with them.

`Decimal("1e999999")` costs nothing until somebody rounds, adds or prints it; so the checks
here look at the exponent first, and all that passes them fits a printed invoice.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

from msgspec import Struct

from services.invoice_worker.domain.refusal import invalid

ARITHMETIC: Final = Context(prec=60, rounding=ROUND_HALF_UP)
"""Wide enough that only rounding to the currency's decimals ever loses a digit."""

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
_MOST_DECIMALS: Final = 6


class Range(Struct, frozen=True):
    """What a kind of number may be: bounds, and the most decimals."""

    least: Decimal
    most: Decimal
    decimals: int
    above: bool = False
    """Whether `least` itself is refused."""


QUANTITY = Range(ZERO, Decimal(999_999_999), _MOST_DECIMALS, above=True)
PRICE = Range(ZERO, Decimal(999_999_999), _MOST_DECIMALS)
AMOUNT = Range(ZERO, Decimal("999999999999.99"), 2, above=True)
PERCENT = Range(ZERO, Decimal(100), 4)

_QUANTA = tuple(Decimal(1).scaleb(-places) for places in range(_MOST_DECIMALS + 1))


def number(path: str, value: Decimal, allowed: Range) -> Decimal:
    """Return the value in its shortest plain form (2.50 as 2.5, 1E+3 as 1000, -0 as 0)."""
    if not value.is_finite():
        raise invalid(path, "must be a finite number")
    if not value:
        value = ZERO
    if value > allowed.most:
        raise invalid(path, f"must be at most {allowed.most}")
    if value <= allowed.least and (allowed.above or value != allowed.least):
        words = "must be greater than" if allowed.above else "must be at least"
        raise invalid(path, f"{words} {allowed.least}")
    whole = value.quantize(ONE, None, ARITHMETIC)
    if whole == value:
        return whole
    exact = value.quantize(_QUANTA[allowed.decimals], None, ARITHMETIC)
    if exact != value:
        raise invalid(path, f"must have at most {allowed.decimals} decimals")
    return exact.normalize(ARITHMETIC)


def optional_number(path: str, value: Decimal | None, allowed: Range) -> Decimal | None:
    """Return as `number` does, and None for what is missing."""
    return None if value is None else number(path, value, allowed)


def rounded(value: Decimal, smallest: Decimal) -> Decimal:
    """Round half up (away from zero) to the decimals of `smallest`."""
    return value.quantize(smallest, None, ARITHMETIC)
