"""All that is compared: who scores what, and how good that is in which weeks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from services.fraud_detector.domain.features import FEATURES
from services.fraud_detector.domain.model import Model
from tests.bench.fraud_quality.baselines import Fit, Rows, baselines, trees
from tests.bench.fraud_quality.batch import handbook_features
from tests.bench.fraud_quality.generator import Column, Simulated
from tests.bench.fraud_quality.linear import StandardizedLogistic
from tests.bench.fraud_quality.metrics import Predicted, Quality, quality
from tests.bench.fraud_quality.online import (
    Observed,
    handbook_only,
    observed,
    of_one_week,
    online_scores,
    replayed,
)
from tests.bench.fraud_quality.periods import (
    DAYS,
    FOUR_WEEKS,
    VALIDATION,
    WEEK,
    Period,
    rows_to_test,
    rows_to_train,
)

_PASSES: Final = 5
_FIRST_FULL_DAY: Final = 37
"""From here on the longest window is full."""

Score = Callable[[Period], Column]
"""Returns a score for each payment of a period's test week."""


class Result(NamedTuple):
    """A contender's quality in each of some weeks, and the CPU seconds that it took."""

    name: str
    weeks: list[Quality]
    seconds: float


def online(payments: Simulated, name: str) -> Iterator[Result]:
    """Yield what the detector's own scorer gets in the test weeks, and in those to tune on."""
    began = time.process_time()
    scores = partial(_given, online_scores(payments, DAYS))
    seconds = time.process_time() - began
    yield _by_week(name, payments, scores)._replace(seconds=seconds)
    yield _by_week("    its validation weeks", payments, scores, VALIDATION)


def variants(payments: Simulated) -> Iterator[Result]:
    """Yield what the detector would get with less: features, past, or model."""
    began = time.process_time()
    seen = observed(payments, DAYS)
    seconds = time.process_time() - began
    for name, replay in (
        ("online, the fifteen features only", _fifteen),
        ("online, standardized logistic regression", _plain),
    ):
        began = time.process_time()
        result = _by_week(name, payments, partial(_given, replay(payments, seen)))
        yield result._replace(seconds=seconds + time.process_time() - began)
    yield _by_week(
        "the detector's model, the training week only",
        payments,
        partial(of_one_week, payments, seen.places, passes=_PASSES),
    )
    yield _by_week(
        "XGBoost, batch, our features, all the past",
        payments,
        partial(_batch, payments, seen.values, trees(), all_past=True),
    )


def handbook(payments: Simulated) -> Iterator[Result]:
    """Yield what the Handbook's models get, trained on a week as there."""
    features = handbook_features(payments)
    for name, fit in baselines().items():
        score = partial(_batch, payments, features, fit)
        yield _by_week(f"{name}, batch, the training week", payments, score)


def _given(scores: Column, _: Period) -> Column:
    return scores


def _fifteen(payments: Simulated, seen: Observed) -> Column:
    return replayed(payments, handbook_only(seen.places), Model())


def _plain(payments: Simulated, seen: Observed) -> Column:
    return replayed(payments, seen.values, StandardizedLogistic(len(FEATURES)))


def _batch(
    payments: Simulated, features: Column, fit: Fit, period: Period, *, all_past: bool = False
) -> Column:
    """Return the scores of a model trained before a test week, 0 outside of that week."""
    train = rows_to_train(payments, period)
    if all_past:
        train = (payments.day >= _FIRST_FULL_DAY) & (payments.day < period.train + WEEK)
    test = rows_to_test(payments, period)
    scores = np.zeros(len(payments.day))
    train_numbers = np.nonzero(train)[0]
    rows = Rows(features[train_numbers], payments.fraud[train], features[np.nonzero(test)[0]])
    scores[test] = fit(rows)
    return scores


def _by_week(
    name: str, payments: Simulated, score: Score, periods: tuple[Period, ...] = FOUR_WEEKS
) -> Result:
    began = time.process_time()
    weeks = []
    for period in periods:
        scores = score(period)
        number = np.nonzero(rows_to_test(payments, period))[0]
        columns = (payments.fraud, payments.customer, payments.day)
        weeks.append(quality(Predicted(scores[number], *(column[number] for column in columns))))
    return Result(name, weeks, time.process_time() - began)
