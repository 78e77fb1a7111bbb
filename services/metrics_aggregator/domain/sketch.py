"""Quantiles with at most 1 % relative error: DDSketch, mergeable and deterministic.

Masson, Rim, Lee: "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error
Guarantees", VLDB 2019. A value falls into the bucket (g^(i-1), g^i] with g = (1+a)/(1-a); its
estimate 2*g^i/(g+1) is at most a*value away. Buckets are never collapsed, so the bound holds
for every quantile. Instead of a logarithm, whose last bit differs between machines, the bucket
is looked up in a table made by multiplication.

A sketch is a dict from bucket to count; buckets are numbered so that their order is that of
the values: negative below 0, zero in bucket 0.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import accumulate, repeat
from math import log
from operator import mul
from typing import Final

ACCURACY: Final = 0.01
SMALLEST: Final = 1e-140
"""Below this magnitude a value counts as zero."""
LARGEST: Final = 1e140
"""Greatest magnitude of a sample; its square, times any count, is still a finite float."""

_GROWTH: Final = (1 + ACCURACY) / (1 - ACCURACY)
_BUCKETS: Final = int(log(LARGEST / SMALLEST) / log(_GROWTH)) + 2
_BOUNDS: Final = list(accumulate(repeat(_GROWTH, _BUCKETS), mul, initial=SMALLEST))


def fold(sketch: dict[int, int], values: Iterable[float]) -> dict[int, int]:
    """Add values, in place."""
    get = sketch.get
    for value in values:
        if value >= SMALLEST:
            bucket = bisect_left(_BOUNDS, value) + 1
        elif value <= -SMALLEST:
            bucket = -bisect_left(_BOUNDS, -value) - 1
        else:
            bucket = 0
        sketch[bucket] = get(bucket, 0) + 1
    return sketch


def merge(left: dict[int, int], right: Mapping[int, int]) -> dict[int, int]:
    """Add all of `right` to `left`, in place."""
    for bucket, count in right.items():
        left[bucket] = left.get(bucket, 0) + count
    return left


def quantiles(sketch: Mapping[int, int], phis: Iterable[float]) -> list[float]:
    """Return an estimate of the value of rank `int(phi * (count - 1) + 0.5)` for each phi.

    That is VictoriaMetrics' choice of rank. The sketch must not be empty.
    """
    buckets = sorted(sketch)
    counts = list(accumulate(sketch[bucket] for bucket in buckets))
    last = counts[-1] - 1
    return [_estimate(buckets[bisect_left(counts, int(phi * last + 0.5) + 1)]) for phi in phis]


def _estimate(bucket: int) -> float:
    if bucket == 0:
        return 0.0
    estimate = _BOUNDS[abs(bucket) - 1] * (2 / (_GROWTH + 1))
    return estimate if bucket > 0 else -estimate
