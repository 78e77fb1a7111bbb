"""From closed windows to results, for one rule.

Two steps, since the series of a group may lie in several partitions: `Reducing` runs where the
series are, and makes a `Partial` of each window; partials of the same group and window are
merged (`PartialAggregate`); `Finishing` makes the results.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from services.metrics_aggregator.domain.aggregate import RuleAggregate, State
from services.metrics_aggregator.domain.counters import Counting, Last, merge_sums
from services.metrics_aggregator.domain.memory import Chunk, Memory
from services.metrics_aggregator.domain.parts import SAMPLES, Slot
from services.metrics_aggregator.domain.rules import Rule
from shared.log_stream.window_results import Closed

Partial = list[Slot]
"""One slot a part, plain data; in place of the samples of counters what they add."""


class Window(Struct, frozen=True, gc=False):
    """Which result of which window: `[start_ms, end_ms)` of the group `key`."""

    key: str
    start_ms: int
    end_ms: int
    revision: int
    final: bool

    @classmethod
    def of(cls, closed: Closed[Any]) -> Window:
        """Return that of a closed window."""
        return cls(closed.key, closed.start_ms, closed.end_ms, closed.revision, closed.final)


class Reducing:
    """First step: what a window adds. Remembers the last value of each series of counters."""

    __slots__ = ("_aggregate", "_counting", "_interval_ms", "_lasts", "_samples")

    def __init__(self, rule: Rule) -> None:
        self._aggregate = RuleAggregate(rule)
        self._counting = Counting.of(rule)
        self._interval_ms = rule.interval.ms
        parts = self._aggregate.parts
        self._samples = parts.index(SAMPLES) if SAMPLES in parts else None
        self._lasts: Memory[dict[int, Last]] = Memory(dict)

    def partial(self, closed: Closed[State]) -> Partial:
        """Return what a window adds; windows must come in the order in which they close."""
        slots = list(self._aggregate.slots(closed.state))
        if self._samples is not None:
            started_ms = self._lasts.start(closed.start_ms)
            lasts = self._lasts.recall(closed.key, closed.end_ms)
            slots[self._samples] = self._counting.reduce(slots[self._samples], lasts, started_ms)
            forgotten_ms = closed.end_ms - self._counting.staleness_ms
            for member in [one for one, last in lasts.items() if last[0] < forgotten_ms]:
                del lasts[member]
        return slots

    def forget(self, watermark_ms: int) -> None:
        """Drop what no window can ask for any more; changes no result, only memory."""
        self._lasts.forget(watermark_ms - self._interval_ms - self._counting.staleness_ms)

    def keys(self) -> int:
        """Return how many groups are remembered."""
        return len(self._lasts)

    def snapshot(self) -> Iterator[Chunk]:
        """Yield what is remembered, in slices."""
        return self._lasts.snapshot()

    def restore(self, chunk: Chunk) -> None:
        """Take in one slice of a snapshot, in order."""
        self._lasts.restore(chunk)


class PartialAggregate:
    """An `Aggregate` of the log engine that merges partials of one rule."""

    __slots__ = ("_merges",)

    def __init__(self, rule: Rule) -> None:
        self._merges: Final = [
            merge_sums if part is SAMPLES else part.merge for part in RuleAggregate(rule).parts
        ]

    def new(self) -> Partial:
        """Return the partial of nothing."""
        return []

    def add(self, state: Partial, value: Partial) -> Partial:
        """Add a partial, in place; it is not used again."""
        if not value:  # nothing but a time, for a session
            return state
        if not state:
            state += value
            return state
        for number, merge in enumerate(self._merges):
            state[number] = merge(state[number], value[number])
        return state

    def merge(self, left: Partial, right: Partial) -> Partial:
        """Add all of `right` to `left`, in place."""
        return self.add(left, right)
