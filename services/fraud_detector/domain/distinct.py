"""Detector of the number of different values of a field in a sliding window."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import attrgetter

from msgspec import Struct

from services.fraud_detector.domain.aggregates import Record, Step
from services.fraud_detector.domain.findings import MOST_EVIDENCE, Finding, bounds, own, subject
from services.fraud_detector.domain.frames import frame
from services.fraud_detector.domain.payment import Payment
from services.fraud_detector.domain.rows import TRIM_MASK
from services.fraud_detector.domain.rules import MOST_DISTINCT, Limit, Rule


class Values(Struct, gc=False):
    """What a key showed: each value once a bucket, with its first sequence there, by bucket.

    `last` is each value's newest bucket, `lasts` those buckets in order: how many of them are
    inside a window that ends with the newest bucket is the number of different values there.
    """

    buckets: list[int]
    values: list[str]
    sequences: list[int]
    last: dict[str, int]
    lasts: list[int]

    def add(self, bucket: int, value: str, sequence: int, reach: int) -> bool:
        """Take in a value; False if it is too old to be remembered."""
        buckets, lasts = self.buckets, self.lasts
        if buckets and bucket < buckets[-1]:
            return self._insert(bucket, value, sequence, reach)
        known = self.last.get(value)
        if known == bucket:
            return True
        buckets.append(bucket)
        self.values.append(value)
        self.sequences.append(sequence)
        if known is not None:
            del lasts[bisect_left(lasts, known)]
        self.last[value] = bucket
        lasts.append(bucket)
        if not len(buckets) & TRIM_MASK:
            self._forget(bucket - reach)
        return True

    def inside(self, bucket: int, length: int, reach: int) -> int:
        """Return how many different values lie in the window that ends with a bucket."""
        if bucket == self.buckets[-1]:
            return len(self.lasts) - bisect_right(self.lasts, bucket - length)
        first, end = self.rows(bucket, length, reach)
        return len(set(self.values[first:end]))

    def rows(self, bucket: int, length: int, reach: int) -> tuple[int, int]:
        """Return the rows of the window that ends with a bucket: the first, the one behind."""
        bound = max(bucket - length, self.buckets[-1] - reach)
        return bisect_right(self.buckets, bound), bisect_right(self.buckets, bucket)

    def _insert(self, bucket: int, value: str, sequence: int, reach: int) -> bool:
        if bucket <= self.buckets[-1] - reach:
            return False
        at = bisect_right(self.buckets, bucket)
        first = bisect_left(self.buckets, bucket)
        if value in self.values[first:at]:
            return True
        self.buckets.insert(at, bucket)
        self.values.insert(at, value)
        self.sequences.insert(at, sequence)
        known = self.last.get(value)
        if known is None or known < bucket:
            if known is not None:
                del self.lasts[bisect_left(self.lasts, known)]
            self.last[value] = bucket
            self.lasts.insert(bisect_right(self.lasts, bucket), bucket)
        return True

    def _forget(self, horizon: int) -> None:
        gone = max(bisect_right(self.buckets, horizon), len(self.buckets) - MOST_DISTINCT)
        if gone <= 0:
            return
        for bucket, value in zip(self.buckets[:gone], self.values[:gone], strict=True):
            if self.last.get(value) == bucket:
                del self.last[value]
                del self.lasts[bisect_left(self.lasts, bucket)]
        del self.buckets[:gone], self.values[:gone], self.sequences[:gone]


def fresh() -> Values:
    """Return the state of a key without payments."""
    return Values([], [], [], {}, [])


def distinct(rule: Rule, limit: Limit, slot: int) -> Step:
    """Return the detector of a number of different values; a missing value is none."""
    window = frame(rule.window_ms)
    size, length, reach = window.bucket_ms, window.buckets, window.reach
    broken = bounds(limit)
    low, high, wanted = broken.low, broken.high, broken.wanted
    field = (rule.aggregate.field if rule.aggregate else None) or "merchant"
    value_of = attrgetter(field)

    def step(record: Record, payment: Payment) -> Finding | None:
        value = value_of(payment)
        if value is None:
            return None
        state: Values | None = record[slot]
        if state is None:
            state = record[slot] = fresh()
        bucket = payment.time_ms // size
        kept = state.add(bucket, value, payment.sequence, reach)
        number = state.inside(bucket, length, reach) if kept else 1
        if (low <= number <= high) is not wanted:
            return None
        return tell(state, number, payment, kept=kept)

    def tell(state: Values, number: int, payment: Payment, *, kept: bool) -> Finding:
        evidence = [payment.sequence]
        if kept:
            first, end = state.rows(payment.time_ms // size, length, reach)
            evidence = state.sequences[max(first, end - MOST_EVIDENCE) : end]
            if evidence[-1] != payment.sequence:
                evidence = own(payment, evidence)
        return Finding(
            rule,
            str(number),
            str(limit),
            window.window(payment.time_ms),
            evidence,
            f"{number} different values of {field} in payments of {subject(rule, payment)}"
            f" within {rule.window.text if rule.window else ''} (limit {limit})",
        )

    return step
