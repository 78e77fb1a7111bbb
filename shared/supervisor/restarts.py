"""When to start a dead child again. Pure."""

from __future__ import annotations

from msgspec import Struct


class Restarts(Struct, frozen=True):
    """Exponential backoff, in seconds: from `first` to `most`, over once a child lived `calm`."""

    first: float = 0.5
    most: float = 15.0
    calm: float = 30.0

    def deaths(self, before: int, lived: float) -> int:
        """Return how many deaths in a row it is now, the one after `lived` seconds included."""
        return 1 if lived >= self.calm else before + 1

    def pause(self, deaths: int) -> float:
        """Return how long to wait after so many deaths in a row."""
        doublings = min(deaths - 1, 32)
        return min(self.most, self.first * 2.0**doublings)


RESTARTS = Restarts()
"""What suits services: half a second first, never more than a quarter of a minute."""
