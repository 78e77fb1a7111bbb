"""Detectors that compare a payment with those before it: deviation, card testing, declines."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from decimal import Decimal

from services.fraud_detector.domain.aggregates import Record, Step
from services.fraud_detector.domain.findings import (
    EXACT,
    MICROS,
    Finding,
    money,
    own,
    quotient,
    six_places,
    subject,
)
from services.fraud_detector.domain.frames import Frame, frame
from services.fraud_detector.domain.kinds import (
    AmountDeviation,
    DeclinesThenApproval,
    SmallThenLarge,
)
from services.fraud_detector.domain.payment import Payment
from services.fraud_detector.domain.rows import (
    TRIM_MASK,
    Rows,
    first_counted,
    first_squared,
    inside,
)
from services.fraud_detector.domain.rules import Rule

Sums = tuple[int, int, int]
"""Number, sum, and `number * sum of squares - sum ** 2`, of amounts in millionths."""


def deviation(rule: Rule, kind: AmountDeviation, slot: int) -> Step:  # noqa: C901  calls cost more
    """Return the detector of an amount far above the key's mean."""
    window = frame(kind.memory.ms)
    size, length, reach = window.bucket_ms, window.buckets, window.reach
    least = kind.least
    judge, tell = _judged(kind), _teller(rule, kind, window)
    share_above, share_below = _share(kind)

    def step(record: Record, payment: Payment) -> Finding | None:
        rows: Rows | None = record[slot]
        bucket = payment.time_ms // size
        if rows is None:
            record[slot] = first_squared(bucket, payment)
            return None
        buckets = rows.buckets
        last = buckets[-1]
        if bucket < last:
            return behind(rows, bucket, payment)
        counts, micros = rows.counts, payment.micros
        sums: list[int] = rows.sums  # type: ignore[assignment]  # rows that sum
        squares: list[int] = rows.squares  # type: ignore[assignment]  # as above
        bound = bucket - length
        low = 0 if buckets[1] > bound else bisect_right(buckets, bound) - 1
        count, total = counts[-1], sums[-1]
        number = count - counts[low]
        excess = None
        if number >= least:
            before = total - sums[low]
            # a share of the mean is the least that the limit can be: most stay below that
            if (number * micros - before) * share_below > share_above * before:
                excess = judge(number, micros, before, squares[-1] - squares[low])
        if bucket == last:
            counts[-1] = count + 1
            sums[-1] = total + micros
            squares[-1] += micros * micros
        else:
            buckets.append(bucket)
            counts.append(count + 1)
            sums.append(total + micros)
            squares.append(squares[-1] + micros * micros)
        rows.sequences.append(payment.sequence)
        found = excess and tell(rows, (low, len(buckets) - 1), payment, excess)
        if not count & TRIM_MASK:
            rows.forget(bucket - reach)
        return found

    def behind(rows: Rows, bucket: int, payment: Payment) -> Finding | None:
        at = rows.add(bucket, reach, payment)
        if not at:
            return None
        low = rows.before(at, length, reach)
        number, micros = rows.counts[at] - rows.counts[low] - 1, payment.micros
        _, total, square = inside(rows, at, low, payment)
        if number < least:
            return None
        found = judge(number, micros, total - micros, square - micros * micros)
        return None if found is None else tell(rows, (low, at), payment, found)

    return step


def small_then_large(rule: Rule, kind: SmallThenLarge, slot: int) -> Step:
    """Return the detector of card testing."""
    window = frame(kind.window.ms)
    small, large = int(kind.small_amount * MICROS), int(kind.large_amount * MICROS)
    size, length, reach = window.bucket_ms, window.buckets, window.reach
    least = kind.small_count

    def step(record: Record, payment: Payment) -> Finding | None:
        micros = payment.micros
        if small < micros < large:
            return None
        rows: Rows | None = record[slot]
        if micros <= small:
            bucket = payment.time_ms // size
            if rows is None:
                record[slot] = first_counted(bucket, payment)
            else:
                rows.add(bucket, reach, payment)
            return None
        if rows is None or rows.buckets[-1] <= payment.time_ms // size - length:
            return None
        number, earlier = _earlier(rows, window, payment)
        if number < least:
            return None
        return Finding(
            rule,
            str(number),
            f">= {least}",
            window.window(payment.time_ms),
            own(payment, earlier),
            f"{money(micros)} after {number} payments of at most {kind.small_amount} of"
            f" {subject(rule, payment)} within {kind.window.text} (limit >= {least})",
        )

    return step


