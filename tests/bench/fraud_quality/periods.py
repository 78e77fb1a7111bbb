"""The Handbook's weeks: a week to train on, a week until labels are known, a week to test on."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from tests.bench.fraud_quality.generator import Column, Simulated

DELAY_DAYS: Final = 7
WEEK: Final = 7


class Period(NamedTuple):
    """First days, counted from 2018-04-01, of a week to train on and of the week to test on."""

    train: int

    @property
    def test(self) -> int:
        """First day of the test week."""
        return self.train + WEEK + DELAY_DAYS


HEADLINE: Final = Period(115)
"""Train on 2018-07-25 to 31, test on 2018-08-08 to 14."""

FOUR_WEEKS: Final = tuple(Period(115 + 7 * week) for week in range(4))
"""The Handbook's published figures of tuned models are means over these (section 5.3)."""

VALIDATION: Final = tuple(Period(101 - 7 * week) for week in range(4))
"""All that is tuned is tuned on these; their last test week ends on 2018-07-31."""

DAYS: Final = FOUR_WEEKS[-1].test + WEEK
"""Days that must be simulated in order, from the first on."""


def rows_to_train(payments: Simulated, period: Period) -> Column:
    """Return which payments are of the week to train on, a truth value each."""
    return (payments.day >= period.train) & (payments.day < period.train + WEEK)


def rows_to_test(payments: Simulated, period: Period) -> Column:
    """Return which payments count in the test week, a truth value each.

    Those of a card that is known by then to be compromised do not: known on a test day are the
    frauds of the week to train on, and those of the days up to the one 8 days before.
    """
    day, card, fraud = payments.day, payments.customer, payments.fraud == 1
    counted = np.zeros(len(day), dtype=bool)
    for test_day in range(period.test, period.test + WEEK):
        known_days = (day >= period.train) & (day < test_day - DELAY_DAYS)
        known = np.unique(card[fraud & known_days])
        counted |= (day == test_day) & ~np.isin(card, known)
    return counted
