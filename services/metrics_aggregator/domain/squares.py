"""Variance from exact sums: the same bits whatever the order, and no cancellation.

Squares are summed without rounding: Dekker's product gives each as two floats whose sum is
exact ("A floating-point technique for extending the available precision", 1971). The terms
are those of `ExactSum`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import fsum
from typing import Final

_SPLIT: Final = 134_217_729.0  # 2**27 + 1


def squares(values: Iterable[float]) -> list[float]:
    """Return floats whose exact sum is that of the squares of the values."""
    terms: list[float] = []
    for value in values:  # `product(value, value)`, written out: half the time
        rounded = value * value
        big = _SPLIT * value
        high = big - (big - value)
        low = value - high
        terms += (rounded, ((high * high - rounded) + 2.0 * high * low) + low * low)
    return terms


def product(left: float, right: float) -> tuple[float, float]:
    """Return `left * right` as two floats, exactly, short of overflow and underflow."""
    rounded = left * right
    big = _SPLIT * left
    left_high = big - (big - left)
    left_low = left - left_high
    big = _SPLIT * right
    right_high = big - (big - right)
    right_low = right - right_high
    rest = (
        (left_high * right_high - rounded) + left_high * right_low + left_low * right_high
    ) + left_low * right_low
    return rounded, rest


def variance(count: int, sum_terms: Sequence[float], square_terms: Sequence[float]) -> float:
    """Return the population variance: the mean square distance from the (rounded) mean."""
    mean = fsum(sum_terms) / count
    terms = list(square_terms)
    for term in sum_terms:
        terms += product(-2.0 * mean, term)
    for part in product(float(count), mean):
        terms += product(part, mean)
    return max(fsum(terms), 0.0) / count
