"""The detector's own scorer over simulated payments, as it would run, and variants of it.

Payments come in the order of time. A label arrives when exactly seven days have passed: it is in
the log before the first payment of that instant or later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final, NamedTuple, Protocol, TypeVar

import numpy as np

from services.fraud_detector.domain.bins import places
from services.fraud_detector.domain.features import FEATURES, HANDBOOK_FEATURES, FeatureStore
from services.fraud_detector.domain.model import Model
from services.fraud_detector.domain.payment import Label, Payment
from services.fraud_detector.domain.scoring import LABEL_DELAY_MS, Scorer
from tests.bench.fraud_quality.generator import DAY_S, START_MS, Column, Simulated
from tests.bench.fraud_quality.periods import Period, rows_to_test, rows_to_train

Seen_contra = TypeVar("Seen_contra", contravariant=True)
Seen = TypeVar("Seen")

_MICROS_A_CENT: Final = 10_000
_DELAY_S: Final = LABEL_DELAY_MS // 1000
_NOT_SEEN: Final = bytes(len(FEATURES) - len(HANDBOOK_FEATURES))


class Learner(Protocol[Seen_contra]):
    """What predicts from what it sees of a payment, and learns from it."""

    def predict(self, seen: Seen_contra, /) -> float:
        """Return the score."""

    def learn(self, seen: Seen_contra, /, *, fraud: bool) -> None:
        """Learn whether it was fraud."""


class Observed(NamedTuple):
    """Payments as the model sees them: values of `FEATURES`, and their places."""

    values: Column
    places: list[bytes]


def online_scores(payments: Simulated, days: int) -> Column:
    """Return the score that the detector gave each payment of the first days at its time."""
    scorer = Scorer()
    scores = []
    for message in _log(payments, days):
        if isinstance(message, Label):
            scorer.label(message)
        else:
            scores.append(scorer.score(message))
    return np.array(scores)


def observed(payments: Simulated, days: int) -> Observed:
    """Return the features of each payment of the first days, as of its time."""
    store = FeatureStore(LABEL_DELAY_MS)
    until = int(np.searchsorted(payments.seconds, days * DAY_S))
    seen = Observed(np.zeros((until, len(FEATURES))), [])
    for message in _log(payments, days):
        if isinstance(message, Label):
            number = int(message.payment_id)
            store.fraud(f"t{payments.terminal[number]}", _time_ms(payments, number))
        else:
            values = store.features(message)
            seen.values[len(seen.places)] = values
            seen.places.append(places(values))
    return seen


def handbook_only(seen: list[bytes]) -> list[bytes]:
    """Return places as of payments of which only the Handbook's fifteen features are known."""
    return [found[: len(HANDBOOK_FEATURES)] + _NOT_SEEN for found in seen]


def replayed(payments: Simulated, seen: Iterable[Seen], learner: Learner[Seen]) -> Column:
    """Return the score of each payment by a learner that learns each seven days later."""
    seconds, fraud = payments.seconds.tolist(), payments.fraud.tolist()
    scores = []
    learned = 0
    behind = iter(seen)
    for number, one in enumerate(seen):
        while seconds[learned] + _DELAY_S < seconds[number]:
            learner.learn(next(behind), fraud=bool(fraud[learned]))
            learned += 1
        scores.append(learner.predict(one))
    return np.array(scores)


def of_one_week(payments: Simulated, seen: list[bytes], period: Period, passes: int) -> Column:
    """Return the scores in a test week, 0 elsewhere, by a model that learned its week to train."""
    model = Model()
    train = np.nonzero(rows_to_train(payments, period))[0].tolist()
    for _ in range(passes):
        for number in train:
            model.learn(seen[number], fraud=bool(payments.scenario[number]))
    scores = np.zeros(len(payments.day))
    for number in np.nonzero(rows_to_test(payments, period))[0].tolist():
        scores[number] = model.predict(seen[number])
    return scores


def _log(payments: Simulated, days: int) -> Iterator[Payment | Label]:
    until = int(np.searchsorted(payments.seconds, days * DAY_S))
    frauds = np.nonzero(payments.scenario[:until])[0].tolist()
    labeled = 0
    for number in range(until):
        payment = _payment(payments, number)
        while labeled < len(frauds):
            fraud = frauds[labeled]
            known_ms = _time_ms(payments, fraud) + LABEL_DELAY_MS
            if known_ms > payment.time_ms:
                break
            yield Label(0, f"c{payments.customer[fraud]}", str(fraud), known_ms, fraud=True)
            labeled += 1
        yield payment


def _payment(payments: Simulated, number: int) -> Payment:
    cents = int(payments.cents[number])
    return Payment(
        sequence=number + 1,
        card=f"c{payments.customer[number]}",
        payment_id=str(number),
        time_ms=_time_ms(payments, number),
        amount=Decimal(cents).scaleb(-2),
        micros=cents * _MICROS_A_CENT,
        terminal=f"t{payments.terminal[number]}",
    )


def _time_ms(payments: Simulated, number: int) -> int:
    return START_MS + int(payments.seconds[number]) * 1000
