"""The payments of a key, by buckets of time: counts and sums over any window of them, exact.

One row a bucket, oldest first, each with running totals since the first: what lies in a window
is the difference of two rows, found by bisection. A payment in order is one row more at the
end; one that comes late is put in its place, and the totals behind it are raised.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from msgspec import Struct

from services.fraud_detector.domain.findings import MOST_EVIDENCE
from services.fraud_detector.domain.payment import Payment

NEVER: Final = -(1 << 62)
TRIM_MASK: Final = 7
"""Old rows are forgotten each time that the number of rows is a multiple of eight."""

MOST_SEQUENCES: Final = 2 * MOST_EVIDENCE
"""So many sequences a key are remembered, at least half as many."""


class Rows(Struct, gc=False):
    """Rows of one key. The first is none: it holds the totals of what was forgotten.

    `sequences` are those of the newest payments, in the order of the rows. `sums` are of
    amounts in millionths, `squares` of their squares; None where the rule needs none.
    """

    buckets: list[int]
    counts: list[int]
    sums: list[int] | None
    squares: list[int] | None
    sequences: list[int]

    def add(self, bucket: int, reach: int, payment: Payment) -> int:
        """Take in a payment and return its row; 0 if it is too old to be remembered."""
        buckets, counts, sums, squares = self.buckets, self.counts, self.sums, self.squares
        newest = buckets[-1]
        if bucket < newest:
            return self._insert(bucket, reach, payment)
        if bucket == newest:
            counts[-1] += 1
            if sums is not None:
                sums[-1] += payment.micros
            if squares is not None:
                squares[-1] += payment.micros * payment.micros
        else:
            buckets.append(bucket)
            counts.append(counts[-1] + 1)
            if sums is not None:
                sums.append(sums[-1] + payment.micros)
            if squares is not None:
                squares.append(squares[-1] + payment.micros * payment.micros)
            if not len(buckets) & TRIM_MASK:
                self.forget(bucket - reach)
        self.sequences.append(payment.sequence)
        if len(self.sequences) > MOST_SEQUENCES:
            del self.sequences[:MOST_EVIDENCE]
        return len(buckets) - 1

    def before(self, at: int, frame_buckets: int, reach: int) -> int:
        """Return the last row before the window that ends with a row."""
        buckets = self.buckets
        bound = buckets[at] - frame_buckets
        if at != len(buckets) - 1:
            bound = max(bound, buckets[-1] - reach)
        return 0 if buckets[1] > bound else bisect_right(buckets, bound) - 1

    def last(self, bucket: int) -> int:
        """Return the last row up to a bucket."""
        return bisect_right(self.buckets, bucket) - 1

    def evidence(self, low: int, at: int) -> list[int]:
        """Return the newest sequences of the rows above `low` up to `at`, oldest first."""
        end = len(self.sequences) - (self.counts[-1] - self.counts[at])
        number = min(self.counts[at] - self.counts[low], MOST_EVIDENCE)
        return self.sequences[max(end - number, 0) : max(end, 0)]

    def forget(self, horizon: int) -> None:
        """Forget what lies at or before a bucket."""
        buckets, counts = self.buckets, self.counts
        last = bisect_right(buckets, horizon) - 1
        if last > 0:
            del buckets[1 : last + 1]
            for totals in (counts, self.sums, self.squares):
                if totals is not None:
                    totals[0] = totals[last]
                    del totals[1 : last + 1]
        surplus = len(self.sequences) - (counts[-1] - counts[0])
        if surplus > 0:
            del self.sequences[:surplus]
        if len(self.sequences) > MOST_SEQUENCES:
            del self.sequences[:MOST_EVIDENCE]

    def _insert(self, bucket: int, reach: int, payment: Payment) -> int:
        buckets, counts = self.buckets, self.counts
        if bucket <= buckets[-1] - reach:
            return 0
        at = bisect_right(buckets, bucket) - 1
        if buckets[at] != bucket:
            buckets.insert(at + 1, bucket)
            for totals in (counts, self.sums, self.squares):
                if totals is not None:
                    totals.insert(at + 1, totals[at])
            at += 1
        place = len(self.sequences) - (counts[-1] - counts[at])
        if place >= 0:
            self.sequences.insert(place, payment.sequence)
        micros = payment.micros
        for totals, more in ((counts, 1), (self.sums, micros), (self.squares, micros * micros)):
            if totals is not None:
                totals[at:] = [total + more for total in totals[at:]]
        return at


def counted() -> Rows:
    """Return rows of nothing yet, which count."""
    return Rows([NEVER], [0], None, None, [])


def first_counted(bucket: int, payment: Payment) -> Rows:
    """Return rows of a first payment, which count."""
    return Rows([NEVER, bucket], [0, 1], None, None, [payment.sequence])


def first_summed(bucket: int, payment: Payment) -> Rows:
    """Return rows of a first payment, which count and sum."""
    return Rows([NEVER, bucket], [0, 1], [0, payment.micros], None, [payment.sequence])


def first_squared(bucket: int, payment: Payment) -> Rows:
    """Return rows of a first payment, which count, sum, and sum squares."""
    micros = payment.micros
    sums, squares = [0, micros], [0, micros * micros]
    return Rows([NEVER, bucket], [0, 1], sums, squares, [payment.sequence])


def inside(rows: Rows, at: int, low: int, payment: Payment) -> tuple[int, int, int]:
    """Return count, sum and sum of squares of the rows above `low` up to `at`.

    Of a payment that is not remembered (`at` is 0): of itself.
    """
    micros = payment.micros
    if not at:
        return 1, micros, micros * micros
    return (
        rows.counts[at] - rows.counts[low],
        rows.sums[at] - rows.sums[low] if rows.sums else 0,
        rows.squares[at] - rows.squares[low] if rows.squares else 0,
    )
