"""What the model sees of a payment, computed online: the Handbook's fifteen features and five.

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
    "amount_earlier_ratio",
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
_TERMINAL_WINDOWS: Final = (24, 7 * 24, 30 * 24)
_CARD_WINDOWS: Final = (24 * 6, 7 * 24 * 6, 30 * 24 * 6)
"""`WINDOW_DAYS` in buckets."""

_EPOCH_WEEKDAY: Final = 3
_SATURDAY: Final = 5
_LAST_NIGHT_HOUR: Final = 6
_BEFORE_ALL: Final = -(2**62)
"""An hour before any that a payment can have."""

_Numbers = tuple[float, ...]


class FeatureStore:
    """Keyed state of cards and terminals, by event time.

    `label_delay_ms` is rounded down to hours.
    """

    def __init__(self, label_delay_ms: int) -> None:
        self._delay = label_delay_ms // HOUR_MS
        self._kept = self._delay + 24 * WINDOW_DAYS[-1]
        self._newest = self._lowest = _BEFORE_ALL
        """The newest hour so far, and the newest of those that are not counted any more."""
        self._stale = False
        """There may be keys to drop."""
        self._cards = Histories()
        self._terminals = Histories()

    def features(self, payment: Payment) -> list[float]:
        """Take in a payment; return its `FEATURES`."""
        hour = payment.time_ms // HOUR_MS
        if hour > self._newest:
            self._newest = hour
            self._lowest = hour - self._kept
            self._stale = True
        if self._stale:
            more = self._cards.drop(self._lowest), self._terminals.drop(self._lowest)
            self._stale = any(more)
        micros = min(MOST_MICROS, payment.micros)
        card, ratios = self._card(payment, micros)
        terminal, run = self._terminal(payment.terminal, hour)
        return [
            micros / 1_000_000,
            1.0 if (hour // 24 + _EPOCH_WEEKDAY) % 7 >= _SATURDAY else 0.0,
            1.0 if hour % 24 <= _LAST_NIGHT_HOUR else 0.0,
            *card,
            *terminal,
            *ratios,
            *run,
        ]

    def fraud(self, terminal: str, time_ms: int, by: int = 1) -> None:
        """Count a payment at a terminal as fraud, or with `by` -1 no longer."""
        hour = time_ms // HOUR_MS
        history = self._terminals.find(terminal)
        if history is not None and hour > self._lowest:
            history.add(hour, 0, by, self._lowest)

    def keys(self) -> int:
        """Return how many cards and terminals are known."""
        return len(self._cards) + len(self._terminals)

    def entries(self) -> int:
        """Return how many buckets they have; takes long."""
        return self._cards.entries() + self._terminals.entries()

    def snapshot(self) -> Iterator[list[Any]]:
        """Yield the state in pieces."""
        yield ["hours", [self._newest, self._lowest, self._stale]]
        for kind, histories in (("cards", self._cards), ("terminals", self._terminals)):
            for rows in histories.snapshot():
                yield [kind, rows]

    def restore(self, piece: list[Any]) -> None:
        """Take in one piece of a snapshot, in order, into a new store."""
        kind, content = piece
        if kind == "hours":
            self._newest, self._lowest, self._stale = content
        else:
            (self._cards if kind == "cards" else self._terminals).restore(content)

    def _card(self, payment: Payment, micros: int) -> tuple[_Numbers, _Numbers]:
        """Return count and average of each window, and the amount's ratios to two averages."""
        bucket = payment.time_ms // _CARD_BUCKET_MS
        lowest = self._lowest * CARD_BUCKETS_AN_HOUR + CARD_BUCKETS_AN_HOUR - 1
        if bucket <= lowest:  # so late that it leaves no trace
            return (1, micros / 1_000_000) * len(WINDOW_DAYS), (1.0, 1.0)
        history = self._cards.use(payment.card, self._newest)
        history.add(bucket, 1, micros, lowest)
        counts, sums = history.counts, history.sums
        day, week, month, end = history.windows(bucket, _CARD_WINDOWS, lowest)
        count, total = counts[end], sums[end]
        of_day, of_week, of_month = count - counts[day], count - counts[week], count - counts[month]
        numbers = (
            of_day,
            (total - sums[day]) / (of_day * 1_000_000),
            of_week,
            (total - sums[week]) / (of_week * 1_000_000),
            of_month,
            (total - sums[month]) / (of_month * 1_000_000),
        )
        # Products and quotients of integers: rounded once, whatever their size.
        before = total - sums[month] - micros
        earlier = sums[week] - sums[month]
        return numbers, (
            micros * (of_month - 1) / before if before else 1.0,
            micros * (of_month - of_week) / earlier if earlier else 1.0,
        )

    def _terminal(self, terminal: str | None, hour: int) -> tuple[_Numbers, _Numbers]:
        """Return count and risk of each window, and what `_run` tells."""
        lowest = self._lowest
        if terminal is None or hour <= lowest:
            return (0, 0.0) * len(WINDOW_DAYS), (0, NEVER_HOURS, 0)
        history = self._terminals.use(terminal, self._newest)
        history.add(hour, 1, 0, lowest)
        counts, frauds = history.counts, history.sums
        day, week, month, end = history.windows(hour - self._delay, _TERMINAL_WINDOWS, lowest)
        count, bad = counts[end], frauds[end]
        of_day, of_week, of_month = count - counts[day], count - counts[week], count - counts[month]
        numbers = (
            of_day,
            (bad - frauds[day]) / of_day if of_day else 0.0,
            of_week,
            (bad - frauds[week]) / of_week if of_week else 0.0,
            of_month,
            (bad - frauds[month]) / of_month if of_month else 0.0,
        )
        return numbers, _run(history, month, end, hour)


def _run(history: History, start: int, end: int, hour: int) -> _Numbers:
    """Return what the terminal's newest known payments say, entries `start` to `end`.

    That is: how many of them in a row are all frauds, by whole hours; the hours since one was
    genuine; the hours since the first of the row, or 0.
    """
    buckets, counts, frauds = history.buckets, history.counts, history.sums
    place = end
    while place > start and counts[place] - counts[place - 1] == frauds[place] - frauds[place - 1]:
        place -= 1
    return (
        counts[end] - counts[place],
        hour - buckets[place - 1] if place > start else NEVER_HOURS,
        hour - buckets[place] if place < end else 0,
    )
