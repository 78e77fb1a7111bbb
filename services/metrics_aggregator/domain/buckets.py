"""Histogram buckets of VictoriaMetrics: 18 a decade from 1e-9 to 1e18, labelled `vmrange`.

As in github.com/VictoriaMetrics/metrics, histogram.go: `start...end` with the start excluded
and the end included; negative values are not counted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, pairwise, repeat
from operator import mul
from typing import Final

_LEAST: Final = -9
_GREATEST: Final = 18
_PER_DECADE: Final = 18
_STEP: Final = 1.1364636663857248  # the 18th root of 10


def _bounds() -> Iterator[float]:
    """Yield the ends as VictoriaMetrics computes them, the powers of ten exact."""
    for exponent in range(_LEAST, _GREATEST):
        yield from accumulate(repeat(_STEP, _PER_DECADE - 1), mul, initial=float(f"1e{exponent}"))
    yield float(f"1e{_GREATEST}")


_BOUNDS: Final = list(_bounds())
_RANGES: Final = [
    f"0...{_BOUNDS[0]:.3e}",
    *(f"{start:.3e}...{end:.3e}" for start, end in pairwise(_BOUNDS)),
    f"{_BOUNDS[-1]:.3e}...+Inf",
]


def fold(histogram: dict[int, int], values: Iterable[float]) -> dict[int, int]:
    """Add values, in place."""
    get = histogram.get
    for value in values:
        if value >= 0:
            bucket = bisect_left(_BOUNDS, value)
            histogram[bucket] = get(bucket, 0) + 1
    return histogram


def ranges(histogram: Mapping[int, int]) -> list[tuple[str, int]]:
    """Return `vmrange` and count of each bucket that is not empty, in the order of values."""
    return [(_RANGES[bucket], histogram[bucket]) for bucket in sorted(histogram)]
