"""Sums of floats that do not depend on order, nor on how the events were cut into batches.

The state is a list of floats whose exact sum is the exact sum of all values; it is rounded
once, when `value` is asked for. Lists of floats as exact numbers: Shewchuk, "Adaptive Precision
Floating-Point Arithmetic and Fast Robust Geometric Predicates", 1997, section 2; the correctly
rounded sum of such a list is Python's `math.fsum`.
"""

from __future__ import annotations

from math import fsum, inf, nan
from typing import Final

LARGEST: Final = 2.0**960
"""Greatest magnitude (about 1e289) that counts as finite: 2**63 such values do not overflow."""

_LEAST: Final = -LARGEST

_PENDING: Final = 16
"""As many terms gather before they are summed up: fewer cost time, more cost memory."""


class ExactSum:
    """`Aggregate` of a sum: a list of floats, `[]` for nothing.

    Equal values give equal bits, whatever their order, cut and merging. A value beyond
    `LARGEST` counts as an infinity of its sign; infinities of both signs, or a NaN, give NaN.
    """

    @staticmethod
    def new() -> list[float]:
        """Return the sum of nothing."""
        return []

    @staticmethod
    def add(terms: list[float], value: float) -> list[float]:
        """Add a value, in place."""
        if not _LEAST <= value <= LARGEST:
            value = inf if value > 0 else -inf if value < 0 else nan
        elif terms:
            last = terms[-1]
            total = last + value
            # Both hold only if nothing was rounded off: the one whose first operand is the
            # greater in magnitude is exact by itself (Shewchuk's Fast-Two-Sum, theorem 6).
            if total - last == value and total - value == last:
                terms[-1] = total
                return terms
        terms.append(value)
        if not len(terms) % _PENDING:  # not at every length above: wild values leave many terms
            terms[:] = _condensed(terms)
        return terms

    @staticmethod
    def merge(left: list[float], right: list[float]) -> list[float]:
        """Add all of `right` to `left`, in place."""
        left += right
        if len(left) >= _PENDING:
            left[:] = _condensed(left)
        return left

    @staticmethod
    def value(terms: list[float]) -> float:
        """Return the sum, rounded once, to nearest even."""
        try:
            return fsum(terms)
        except ValueError:  # fsum's word for infinities of both signs
            return nan


def _condensed(terms: list[float]) -> list[float]:
    """Return few floats with the same exact sum: the rounded sum, what it left out, and so on."""
    rest = list(terms)
    condensed: list[float] = []
    while total := ExactSum.value(rest):
        if total - total != 0:  # infinite or NaN: no rest to speak of
            return [total]
        condensed.append(total)
        rest.append(-total)
    return condensed or [0.0]
