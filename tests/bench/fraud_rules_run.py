"""What the rules cost a payment, and a card: `python -m tests.bench.fraud_rules_run`.

Optional arguments: the number of payments, of cards, and the milliseconds from one payment to
the next. Printed are microseconds of CPU a payment, over the second half, once the states are
filled: reading alone, the starter set, then each of its rules and each aggregate alone.
"""

from __future__ import annotations

import gc
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

from services.fraud_detector.domain.detectors import Board
from services.fraud_detector.domain.payment import Payment
from services.fraud_detector.domain.reading import read_payment
from services.fraud_detector.domain.rules import Rule, parse_rule
from services.fraud_detector.domain.starter import starter_rules

_START_MS: Final = 1_790_000_000_000
_ARRIVAL_NS: Final = 1_900_000_000_000_000_000
_AGGREGATES: Final = {
    "count": None,
    "sum": "amount",
    "avg": "amount",
    "stddev": "amount",
    "min": "amount",
    "max": "amount",
    "distinct": "merchant",
}


def main(count: int = 300_000, cards: int = 50_000, step_ms: int = 170) -> None:
    """Measure and print."""
    gc.set_threshold(50_000, 50, 50)
    payments = _traffic(count, cards, step_ms)
    gc.collect()
    gc.freeze()
    rules = [parse_rule(text, key, 1) for key, text in starter_rules().items()]
    body = json.dumps(_body(payments[0])).encode()
    reading = _cost(lambda: read_payment(body, "card-17", None, 1, _ARRIVAL_NS), 100_000)
    _say(f"reading {reading:.2f} us")
    _measure("starter set", rules, payments)
    for rule in rules:
        _measure(rule.id, [rule], payments)
    for function, field in _AGGREGATES.items():
        _measure(function, [_aggregate(function, field)], payments)


def _traffic(count: int, cards: int, step_ms: int) -> list[Payment]:
    chance = random.Random(1)
    homes = [(chance.uniform(40, 55), chance.uniform(0, 20)) for _ in range(cards)]
    time_ms, found = float(_START_MS), []
    for sequence in range(1, count + 1):
        time_ms += chance.expovariate(1 / step_ms)
        card = chance.randrange(cards)
        online = chance.random() < 0.4
        cents = min(int(100 * chance.lognormvariate(3.3, 0.8)), 500_000)
        found.append(
            Payment(
                sequence=sequence,
                card=f"card-{card}",
                payment_id=f"p-{sequence}",
                time_ms=int(time_ms),
                amount=Decimal(cents) / 100,
                micros=cents * 10_000,
                currency="EUR",
                terminal=f"t-{chance.randrange(5_000)}",
                merchant=f"m-{int(chance.paretovariate(0.7)) % 20_000}",
                mcc="5411",
                country="DE" if chance.random() < 0.999 else "FR",
                latitude=None if online else homes[card][0] + chance.gauss(0, 0.1),
                longitude=None if online else homes[card][1] + chance.gauss(0, 0.1),
                channel="ecom" if online else "pos",
                device=f"d-{card}" if online else None,
                declined=chance.random() < 0.03,
            )
        )
    return found


def _body(payment: Payment) -> dict[str, object]:
    return {
        "payment_id": payment.payment_id,
        "amount": str(payment.amount),
        "currency": "EUR",
        "time": "2026-09-23T08:00:00Z",
        "terminal": payment.terminal,
        "merchant": payment.merchant,
        "mcc": "5411",
        "country": "DE",
        "latitude": 52.5,
        "longitude": 13.4,
        "channel": "pos",
        "ip": "10.0.0.1",
        "device": "d-1",
        "declined": False,
    }


def _aggregate(function: str, field: str | None) -> Rule:
    text = {
        "aggregate": {"function": function, "field": field},
        "window": "1d",
        "limit": {"operator": ">=", "value": 9_999},
    }
    return parse_rule(json.dumps(text), function, 1)


def _measure(name: str, rules: Sequence[Rule], payments: Sequence[Payment]) -> None:
    board = Board(rules)
    half = len(payments) // 2
    for payment in payments[:half]:
        board.take(payment)
    found = 0
    began = time.process_time()
    for payment in payments[half:]:
        found += len(board.evaluate(payment))
    micros = (time.process_time() - began) / (len(payments) - half) * 1e6
    size = board.numbers()["bytes_a_card"]
    _say(f"{name:24} {micros:6.2f} us a payment, {found} findings, {size:.0f} bytes a card")


def _cost(work: Callable[[], object], times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times * 1e6


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