def declines(rule: Rule, kind: DeclinesThenApproval, slot: int) -> Step:
    """Return the detector of an approval after declines."""
    window = frame(kind.window.ms)
    size, length, reach = window.bucket_ms, window.buckets, window.reach
    least = kind.declines

    def step(record: Record, payment: Payment) -> Finding | None:
        rows: Rows | None = record[slot]
        if payment.declined:
            bucket = payment.time_ms // size
            if rows is None:
                record[slot] = first_counted(bucket, payment)
            else:
                rows.add(bucket, reach, payment)
            return None
        if rows is None or rows.buckets[-1] <= payment.time_ms // size - length:
            return None
        number, earlier = _earlier(rows, window, payment)
        if number < least:
            return None
        return Finding(
            rule,
            str(number),
            f">= {least}",
            window.window(payment.time_ms),
            own(payment, earlier),
            f"approved after {number} declined payments of {subject(rule, payment)}"
            f" within {kind.window.text} (limit >= {least})",
        )

    return step


def _earlier(rows: Rows, window: Frame, payment: Payment) -> tuple[int, list[int]]:
    """Return how many rows' payments lie in the window of one that is not among them, and which."""
    bucket = payment.time_ms // window.bucket_ms
    at = rows.last(bucket)
    bound = max(bucket - window.buckets, rows.buckets[-1] - window.reach)
    low = rows.last(bound)
    if low >= at:
        return 0, []
    return rows.counts[at] - rows.counts[low], rows.evidence(low, at)


def _share(kind: AmountDeviation) -> tuple[int, int]:
    """Return how much of the mean is the least that an amount must be above it, as a fraction."""
    return EXACT.multiply(kind.deviations, kind.least_spread).as_integer_ratio()


def _judged(kind: AmountDeviation) -> Callable[[int, int, int, int], Sums | None]:
    """Return what compares an amount with number, sum and sum of squares of the earlier ones."""
    above, below = kind.deviations.as_integer_ratio()
    share_above, share_below = _share(kind)
    above_square, below_square = above * above, below * below

    def judge(number: int, micros: int, total: int, square: int) -> Sums | None:
        excess = number * micros - total
        if excess * share_below <= share_above * total:
            return None
        scatter = number * square - total * total
        if excess * excess * below_square * (number - 1) <= above_square * number * scatter:
            return None
        return number, total, scatter

    return judge


def _teller(
    rule: Rule, kind: AmountDeviation, window: Frame
) -> Callable[[Rows, tuple[int, int], Payment, Sums], Finding]:
    def tell(rows: Rows, span: tuple[int, int], payment: Payment, sums: Sums) -> Finding:
        number, total, scatter = sums
        mean = quotient(total, number * MICROS)
        limit = f"> {_upper(kind, number, total, scatter)}"
        return Finding(
            rule,
            money(payment.micros),
            limit,
            window.window(payment.time_ms),
            rows.evidence(*span),
            f"{money(payment.micros)} is more than {kind.deviations} standard deviations above"
            f" {mean}, the mean of {number} payments of {subject(rule, payment)}"
            f" within {kind.memory.text} (limit {limit})",
        )

    return tell


def _upper(kind: AmountDeviation, number: int, total: int, scatter: int) -> str:
    """Return the greatest amount that is not yet too much, rounded to six places.

    `scatter` is `number * sum of squares - total ** 2`, of amounts in millionths.
    """
    mean = EXACT.divide(Decimal(total), Decimal(number))
    square = EXACT.divide(Decimal(scatter), Decimal(number * (number - 1)))
    spread = max(EXACT.sqrt(square), EXACT.multiply(kind.least_spread, mean))
    most = EXACT.fma(kind.deviations, spread, mean)
    return six_places(EXACT.divide(most, Decimal(MICROS)))
