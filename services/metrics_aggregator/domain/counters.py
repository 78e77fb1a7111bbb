"""Outputs over cumulative counters: what a window adds, given each series' last value before.

Semantics of VictoriaMetrics (lib/streamaggr: total.go, increase.go, rate.go), in event time
and in order of time: a sample below its predecessor is a reset and counts in full; after
`staleness_interval` of silence a series begins anew; the first sample of a series counts only
for outputs without `_prometheus`, and not within `ignore_first_sample_interval` of the rule's
start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from services.metrics_aggregator.domain.rules import Rule
from shared.log_stream.exact_sum import ExactSum

Last = list[Any]
"""`[time_ms, value]` of a series' latest sample."""

Sums = list[Any]
"""`[increase, increase_prometheus, rates, rated]`: terms, terms, terms, count of series."""


class Counting(Struct, frozen=True):
    """What a rule says about counters."""

    staleness_ms: int
    ignore_first_ms: int

    @classmethod
    def of(cls, rule: Rule) -> Counting:
        """Return that of a rule."""
        return cls(rule.staleness_ms, rule.ignore_first_sample_ms)

    def reduce(
        self, samples: Mapping[int, Sequence[Any]], lasts: dict[int, Last], started_ms: int
    ) -> Sums:
        """Return what the samples of a window add; `lasts` is brought up to date, in place.

        `samples` maps a series to `[time_ms, value, time_ms, value, ...]` in any order.
        """
        increase: list[float] = []
        prometheus: list[float] = []
        rates: list[float] = []
        rated = 0
        counted_ms = started_ms + self.ignore_first_ms
        for member, flat in samples.items():
            points = sorted(zip(flat[::2], flat[1::2], strict=True))
            rising, rate = self._series(points, lasts.get(member))
            for time_ms, step, first in rising:
                if not first:
                    ExactSum.add(increase, step)
                    ExactSum.add(prometheus, step)
                elif time_ms >= counted_ms:
                    ExactSum.add(increase, step)
            if rate is not None:
                ExactSum.add(rates, rate)
                rated += 1
            lasts[member] = list(points[-1])
        return [increase, prometheus, rates, rated]

    def _series(
        self, points: Sequence[tuple[int, float]], last: Last | None
    ) -> tuple[list[tuple[int, float, bool]], float | None]:
        """Return `(time_ms, step, is first)` of each sample, and the rate per second if any."""
        rising = list(self._rising(points, last))
        begins = max((at for at, (_, _, first) in enumerate(rising) if first), default=None)
        since = last[0] if begins is None and last is not None else points[begins or 0][0]
        seconds = (points[-1][0] - since) / 1_000
        if seconds <= 0:
            return rising, None
        terms: list[float] = []
        for _, step, _ in rising[0 if begins is None else begins + 1 :]:
            ExactSum.add(terms, step)
        return rising, ExactSum.value(terms) / seconds

    def _rising(
        self, points: Sequence[tuple[int, float]], last: Last | None
    ) -> Iterator[tuple[int, float, bool]]:
        for time_ms, value in points:
            if last is None or time_ms - last[0] > self.staleness_ms:
                yield time_ms, value, True
            else:
                yield time_ms, value - last[1] if value >= last[1] else value, False
            last = [time_ms, value]


def merge_sums(left: Sums, right: Sums) -> Sums:
    """Add all of `right` to `left`, in place."""
    for number in range(3):
        ExactSum.merge(left[number], right[number])
    left[3] += right[3]
    return left
