"""Every aggregate over some 20,000 payments, against a database's own functions."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from decimal import Decimal

import duckdb
import pytest

from services.fraud_detector.domain.detectors import Board
from services.fraud_detector.domain.payment import Payment
from services.fraud_detector.domain.rules import Rule, parse_rule
from tests.fraud_oracle import Wanted, found_by

PAYMENTS = 20_000
START_MS = 1_790_000_000_000

RULES: dict[str, Wanted] = {
    "count-card": ("count", None, "1h", ">=", "4", "card"),
    "count-device": ("count", "device", "10m", ">", "2", "terminal"),
    "count-short": ("count", None, "45s", "==", "3", "terminal"),
    "sum-card": ("sum", "amount", "24h", ">", "400", "card"),
    "sum-pair": ("sum", "amount", "7d", ">=", "300", "card, merchant"),
    "avg-card": ("avg", "amount", "2h", ">", "60", "card"),
    "min-terminal": ("min", "amount", "30m", ">=", "8.5", "terminal"),
    "max-card": ("max", "amount", "1d", "<", "30", "card"),
    "stddev-card": ("stddev", "amount", "3d", ">", "55", "card"),
    "stddev-terminal": ("stddev", "amount", "50s", "<", "4", "terminal, country"),
    "distinct-merchant": ("distinct", "merchant", "15m", ">=", "3", "card"),
    "distinct-card": ("distinct", "card", "30d", ">=", "38", "country, mcc"),
}


@pytest.fixture(scope="module")
def payments() -> list[Payment]:
    """Bursts and pauses over some weeks, a few cards and terminals; one in a hundred comes late."""
    chance = random.Random(11)
    found = []
    time_ms = START_MS
    for sequence in range(1, PAYMENTS + 1):
        time_ms += int(chance.expovariate(1 / 90_000)) if chance.random() < 0.9 else 7
        amount = Decimal(int(chance.lognormvariate(7.5, 1.0))) / 100
        found.append(
            Payment(
                sequence=sequence,
                card=f"card-{chance.randrange(60)}",
                payment_id=f"p-{sequence}",
                time_ms=time_ms - (chance.randrange(9_000) if chance.random() < 0.01 else 0),
                amount=amount,
                micros=int(amount * 1_000_000),
                currency=chance.choice(["EUR", "EUR", "EUR", "JPY", None]),
                terminal=chance.choice(["t-1", "t-2", "t-3", None]),
                merchant=f"m-{chance.randrange(12)}",
                mcc=chance.choice(["5411", "7995"]),
                country=chance.choice(["DE", "FR", None]),
                device=chance.choice(["d-1", None]),
            )
        )
    return found


@pytest.fixture(scope="module")
def database(payments: list[Payment]) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(
            "create table payments (sequence bigint, card text, time_ms bigint,"
            " amount decimal(18, 6), micros hugeint, currency text, terminal text,"
            " merchant text, mcc text, country text, device text)"
        )
        rows = [
            (
                *(p.sequence, p.card, p.time_ms, p.amount, p.micros, p.currency),
                *(p.terminal, p.merchant, p.mcc, p.country, p.device),
            )
            for p in payments
        ]
        marks = ", ".join("(" + ", ".join(_quoted(v) for v in row) + ")" for row in rows)
        connection.execute(f"insert into payments values {marks}")
        yield connection


def _quoted(value: object) -> str:
    if value is None:
        return "null"
    return f"'{value}'" if isinstance(value, str) else str(value)


def rule(name: str) -> Rule:
    function, field, window, operator, value, group_by = RULES[name]
    text = {
        "aggregate": {"function": function, "field": field},
        "window": window,
        "limit": {"operator": operator, "value": value},
        "group_by": group_by.split(", "),
    }
    return parse_rule(json.dumps(text), name, 1)


@pytest.mark.parametrize("name", RULES)
def test_the_alerts_are_those_that_a_database_finds(
    name: str, payments: list[Payment], database: duckdb.DuckDBPyConnection
) -> None:
    board = Board([rule(name)])
    found = [payment.sequence for payment in payments if board.evaluate(payment)]
    assert found == found_by(database, RULES[name])
    assert 50 < len(found) < PAYMENTS - 2_000
