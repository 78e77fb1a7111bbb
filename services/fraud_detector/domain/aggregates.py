"""Detectors of count, sum, avg and stddev over a sliding window."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any, Final

from services.fraud_detector.domain.findings import (
    MICROS,
    MOST_EVIDENCE,
    Bounds,
    Finding,
    bounds,
    money,
    quotient,
    root,
    subject,
)
from services.fraud_detector.domain.frames import Frame, frame
from services.fraud_detector.domain.payment import Payment
from services.fraud_detector.domain.rows import (
    MOST_SEQUENCES,
    TRIM_MASK,
    Rows,
    first_counted,
    first_squared,
    first_summed,
    inside,
)
from services.fraud_detector.domain.rules import Limit, Rule

Record = list[Any]
"""A key's states: the layout, then one state a detector, None before the first payment."""

Step = Callable[[Record, Payment], Finding | None]
_FEWEST: Final = 2


def count(rule: Rule, limit: Limit, slot: int) -> Step:
    """Return the detector of a number of payments."""
    window = frame(rule.window_ms)
    size, length, reach = window.bucket_ms, window.buckets, window.reach
    broken = bounds(limit)
    low, high, wanted = broken.low, broken.high, broken.wanted
    tell = _teller(rule, limit, window, lambda number, _total, _square: str(number))

    def step(record: Record, payment: Payment) -> Finding | None:
        rows: Rows | None = record[slot]
        bucket = payment.time_ms // size
        if rows is None:
            rows = record[slot] = first_counted(bucket, payment)
            return tell(rows, 1, payment) if (low <= 1 <= high) is wanted else None
        buckets, counts, sequences = rows.buckets, rows.counts, rows.sequences
        newest = buckets[-1]
        if bucket < newest:
            return behind(rows, bucket, payment)
        number = counts[-1] + 1
        sequences.append(payment.sequence)
        if bucket > newest:
            buckets.append(bucket)
            counts.append(number)
            if not len(buckets) & TRIM_MASK:
                rows.forget(bucket - reach)
        else:
            counts[-1] = number
            if len(sequences) > MOST_SEQUENCES:
                del sequences[:MOST_EVIDENCE]
        bound = bucket - length
        if buckets[1] > bound:
            number -= counts[0]
        else:
            number -= counts[bisect_right(buckets, bound) - 1]
        if (low <= number <= high) is not wanted:
            return None
        return tell(rows, len(buckets) - 1, payment)

    def behind(rows: Rows, bucket: int, payment: Payment) -> Finding | None:
        at = rows.add(bucket, reach, payment)
        number = rows.counts[at] - rows.counts[rows.before(at, length, reach)] if at else 1
        return tell(rows, at, payment) if (low <= number <= high) is wanted else None

    return step


def total(rule: Rule, limit: Limit, slot: int) -> Step:  # noqa: C901  calls cost more
    """Return the detector of a sum of amounts."""
    window = frame(rule.window_ms)
    size, length, reach = window.bucket_ms, window.buckets, window.reach
    broken = bounds(limit, MICROS)
    low, high, wanted = broken.low, broken.high, broken.wanted
    tell = _teller(rule, limit, window, lambda _number, total, _square: money(total))

    def step(record: Record, payment: Payment) -> Finding | None:
        rows: Rows | None = record[slot]
        bucket = payment.time_ms // size
        if rows is None:
            rows = record[slot] = first_summed(bucket, payment)
            return tell(rows, 1, payment) if (low <= payment.micros <= high) is wanted else None
        buckets, counts, sequences = rows.buckets, rows.counts, rows.sequences
        newest = buckets[-1]
        if bucket < newest:
            return behind(rows, bucket, payment)
        sums: list[int] = rows.sums  # type: ignore[assignment]  # rows that sum
        total = sums[-1] + payment.micros
        sequences.append(payment.sequence)
        if bucket > newest:
            buckets.append(bucket)
            counts.append(counts[-1] + 1)
            sums.append(total)
            if not len(buckets) & TRIM_MASK:
                rows.forget(bucket - reach)
        else:
            counts[-1] += 1
            sums[-1] = total
            if len(sequences) > MOST_SEQUENCES:
                del sequences[:MOST_EVIDENCE]
        bound = bucket - length
        if buckets[1] > bound:
            total -= sums[0]
        else:
            total -= sums[bisect_right(buckets, bound) - 1]
        if (low <= total <= high) is not wanted:
            return None
        return tell(rows, len(buckets) - 1, payment)

    def behind(rows: Rows, bucket: int, payment: Payment) -> Finding | None:
        at = rows.add(bucket, reach, payment)
        total = payment.micros
        if at:
            sums: list[int] = rows.sums  # type: ignore[assignment]  # rows that sum
            total = sums[at] - sums[rows.before(at, length, reach)]
        return tell(rows, at, payment) if (low <= total <= high) is wanted else None

    return step


