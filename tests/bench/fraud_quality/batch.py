"""The Handbook's fifteen features computed as it does, in one go: windows to the second."""

from __future__ import annotations

import numpy as np

from tests.bench.fraud_quality.generator import DAY_S, Column, Simulated
from tests.bench.fraud_quality.periods import DELAY_DAYS

_WINDOW_DAYS = (1, 7, 30)
_FIRST_WEEKDAY = 6
_SATURDAY = 5
_LAST_NIGHT_HOUR = 6


def handbook_features(payments: Simulated) -> Column:
    """Return a row of fifteen numbers for each payment, in the order of `HANDBOOK_FEATURES`.

    A window of days ends at the payment, that instant included, the one at its beginning not; a
    terminal's ends the label delay before it.
    """
    columns = [
        payments.cents / 100,
        ((payments.day + _FIRST_WEEKDAY) % 7 >= _SATURDAY).astype(float),
        (payments.seconds % DAY_S // 3600 <= _LAST_NIGHT_HOUR).astype(float),
    ]
    cards = _Groups(payments.customer, payments.seconds, payments.cents)
    for days in _WINDOW_DAYS:
        count, cents = cards.between(days, 0)
        columns += [count, cents / count / 100]
    terminals = _Groups(payments.terminal, payments.seconds, payments.fraud)
    for days in _WINDOW_DAYS:
        count, frauds = terminals.between(DELAY_DAYS + days, DELAY_DAYS)
        columns += [count, frauds / np.maximum(count, 1)]
    return np.column_stack(columns)


class _Groups:
    """Payments by key, then by time; counts and sums from the beginning on."""

    def __init__(self, key: Column, seconds: Column, value: Column) -> None:
        self._order = np.lexsort((np.arange(len(key)), seconds, key))
        # Days before the first are left free, so that no window reaches into another key.
        self._place = (key * (1000 * DAY_S) + 100 * DAY_S + seconds)[self._order]
        self._sums = np.concatenate([[0], np.cumsum(value[self._order])])

    def between(self, from_days: int, to_days: int) -> tuple[Column, Column]:
        """Return count and sum of each payment's window, by payment."""
        start = np.searchsorted(self._place, self._place - from_days * DAY_S, side="right")
        if to_days:
            end = np.searchsorted(self._place, self._place - to_days * DAY_S, side="right")
        else:  # up to the payment itself, though others be of the same second
            end = np.arange(1, len(self._place) + 1)
        count, total = np.empty(len(end)), np.empty(len(end))
        count[self._order] = end - start
        total[self._order] = self._sums[end] - self._sums[start]
        return count, total
