"""The detector's own scorer over simulated payments, as it would run: in order of time, with labels
that arrive when the delay is over."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import numpy as np

from services.fraud_detector.domain.payment import Label, Payment
from services.fraud_detector.domain.scoring import LABEL_DELAY_MS, Scorer
from tests.bench.fraud_quality.generator import START_MS, Column, Simulated

_MICROS_A_CENT: Final = 10_000


def payment_of(payments: Simulated, number: int) -> Payment:
    """Return one simulated payment as the detector sees it."""
    cents = int(payments.cents[number])
    return Payment(
        sequence=number + 1,
        card=f"c{payments.customer[number]}",
        payment_id=str(number),
        time_ms=START_MS + int(payments.seconds[number]) * 1000,
        amount=Decimal(cents).scaleb(-2),
        micros=cents * _MICROS_A_CENT,
        terminal=f"t{payments.terminal[number]}",
    )


def online_scores(payments: Simulated, days: int) -> Column:
    """Return the score that each payment of the first days got at its time.

    A label arrives when exactly seven days have passed: it is in the log before the first
    payment of that instant or later.
    """
    scorer = Scorer()
    until = int(np.searchsorted(payments.seconds, days * 86_400))
    made = [payment_of(payments, number) for number in range(until)]
    frauds = [number for number in range(until) if payments.scenario[number]]
    scores = np.zeros(until)
    labeled = 0
    for number, payment in enumerate(made):
        while labeled < len(frauds):
            fraud = made[frauds[labeled]]
            known_ms = fraud.time_ms + LABEL_DELAY_MS
            if known_ms > payment.time_ms:
                break
            scorer.label(Label(0, fraud.card, fraud.payment_id, known_ms, fraud=True))
            labeled += 1
        scores[number] = scorer.score(payment)
    return scores
