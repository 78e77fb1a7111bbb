"""Detectors of the smallest and the largest amount in a sliding window.

Beside the buckets runs a list of candidates, a monotonic queue: for the largest amount, those
that no later one reaches, so that the first one inside the window is the answer.
"""

from __future__ import annotations

from bisect import bisect_right

from msgspec import Struct

from services.fraud_detector.domain.aggregates import Record, Step
from services.fraud_detector.domain.findings import MICROS, Finding, bounds, money, subject
from services.fraud_detector.domain.frames import frame
from services.fraud_detector.domain.payment import Payment
from services.fraud_detector.domain.rows import Rows, counted
from services.fraud_detector.domain.rules import Limit, Rule


class Extremes(Struct, gc=False):
    """Rows, the largest value of each bucket, and the candidates with their buckets.

    Values are amounts in millionths, negative where the smallest is sought.
    """

    rows: Rows
    tops: dict[int, int]
    candidates: list[int]
    values: list[int]

    def add(self, bucket: int, reach: int, payment: Payment, value: int) -> int:
        """Take in a payment and return its row; 0 if it is too old to be remembered."""
        at = self.rows.add(bucket, reach, payment)
        if not at:
            return 0
        tops = self.tops
        if value > tops.get(bucket, value - 1):
            tops[bucket] = value
        self._propose(bucket, value)
        if len(tops) > 2 * len(self.rows.buckets) + 8:
            self._forget()
        return at

    def inside(self, at: int, length: int, reach: int) -> int:
        """Return the largest value of the window that ends with a row."""
        buckets = self.rows.buckets
        if at == len(buckets) - 1:
            return self.values[bisect_right(self.candidates, buckets[at] - length)]
        low = self.rows.before(at, length, reach)
        return max(self.tops[bucket] for bucket in buckets[low + 1 : at + 1])

    def _propose(self, bucket: int, value: int) -> None:
        candidates, values = self.candidates, self.values
        at = bisect_right(candidates, bucket)
        if at < len(values) and values[at] >= value:
            return
        first = at
        while first and values[first - 1] <= value:
            first -= 1
        candidates[first:at] = [bucket]
        values[first:at] = [value]

    def _forget(self) -> None:
        first = self.rows.buckets[1]
        self.tops = {bucket: top for bucket, top in self.tops.items() if bucket >= first}
        gone = bisect_right(self.candidates, first - 1)
        del self.candidates[:gone]
        del self.values[:gone]


def fresh() -> Extremes:
    """Return the state of a key without payments."""
    return Extremes(counted(), {}, [], [])


def extreme(rule: Rule, limit: Limit, slot: int) -> Step:
    """Return the detector of the smallest or the largest amount."""
    window = frame(rule.window_ms)
    size, length, reach = window.bucket_ms, window.buckets, window.reach
    broken = bounds(limit, MICROS)
    low, high, wanted = broken.low, broken.high, broken.wanted
    function = rule.aggregate.function if rule.aggregate else ""
    sign = -1 if function == "min" else 1

    def step(record: Record, payment: Payment) -> Finding | None:
        state: Extremes | None = record[slot]
        if state is None:
            state = record[slot] = fresh()
        value = sign * payment.micros
        at = state.add(payment.time_ms // size, reach, payment, value)
        found = sign * (state.inside(at, length, reach) if at else value)
        if (low <= found <= high) is not wanted:
            return None
        return tell(state, at, found, payment)

    def tell(state: Extremes, at: int, found: int, payment: Payment) -> Finding:
        rows = state.rows
        before = rows.before(at, length, reach) if at else 0
        number = rows.counts[at] - rows.counts[before] if at else 1
        unit = f" {payment.currency}" if payment.currency else ""
        return Finding(
            rule,
            money(found),
            str(limit),
            window.window(payment.time_ms),
            rows.evidence(before, at) if at else [payment.sequence],
            f"{function} {money(found)}{unit} of {number} payment{'' if number == 1 else 's'} of"
            f" {subject(rule, payment)} within {rule.window.text if rule.window else ''}"
            f" (limit {limit})",
        )

    return step
