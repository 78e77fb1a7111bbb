"""Scores payments by a model that learns from labels as they arrive, in the order of the log.

Pure: state and scores follow from the payments and labels so far, and from nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from services.fraud_detector.domain.bins import places
from services.fraud_detector.domain.features import FeatureStore
from services.fraud_detector.domain.model import Model
from services.fraud_detector.domain.payment import Label, Payment
from services.fraud_detector.domain.pending import PendingPayments

DAY_MS: Final = 86_400_000
LABEL_DELAY_MS: Final = 7 * DAY_MS
"""A payment without a label by then is learned as genuine."""

CORRECTED_MS: Final = 23 * DAY_MS
"""For so long after that a label that comes late still corrects."""

MOST_PENDING: Final = 1_000_000

_DECIMALS: Final = 6
_MOST_AT_ONCE: Final = 64
"""After a pause many payments are due at once; so many are learned with each new payment."""


class Scorer:
    """Model, features and pending payments of one partition."""

    def __init__(
        self, label_delay_ms: int = LABEL_DELAY_MS, most_pending: int = MOST_PENDING
    ) -> None:
        self._delay_ms = label_delay_ms
        self._newest_ms: int | None = None
        self._labels_unmatched = 0
        self._labels_late = 0
        self._features = FeatureStore(label_delay_ms)
        self._model = Model()
        self._pending = PendingPayments(most_pending)

    @property
    def learned(self) -> int:
        """How many payments the model has learned from."""
        return self._model.learned

    def score(self, payment: Payment) -> float:
        """Return how much a payment looks like fraud, in [0, 1], six decimals.

        First the model learns from payments that are due: those whose time, or if they were late
        the newest time when they came, lies more than the label delay before the newest now.
        """
        newest = self._newest_ms
        if newest is None or payment.time_ms > newest:
            self._newest_ms = newest = payment.time_ms
        self._learn(newest)
        found = places(self._features.features(payment))
        due_ms = newest + self._delay_ms
        self._pending.add(payment, found, due_ms, due_ms + CORRECTED_MS)
        return round(self._model.predict(found), _DECIMALS)

    def label(self, label: Label) -> None:
        """Take in what became known of a payment; of an unknown one it is only counted.

        Of a payment that has been learned already as the opposite, the model learns once more.
        """
        labeled = self._pending.find(label.card, label.payment_id)
        if labeled is None:
            self._labels_unmatched += 1
            return
        if labeled.fraud == label.fraud:
            return
        labeled.fraud = label.fraud
        if labeled.terminal is not None:
            self._features.fraud(labeled.terminal, labeled.time_ms, 1 if label.fraud else -1)
        if labeled.learned:
            self._labels_late += 1
            self._model.learn(labeled.places, fraud=label.fraud)

    def keys(self) -> int:
        """Return the size of the state in entries."""
        return self._features.keys() + self._pending.waiting + self._pending.remembered

    def numbers(self) -> Mapping[str, float]:
        """Return what metrics show."""
        return {
            "pending": self._pending.waiting,
            "remembered": self._pending.remembered,
            "skipped": self._pending.skipped,
            "learned": self._model.learned,
            "frauds_learned": self._model.frauds_learned,
            "labels_unmatched": self._labels_unmatched,
            "labels_late": self._labels_late,
            "weights": self._model.weights(),
        }

    def snapshot(self) -> Iterator[object]:
        """Yield the state in pieces that msgspec encodes, each in less than 20 ms."""
        counts = [self._newest_ms, self._labels_unmatched, self._labels_late]
        yield ["model", [counts, self._model.snapshot()]]
        for piece in self._features.snapshot():
            yield ["features", piece]
        for piece in self._pending.snapshot():
            yield ["pending", piece]

    def restore(self, pieces: Iterable[bytes]) -> None:
        """Take in the pieces of a snapshot, encoded as msgpack; the scorer must be new."""
        for piece in pieces:
            self.restore_piece(msgspec.msgpack.decode(piece))

    def restore_piece(self, piece: Any) -> None:  # noqa: ANN401 - what snapshot has yielded
        """Take in one piece that is decoded already, in order."""
        part, content = piece
        if part == "features":
            self._features.restore(content)
        elif part == "pending":
            self._pending.restore(content)
        else:
            counts, model = content
            self._newest_ms, self._labels_unmatched, self._labels_late = counts
            self._model.restore(model)

    def _learn(self, now_ms: int) -> None:
        for _ in range(_MOST_AT_ONCE):
            due = self._pending.next_due(now_ms)
            if due is None:
                break
            self._model.learn(due.places, fraud=due.fraud)
        self._pending.forget(now_ms, _MOST_AT_ONCE)
