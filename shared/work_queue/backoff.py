"""How long to wait before the next attempt. Pure: chance is an argument."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class Backoff(Struct, frozen=True):
    """Exponential backoff with jitter.

    The n-th failed attempt waits `first_seconds * factor ** (n - 1)`, at most `most_seconds`,
    of which the share `jitter` is random ("equal jitter": a crowd that failed together does
    not come back together, and nobody waits for nothing).
    """

    first_seconds: Annotated[float, Meta(gt=0)] = 1.0
    factor: Annotated[float, Meta(ge=1)] = 2.0
    most_seconds: Annotated[float, Meta(gt=0)] = 300.0
    jitter: Annotated[float, Meta(ge=0, le=1)] = 0.5

    def delay_seconds(self, attempt: int, chance: float) -> float:
        """Return the wait after failed attempt `attempt` (from 1); `chance` is in [0, 1)."""
        exponent = min(attempt - 1, 64)
        whole = min(self.most_seconds, self.first_seconds * self.factor**exponent)
        return whole * (1 - self.jitter * chance)
