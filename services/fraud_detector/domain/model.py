"""The online model: logistic regression over binned features, learned by FTRL-Proximal.

Each feature is a step function with one weight a place (see `bins`), the score the logistic
function of the weights' sum: an additive model, which bends as trees do and is read as simply
as a table. The weights are learned one payment at a time by FTRL-Proximal (McMahan et al., "Ad
Click Prediction: a View from the Trenches", KDD 2013, algorithm 1), with its sampling of the
frequent class (section 4.4).

Deterministic: additions, multiplications, divisions and square roots in one fixed order, each
rounded as IEEE 754 defines it, so the same payments give the same bits on every machine. That is
why the exponential function is here: the C library's differs in its last bit.
"""

from __future__ import annotations

from math import floor, ldexp, sqrt
from typing import Any, Final

from services.fraud_detector.domain.bins import PLACES

_BASE: Final = -4.6
"""Log odds of fraud before anything is learned: about one in a hundred."""

_RATE: Final = 0.5
_SMOOTHING: Final = 0.1
_SHRINKING: Final = 1.0
"""Alpha, beta and lambda 2 of the paper; chosen on weeks before those that are reported."""

GENUINE_STEP: Final = 4
"""Of genuine payments every fourth is learned, and counts four times."""

_MOST_LOG_ODDS: Final = 30.0
_LOG2_E: Final = 1.4426950408889634
_LN2_HIGH: Final = 0.693147180369123816490
_LN2_LOW: Final = 1.90821492927058770002e-10
_C3, _C4, _C5, _C6, _C7 = 1 / 6, 1 / 24, 1 / 120, 1 / 720, 1 / 5_040
_C8, _C9, _C10, _C11, _C12 = 1 / 40_320, 1 / 362_880, 1 / 3_628_800, 1 / 39_916_800, 1 / 479_001_600
"""1 / n!: for arguments up to ln 2 / 2 the rest of the series is below 1e-15."""


class Model:
    """Weights by feature and place, and what FTRL-Proximal keeps with each."""

    def __init__(self) -> None:
        self.learned = 0
        self.frauds_learned = 0
        self._weights = [[0.0] * size for size in PLACES]
        self._gradients = [[0.0] * size for size in PLACES]
        """The paper's z: the sum of gradients, less what keeps the weights where they were."""
        self._roots = [[0.0] * size for size in PLACES]
        """The root of the paper's n, the sum of squared gradients."""

    def predict(self, places: bytes) -> float:
        """Return how likely a payment is fraud, in (0, 1)."""
        return logistic(self._log_odds(places))

    def learn(self, places: bytes, *, fraud: bool) -> None:
        """Learn whether a payment was fraud."""
        self.learned += 1
        if fraud:
            self.frauds_learned += 1
            self._step(places, logistic(self._log_odds(places)) - 1.0)
        elif not (self.learned - self.frauds_learned) % GENUINE_STEP:
            self._step(places, logistic(self._log_odds(places)) * GENUINE_STEP)

    def weights(self) -> int:
        """Return how many places have been learned of."""
        return sum(1 for roots in self._roots for root in roots if root)

    def snapshot(self) -> list[Any]:
        """Return the state."""
        counts = [self.learned, self.frauds_learned]
        return [counts, self._weights, self._gradients, self._roots]

    def restore(self, state: list[Any]) -> None:
        """Replace the state by one of `snapshot`."""
        (self.learned, self.frauds_learned), self._weights, self._gradients, self._roots = state

    def _log_odds(self, places: bytes) -> float:
        total = _BASE
        for weights, place in zip(self._weights, places, strict=True):
            total += weights[place]
        return total

    def _step(self, places: bytes, gradient: float) -> None:
        squared = gradient * gradient
        tables = zip(self._weights, self._gradients, self._roots, places, strict=True)
        for weights, gradients, roots, place in tables:
            root = roots[place]
            roots[place] = new_root = sqrt(root * root + squared)
            total = gradients[place] + (gradient - (new_root - root) / _RATE * weights[place])
            gradients[place] = total
            weights[place] = -total / ((_SMOOTHING + new_root) / _RATE + _SHRINKING)


def logistic(log_odds: float) -> float:
    """Return 1 / (1 + exp(-x)), the same bits everywhere; x counts as within 30 of 0."""
    x = -max(-_MOST_LOG_ODDS, min(log_odds, _MOST_LOG_ODDS))
    # exp(x) = 2**halvings * exp(rest), the rest within ln 2 / 2 of 0; ldexp is exact.
    halvings = floor(x * _LOG2_E + 0.5)
    rest = x - halvings * _LN2_HIGH - halvings * _LN2_LOW
    tail = (((_C12 * rest + _C11) * rest + _C10) * rest + _C9) * rest + _C8
    tail = ((((tail * rest + _C7) * rest + _C6) * rest + _C5) * rest + _C4) * rest + _C3
    power = ((tail * rest + 0.5) * rest + 1.0) * rest + 1.0
    return 1.0 / (1.0 + ldexp(power, halvings))
