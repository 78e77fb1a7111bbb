"""Payments and rules for tests, and the definition of a window in plain Python."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec

from services.fraud_detector.domain.detectors import Board
from services.fraud_detector.domain.findings import Finding
from services.fraud_detector.domain.frames import frame
from services.fraud_detector.domain.payment import Payment
from services.fraud_detector.domain.rules import Rule, parse_rule

START_MS = 1_790_000_000_000
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


def paid(sequence: int, after_ms: int = 0, amount: str | Decimal = "10", **fields: Any) -> Payment:
    """Return a payment so long after the tests' first instant."""
    value = Decimal(amount)
    filled = {"card": "c", "currency": "EUR", "payment_id": f"p-{sequence}"} | fields
    return Payment(
        sequence=sequence,
        time_ms=START_MS + after_ms,
        amount=value,
        micros=int(value * 1_000_000),
        **filled,
    )


def rule(text: dict[str, Any], key: str = "r") -> Rule:
    return parse_rule(json.dumps(text), key, 1)


def aggregate(
    function: str, window: str, operator: str, value: object, field: str | None = None
) -> dict[str, Any]:
    return {
        "aggregate": {"function": function, "field": field},
        "window": window,
        "limit": {"operator": operator, "value": value},
    }


def results(board: Board, payments: Iterable[Payment]) -> list[list[Finding]]:
    return [board.evaluate(payment) for payment in payments]


def broken(board: Board, payments: Iterable[Payment]) -> list[tuple[int, str]]:
    """Return which payments broke which rules."""
    return [
        (payment.sequence, finding.rule.id)
        for payment in payments
        for finding in board.evaluate(payment)
    ]


def restored(board: Board, rules: Sequence[Rule]) -> Board:
    """Return a board that goes on from the other one's snapshot, encoded as the engine does."""
    pieces = [msgspec.msgpack.encode(piece) for piece in board.snapshot()]
    fresh = Board(rules)
    fresh.restore(msgspec.msgpack.decode(piece) for piece in pieces)
    assert [msgspec.msgpack.encode(piece) for piece in fresh.snapshot()] == pieces
    return fresh


class Oracle:
    """What one aggregate says of each payment, by the definition in `frames`."""

    def __init__(self, one: Rule) -> None:
        assert one.aggregate is not None
        assert one.limit is not None
        self._rule = one
        self._function, self._field = one.aggregate.function, one.aggregate.field
        self._frame = frame(one.window_ms)
        self._kept: dict[Any, list[tuple[int, Payment]]] = defaultdict(list)

    def visible(self, payment: Payment) -> list[Payment] | None:
        if self._rule.where is not None and not self._rule.where.matches(payment):
            return None
        values = [getattr(payment, field) for field in self._rule.group_by]
        counted = None if self._field == "amount" else self._field
        if None in values or (counted and getattr(payment, counted) is None):
            return None
        if self._rule.by_currency:
            values.append(payment.currency)
        kept = self._kept[tuple(values)]
        bucket = payment.time_ms // self._frame.bucket_ms
        newest = max([bucket, *(known for known, _ in kept)])
        if bucket <= newest - self._frame.reach:
            return [payment]
        kept.append((bucket, payment))
        first = max(bucket - self._frame.buckets, newest - self._frame.reach)
        inside = [(known, n) for n, (known, _) in enumerate(kept) if first < known <= bucket]
        return [kept[n][1] for _, n in sorted(inside)]

    def observed(self, seen: list[Payment]) -> Fraction | None:
        """Return the value; of stddev the square."""
        amounts = [Fraction(payment.amount) for payment in seen]
        many = len(amounts)
        functions: dict[str, Callable[[], Fraction | None]] = {
            "count": lambda: Fraction(many),
            "sum": lambda: sum(amounts, Fraction()),
            "avg": lambda: sum(amounts, Fraction()) / many,
            "min": lambda: min(amounts),
            "max": lambda: max(amounts),
            "distinct": lambda: Fraction(len({getattr(p, str(self._field)) for p in seen})),
            "stddev": lambda: (
                None
                if many < 2
                else sum(((a - sum(amounts, Fraction()) / many) ** 2 for a in amounts), Fraction())
                / (many - 1)
            ),
        }
        return functions[self._function]()

    def breaks(self, seen: list[Payment]) -> bool:
        value, limit = self.observed(seen), self._rule.limit
        assert limit is not None
        if value is None:
            return False
        most = Fraction(limit.value) ** (2 if self._function == "stddev" else 1)
        return {
            ">=": value >= most,
            ">": value > most,
            "<=": value <= most,
            "<": value < most,
            "==": value == most,
            "!=": value != most,
        }[limit.operator]
