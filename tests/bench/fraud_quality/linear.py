"""The plain online model to compare with: logistic regression over standardized features."""

from __future__ import annotations

from math import sqrt

from services.fraud_detector.domain.model import logistic
from tests.bench.fraud_quality.generator import Column

_RATE = 0.05


class StandardizedLogistic:
    """Learned by AdaGrad (Duchi, Hazan, Singer 2011), one payment at a time.

    Means and variances are those of all payments learned so far (Welford 1962).
    """

    def __init__(self, features: int) -> None:
        self._seen = 0
        self._means = [0.0] * features
        self._squares = [0.0] * features
        self._weights = [0.0] * (features + 1)
        self._gradients = [1e-8] * (features + 1)

    def predict(self, row: Column) -> float:
        """Return how likely a payment is fraud."""
        return self._predict(self._standardized(row.tolist()))

    def learn(self, row: Column, *, fraud: bool) -> None:
        """Learn whether a payment was fraud."""
        self._seen += 1
        values: list[float] = row.tolist()
        for place, value in enumerate(values):
            before = value - self._means[place]
            self._means[place] += before / self._seen
            self._squares[place] += before * (value - self._means[place])
        standardized = self._standardized(values)
        error = self._predict(standardized) - fraud
        for place, value in enumerate(standardized):
            gradient = error * value
            self._gradients[place] += gradient * gradient
            self._weights[place] -= _RATE * gradient / sqrt(self._gradients[place])

    def _standardized(self, values: list[float]) -> list[float]:
        if not self._seen:
            return [0.0] * len(values) + [1.0]
        standardized = [
            (value - mean) / sqrt(square / self._seen) if square else 0.0
            for value, mean, square in zip(values, self._means, self._squares, strict=True)
        ]
        return [*standardized, 1.0]

    def _predict(self, standardized: list[float]) -> float:
        return logistic(sum(w * x for w, x in zip(self._weights, standardized, strict=True)))
