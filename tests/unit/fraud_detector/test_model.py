"""The model learns what it is shown, by operations that every machine rounds alike."""

from __future__ import annotations

import math
import random

from services.fraud_detector.domain.bins import EDGES, PLACES, places
from services.fraud_detector.domain.features import FEATURES
from services.fraud_detector.domain.model import Model, logistic


def _values(**given: float) -> bytes:
    return places([given.get(name, 1.0) for name in FEATURES])


def test_the_logistic_function_is_that_of_the_library_but_for_its_last_bits() -> None:
    chance = random.Random(1)
    for x in [0.0, 30.0, -30.0, *(chance.uniform(-30, 30) for _ in range(10_000))]:
        assert math.isclose(logistic(x), 1 / (1 + math.exp(-x)), rel_tol=1e-14)
    assert logistic(1e300) == logistic(30.0) < 1
    assert logistic(-1e300) == logistic(-30.0) > 0


def test_every_feature_has_its_places() -> None:
    assert len(EDGES) == len(FEATURES)
    assert all(list(edges) == sorted(set(edges)) for edges in EDGES)
    assert max(PLACES) < 256
    for extreme in (-1e300, 0.0, 1e300):
        found = places([extreme] * len(FEATURES))
        assert all(place < size for place, size in zip(found, PLACES, strict=True))


def test_it_learns_a_step_in_one_feature_and_two_that_add_up() -> None:
    chance = random.Random(2)
    model = Model()
    for _ in range(30_000):
        amount, risk = chance.uniform(1, 400), chance.choice([0.0, 1.0])
        likely = 0.02 + (0.4 if amount > 220 else 0) + (0.5 if risk else 0)
        seen = _values(amount=amount, terminal_risk_7d=risk)
        model.learn(seen, fraud=chance.random() < likely)
    for amount, risk, likely in [(50, 0, 0.02), (350, 0, 0.42), (50, 1, 0.52), (350, 1, 0.92)]:
        found = model.predict(_values(amount=amount, terminal_risk_7d=risk))
        assert math.isclose(found, likely, abs_tol=0.15)


def test_genuine_payments_are_sampled_and_yet_count_fully() -> None:
    model = Model()
    chance = random.Random(3)
    for _ in range(40_000):
        model.learn(_values(), fraud=chance.random() < 0.1)
    assert math.isclose(model.predict(_values()), 0.1, abs_tol=0.03)
