"""What the model sees of a payment, computed online: the Handbook's fifteen features and four.

The fifteen are those of Le Borgne, Siblini, Lebichot, Bontempi, "Reproducible Machine Learning
for Credit Card Fraud Detection - Practical Handbook", 2022, section 3.3. Its windows end at the
payment, to the second; here their borders are whole buckets of event time, so that memory is
bounded: ten minutes for cards, an hour for terminals.

With b the payment's bucket, a window of w buckets is (b - w, b]; those of terminals are shifted
back by the label delay, as labels are known only then. A feature counts what came before the
payment in the log, and the payment itself. What is 37 days older than the newest payment so
far, in whole hours, is not counted. `docs/fraud-model.md` has the formulas.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Final

from services.fraud_detector.domain.history import Histories, History
from services.fraud_detector.domain.payment import Payment

HANDBOOK_FEATURES: Final = (
    "amount",
    "weekend",
    "night",
    "card_count_1d",
    "card_average_1d",
    "card_count_7d",
    "card_average_7d",
    "card_count_30d",
    "card_average_30d",
    "terminal_count_1d",
    "terminal_risk_1d",
    "terminal_count_7d",
    "terminal_risk_7d",
    "terminal_count_30d",
    "terminal_risk_30d",
)

FEATURES: Final = (
    *HANDBOOK_FEATURES,
    "amount_ratio",
    "terminal_fraud_run",
    "terminal_genuine_hours",
    "terminal_run_hours",
)
"""Names of the numbers of a payment, in order."""

HOUR_MS: Final = 3_600_000
WINDOW_DAYS: Final = (1, 7, 30)
CARD_BUCKETS_AN_HOUR: Final = 6

MOST_MICROS: Final = 10**18
"""A greater amount counts as this one, 10**12 in its currency."""

NEVER_HOURS: Final = 9_999
"""Stands for hours since something that has not happened in the window."""

_CARD_BUCKET_MS: Final = HOUR_MS // CARD_BUCKETS_AN_HOUR
_CARD_WINDOWS: Final = tuple(days * 24 * CARD_BUCKETS_AN_HOUR for days in WINDOW_DAYS)
_TERMINAL_WINDOWS: Final = tuple(days * 24 for days in WINDOW_DAYS)
_EPOCH_WEEKDAY: Final = 3
_SATURDAY: Final = 5
_LAST_NIGHT_HOUR: Final = 6
_NO_TERMINAL: Final = [0.0] * 6 + [0.0, float(NEVER_HOURS), 0.0]


class FeatureStore:
    """Keyed state of cards and terminals, by event time.

    `label_delay_ms` is rounded down to hours.
    """

    def __init__(self, label_delay_ms: int) -> None:
        self._delay = label_delay_ms // HOUR_MS
        self._kept = self._delay + 24 * WINDOW_DAYS[-1]
        self._newest: int | None = None
        self._cards = Histories()
        self._terminals = Histories()

    def features(self, payment: Payment) -> list[float]:
        """Take in a payment; return its `FEATURES`."""
        hour = payment.time_ms // HOUR_MS
        newest = self._newest
        if newest is None or hour > newest:
            self._newest = newest = hour
        self._cards.drop(newest - self._kept)
        self._terminals.drop(newest - self._kept)
        micros = min(payment.micros, MOST_MICROS)
        values = [
            micros / 1_000_000,
            1.0 if (hour // 24 + _EPOCH_WEEKDAY) % 7 >= _SATURDAY else 0.0,
            1.0 if hour % 24 <= _LAST_NIGHT_HOUR else 0.0,
        ]
        ratio = self._card(payment, micros, values)
        of_terminal = self._terminal(payment.terminal, hour)
        values += of_terminal[:6]
        values.append(ratio)
        values += of_terminal[6:]
        return values

    def fraud(self, terminal: str, time_ms: int, by: int = 1) -> None:
        """Count a payment at a terminal as fraud, or with `by` -1 no longer."""
        hour = time_ms // HOUR_MS
        history = self._terminals.find(terminal)
        if history is not None and self._newest is not None and hour > self._newest - self._kept:
            history.add(hour, 0, by)

    def keys(self) -> int:
        """Return how many cards and terminals are known."""
        return len(self._cards) + len(self._terminals)

    def entries(self) -> int:
        """Return how many buckets they have; takes long."""
        return self._cards.entries() + self._terminals.entries()

    def snapshot(self) -> Iterator[list[Any]]:
        """Yield the state in pieces."""
        yield ["newest", self._newest]
        for kind, histories in (("cards", self._cards), ("terminals", self._terminals)):
            for rows in histories.snapshot():
                yield [kind, rows]

    def restore(self, piece: list[Any]) -> None:
        """Take in one piece of a snapshot, in order, into a new store."""
        kind, content = piece
        if kind == "newest":
            self._newest = content
        else:
            (self._cards if kind == "cards" else self._terminals).restore(content)

    def _card(self, payment: Payment, micros: int, values: list[float]) -> float:
        """Add count and average of each window; return the ratio of the amount to the average."""
        bucket = payment.time_ms // _CARD_BUCKET_MS
        newest = self._newest or 0
        lowest = (newest - self._kept + 1) * CARD_BUCKETS_AN_HOUR - 1
        if bucket <= lowest:  # so late that it leaves no trace
            values += (1, values[0]) * len(_CARD_WINDOWS)
            return 1.0
        history = self._cards.use(payment.card, newest)
        history.add(bucket, 1, micros)
        history.prune(lowest)
        buckets, counts, sums = history.buckets, history.counts, history.sums
        end = len(buckets) if buckets[-1] == bucket else bisect_right(buckets, bucket)
        count = total = 0
        for window in _CARD_WINDOWS:
            start = bisect_right(buckets, max(bucket - window, lowest))
            count = counts[end] - counts[start]
            total = sums[end] - sums[start]
            values.append(count)
            values.append(total / (count * 1_000_000))
        before = total - micros
        # Products and quotients of integers: rounded once, whatever their size.
        return micros * (count - 1) / before if before else 1.0

    def _terminal(self, terminal: str | None, hour: int) -> list[float]:
        newest = self._newest or 0
        lowest = newest - self._kept
        if terminal is None or hour <= lowest:
            return _NO_TERMINAL
        history = self._terminals.use(terminal, newest)
        history.add(hour, 1, 0)
        history.prune(lowest)
        buckets, counts, frauds = history.buckets, history.counts, history.sums
        known = hour - self._delay
        end = bisect_right(buckets, known)
        values: list[float] = []
        start = end
        for window in _TERMINAL_WINDOWS:
            start = bisect_right(buckets, max(known - window, lowest), 0, start)
            count = counts[end] - counts[start]
            values.append(count)
            values.append((frauds[end] - frauds[start]) / count if count else 0.0)
        return values + _run(history, start, end, hour)


def _run(history: History, start: int, end: int, hour: int) -> list[float]:
    """Return what the terminal's newest known payments say, entries `start` to `end`.

    That is: how many of them in a row are all frauds, by whole hours; the hours since one was
    genuine; the hours since the first of the row, or 0.
    """
    buckets, counts, frauds = history.buckets, history.counts, history.sums
    place = end
    while place > start and counts[place] - counts[place - 1] == frauds[place] - frauds[place - 1]:
        place -= 1
    return [
        counts[end] - counts[place],
        hour - buckets[place - 1] if place > start else NEVER_HOURS,
        hour - buckets[place] if place < end else 0.0,
    ]