def average(rule: Rule, limit: Limit, slot: int) -> Step:
    """Return the detector of a mean amount."""
    least = int(limit.value * MICROS)
    return _moments(
        rule,
        (limit, slot),
        lambda number, total, _: total - least * number,
        lambda number, total, _: quotient(total, number * MICROS),
    )


def deviation(rule: Rule, limit: Limit, slot: int) -> Step:
    """Return the detector of a sample standard deviation; one payment has none."""
    square_limit = int(limit.value * MICROS) ** 2

    def compared(number: int, total: int, square: int) -> int | None:
        if number < _FEWEST:
            return None
        return number * square - total * total - square_limit * number * (number - 1)

    def shown(number: int, total: int, square: int) -> str:
        return root(number * square - total * total, number * (number - 1) * MICROS**2)

    return _moments(rule, (limit, slot), compared, shown)


def _moments(
    rule: Rule,
    place: tuple[Limit, int],
    compared: Callable[[int, int, int], int | None],
    shown: Callable[[int, int, int], str],
) -> Step:
    """Return a detector that compares with 0 a number made of count, sum and sum of squares."""
    limit, slot = place
    window = frame(rule.window_ms)
    size, length, reach = window.bucket_ms, window.buckets, window.reach
    broken = bounds(Limit(limit.operator, limit.value * 0))
    tell = _teller(rule, limit, window, shown)
    first = first_summed if rule.aggregate and rule.aggregate.function == "avg" else first_squared

    def step(record: Record, payment: Payment) -> Finding | None:
        rows: Rows | None = record[slot]
        bucket = payment.time_ms // size
        if rows is None:
            rows, at = first(bucket, payment), 1
            record[slot] = rows
        else:
            at = rows.add(bucket, reach, payment)
        found = compared(*inside(rows, at, rows.before(at, length, reach) if at else 0, payment))
        if found is None or not _breaks(broken, found):
            return None
        return tell(rows, at, payment)

    return step


def _breaks(broken: Bounds, found: int) -> bool:
    return (broken.low <= found <= broken.high) is broken.wanted


def _teller(
    rule: Rule, limit: Limit, window: Frame, shown: Callable[[int, int, int], str]
) -> Callable[[Rows, int, Payment], Finding]:
    function = rule.aggregate.function if rule.aggregate else ""
    span = rule.window.text if rule.window else ""

    def tell(rows: Rows, at: int, payment: Payment) -> Finding:
        low = rows.before(at, window.buckets, window.reach) if at else 0
        number, total, square = inside(rows, at, low, payment)
        observed = shown(number, total, square)
        whose = subject(rule, payment)
        many = f"{number} payment{'' if number == 1 else 's'} of {whose} within {span}"
        what = many if function == "count" else f"{function} {observed}{_unit(payment)} of {many}"
        return Finding(
            rule,
            observed,
            str(limit),
            window.window(payment.time_ms),
            rows.evidence(low, at) if at else [payment.sequence],
            f"{what} (limit {limit})",
        )

    return tell


def _unit(payment: Payment) -> str:
    return f" {payment.currency}" if payment.currency else ""
