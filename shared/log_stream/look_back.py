"""Sliding windows: what a key did in the time before an event, answered at the event."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Sequence
from math import fsum
from typing import Any, Generic, TypeVar

from shared.log_stream.clock import NEVER

V = TypeVar("V", bound=Hashable)


class SlidingWindow(Generic[V]):
    """The newest `size_ms` of one key's values, sorted by event time.

    Each question is about `(at - size, at]`, over the values that were inserted so far; so the
    answer depends on the log alone. Values may come out of order. `evict` with the watermark
    drops what no event in time can look back on; ask nothing about times before that.
    Insertion and `count` cost a bisection, the rest the values in the window.
    """

    __slots__ = ("_evicted_ms", "_size_ms", "_times", "_values")

    def __init__(self, size_ms: int) -> None:
        if size_ms <= 0:
            raise ValueError("size_ms: must be greater than 0")
        self._size_ms = size_ms
        self._times: list[int] = []
        self._values: list[V] = []
        self._evicted_ms = NEVER

    def __len__(self) -> int:
        return len(self._times)

    def insert(self, time_ms: int, value: V) -> None:
        """Add a value at its event time, behind those of the same time."""
        if not self._times or time_ms >= self._times[-1]:
            self._times.append(time_ms)
            self._values.append(value)
            return
        place = bisect_right(self._times, time_ms)
        self._times.insert(place, time_ms)
        self._values.insert(place, value)

    def evict(self, watermark_ms: int) -> None:
        """Drop what lies outside the window of every event at the watermark or later."""
        self._evicted_ms = max(self._evicted_ms, watermark_ms)
        gone = bisect_right(self._times, self._evicted_ms - self._size_ms)
        if gone:
            del self._times[:gone]
            del self._values[:gone]

    def values(self, at_ms: int) -> list[V]:
        """Return the values of the window, by time, then by arrival.

        Raises `ValueError` for a time before the watermark of the last `evict`.
        """
        low, high = self._bounds(at_ms)
        return self._values[low:high]

    def count(self, at_ms: int) -> int:
        """Return how many values the window has."""
        low, high = self._bounds(at_ms)
        return high - low

    def distinct(self, at_ms: int) -> int:
        """Return how many different values the window has."""
        return len(set(self.values(at_ms)))

    def snapshot(self) -> list[Any]:
        """Return the window as plain data: times, values, watermark of the last eviction."""
        return [self._times, self._values, self._evicted_ms]

    def restore(self, state: Sequence[Any]) -> None:
        """Continue where `snapshot` was taken."""
        times, values, self._evicted_ms = state
        self._times, self._values = list(times), list(values)

    def _bounds(self, at_ms: int) -> tuple[int, int]:
        if at_ms < self._evicted_ms:
            raise ValueError(f"at_ms: {at_ms} lies before the watermark {self._evicted_ms}")
        low = bisect_right(self._times, at_ms - self._size_ms)
        return low, bisect_right(self._times, at_ms, low)


def total(window: SlidingWindow[int] | SlidingWindow[float], at_ms: int) -> float:
    """Return the sum of a window: exact for whole numbers, rounded once for floats."""
    values = window.values(at_ms)
    plain = sum(values)
    return plain if isinstance(plain, int) else fsum(values)


def least(window: SlidingWindow[int] | SlidingWindow[float], at_ms: int) -> float | None:
    """Return the least value of a window, `None` where it is empty."""
    return min(window.values(at_ms), default=None)


def greatest(window: SlidingWindow[int] | SlidingWindow[float], at_ms: int) -> float | None:
    """Return the greatest value of a window, `None` where it is empty."""
    return max(window.values(at_ms), default=None)
