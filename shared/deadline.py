"""One deadline that all steps of a shutdown share."""

from __future__ import annotations

import time


class Deadline:
    """A point on the monotonic clock. Unset until `start`: `remaining` is then the whole time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end: float | None = None

    def start(self) -> None:
        """Begin to count; a second call changes nothing."""
        if self._end is None:
            self._end = time.monotonic() + self.seconds

    def expire(self) -> None:
        """End it now."""
        self._end = time.monotonic()

    def remaining(self) -> float:
        """Return the seconds left, at least 0."""
        if self._end is None:
            return self.seconds
        return max(0.0, self._end - time.monotonic())
