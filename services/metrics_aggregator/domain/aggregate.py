"""State of one group in one window: what `Windowed` keeps, for one rule.

A state is a list: values that wait, then one slot a part. Values wait because folding 64 of
them at once costs a fraction of folding 64 times one. What waits is folded before the state is
read or merged, so when that happens changes no result.
"""

from __future__ import annotations

from typing import Any, Final

from services.metrics_aggregator.domain.parts import Part, Point, Points, Slot, parts_of
from services.metrics_aggregator.domain.rules import Rule

State = list[Any]

_WAITING: Final = 64


class RuleAggregate:
    """An `Aggregate` of the log engine for one rule.

    It adds values (floats) where `pointed` is false, else points `(time_ms, value, member)`.
    """

    __slots__ = ("_dedup_ms", "_parts", "pointed")

    def __init__(self, rule: Rule) -> None:
        self._parts = parts_of(rule)
        self._dedup_ms = rule.dedup_interval.ms
        self.pointed = bool(self._dedup_ms) or any(part.pointed for part in self._parts)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Return the parts, in the order of `slots`."""
        return self._parts

    def new(self) -> State:
        """Return the state of no values."""
        return [[]]

    def add(self, state: State, value: float | Point) -> State:
        """Add one value, in place."""
        waiting = state[0]
        waiting.append(value)
        if len(waiting) >= _WAITING:
            self._fold_waiting(state)
        return state

    def merge(self, left: State, right: State) -> State:
        """Add all of `right` to `left`, in place."""
        self._fold_waiting(left)
        self._fold_waiting(right)
        if self._dedup_ms:
            _merge_kept(left[1], right[1])
        else:
            for number, part in enumerate(self._parts, 1):
                left[number] = part.merge(left[number], right[number])
        return left

    def slots(self, state: State) -> list[Slot]:
        """Return one slot a part, all values folded in and deduplicated."""
        self._fold_waiting(state)
        if not self._dedup_ms:
            return state[1:]
        points = [
            (time_ms, value, member)
            for member, kept in state[1].items()
            for time_ms, value in kept.values()
        ]
        return self._folded([part.new() for part in self._parts], points)

    def _fold_waiting(self, state: State) -> None:
        waiting = state[0]
        if len(state) == 1:
            state += [{}] if self._dedup_ms else [part.new() for part in self._parts]
        if not waiting:
            return
        state[0] = []
        if self._dedup_ms:
            self._keep(state[1], waiting)
        else:
            state[1:] = self._folded(state[1:], waiting)

    def _folded(self, slots: list[Slot], added: list[Any]) -> list[Slot]:
        if not added:
            return slots
        values = [point[1] for point in added] if self.pointed else added
        points = added if self.pointed else ()
        return [
            part.fold(slot, values, points) for part, slot in zip(self._parts, slots, strict=True)
        ]

    def _keep(self, kept: dict[int, dict[int, list[Any]]], points: Points) -> None:
        """Keep one sample a series and `dedup_interval`: the last; of one time, the greatest."""
        for time_ms, value, member in points:
            series = kept.setdefault(member, {})
            at = time_ms // self._dedup_ms
            sample = [time_ms, value]
            if at not in series or sample > series[at]:
                series[at] = sample


def _merge_kept(
    left: dict[int, dict[int, list[Any]]], right: dict[int, dict[int, list[Any]]]
) -> None:
    for member, kept in right.items():
        series = left.setdefault(member, {})
        for at, sample in kept.items():
            if at not in series or sample > series[at]:
                series[at] = sample
