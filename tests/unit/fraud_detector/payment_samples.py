"""Payments and labels by chance, with late ones, as a log would hold them."""

from __future__ import annotations

import random
from decimal import Decimal

from services.fraud_detector.domain.payment import Label, Payment

DAY_MS = 86_400_000
START_MS = 1_767_225_600_000


def payment(number: int, time_ms: int, card: str = "c1", **fields: object) -> Payment:
    micros = int(str(fields.pop("micros", 10_000_000)))
    terminal = fields.pop("terminal", "t1")
    return Payment(
        sequence=number,
        card=card,
        payment_id=f"p{number}",
        time_ms=time_ms,
        amount=Decimal(micros).scaleb(-6),
        micros=micros,
        terminal=None if terminal is None else str(terminal),
    )


def log(seed: int, payments: int, days: int) -> list[Payment | Label]:
    """Return payments in about the order of time, and labels when they became known.

    Some payments are hours or days late, some by more than the 37 days that count; some labels
    come early, some late, some are taken back, some are of no payment.
    """
    chance = random.Random(seed)
    placed: list[tuple[float, Payment | Label]] = []
    for number in range(payments):
        time_ms = START_MS + chance.randrange(days * DAY_MS)
        late = chance.choice([0] * 12 + [0.1, 2, 8, 20, 45]) * DAY_MS
        made = payment(
            number,
            time_ms,
            card=f"c{chance.randrange(12)}",
            terminal=chance.choice([None, *(f"t{n}" for n in range(8))]),
            micros=chance.choice([0, 1, 10**25, *(chance.randrange(10**9) for _ in range(30))]),
        )
        placed.append((time_ms + late, made))
        if chance.random() < 0.3:
            known = time_ms + late + chance.choice([0.2, 3, 7, 8, 20]) * DAY_MS
            for fraud in chance.choice([[True], [True], [True, True], [True, False]]):
                known += 1
                name = chance.choice([*[made.payment_id] * 20, "unknown"])
                placed.append((known, Label(number, made.card, name, int(known), fraud)))
    return [message for _, message in sorted(placed, key=lambda entry: entry[0])]
