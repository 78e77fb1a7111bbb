"""Where a feature's value lies: the steps between which the model takes it as constant.

The edges are fixed, of round widths: geometric for amounts and ratios, so that four steps double
a value; finer where counts and shares are small. They know nothing of any data set, and a
payment keeps its places whatever comes later.
"""

from __future__ import annotations

from bisect import bisect_right
from math import ceil
from typing import Final

from services.fraud_detector.domain.features import FEATURES

_NO_YES: Final = (0.5,)
_COUNTS: Final = (
    *(0.5, 1.5, 2.5, 3.5, 4.5, 6.5, 9.5, 13.5, 18.5, 25.5, 35.5, 50.5, 70.5, 100.5, 140.5, 200.5),
    *(500.5, 1_000.5, 2_000.5, 5_000.5, 10_000.5),
)
_RISKS: Final = (
    *(1e-9, 0.02, 0.04, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.9999),
)
# Roots are taken here once, of whole numbers of half-octaves: 2 ** 0.25 is sqrt(sqrt(2)).
_QUARTERS: Final = (1.0, 1.189207115002721, 1.4142135623730951, 1.681792830507429)
_AMOUNTS: Final = tuple(root * 2.0**octave for octave in range(13) for root in _QUARTERS)
_RATIOS: Final = tuple(root * 2.0**octave for octave in range(-3, 5) for root in _QUARTERS)
_RUNS: Final = (0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 8.5, 10.5, 13.5, 16.5, 20.5, 24.5)
_HOURS: Final = (
    0.5,
    *range(168, 216, 12),
    *range(216, 888, 24),
    1_000,
    1_500,
    5_000,
)

_EDGES: Final = {
    "amount": _AMOUNTS,
    "weekend": _NO_YES,
    "night": _NO_YES,
    "amount_ratio": _RATIOS,
    "amount_earlier_ratio": _RATIOS,
    "terminal_fraud_run": _RUNS,
    "terminal_genuine_hours": _HOURS,
    "terminal_run_hours": _HOURS,
}
_EDGES_BY_KIND: Final = {"count": _COUNTS, "average": _AMOUNTS, "risk": _RISKS}

_WHOLE: Final = ("count", "run", "hours")
"""Features whose names have one of these words are whole numbers."""


def _edges(name: str) -> tuple[float, ...]:
    words = name.split("_")
    edges = _EDGES.get(name) or _EDGES_BY_KIND[words[1]]
    # a whole number is found among whole numbers in two thirds of the time
    return tuple(map(ceil, edges)) if set(words) & set(_WHOLE) else edges


EDGES: Final[tuple[tuple[float, ...], ...]] = tuple(map(_edges, FEATURES))
"""For each feature the values at which a new place begins."""

PLACES: Final = tuple(len(edges) + 1 for edges in EDGES)
"""For each feature how many places there are, at most 255."""


def places(values: list[float]) -> bytes:
    """Return the place of each of a payment's features, one byte each."""
    return bytes(map(bisect_right, EDGES, values))
