"""Parts of a window's state, each plain data that msgpack keeps; a rule has those it needs.

A part folds values in, in bulk, and merges; neither depends on order. The order here is that
of the slots in a state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from msgspec import Struct

from services.metrics_aggregator.domain import buckets, sketch
from services.metrics_aggregator.domain.outputs import COUNTERS, RUNNING
from services.metrics_aggregator.domain.rules import Rule, Session
from services.metrics_aggregator.domain.squares import squares
from shared.log_stream.exact_sum import ExactSum

Point = Sequence[Any]
"""`(time_ms, value, member)`: the member is a hash of the series, see `Series.member`."""
Values = Sequence[float]
Points = Sequence[Point]
Slot = Any
"""Plain data; what it is depends on the part."""

_ALL_VALUES: Final = {"avg", "sum_samples", "sum_samples_total", "stddev", "stdvar"}


class Part(Struct, frozen=True):
    """What one slot of a state holds; `new` makes an empty one."""

    name: str
    outputs: frozenset[str]
    """The outputs that need it."""
    new: Callable[[], Slot]
    fold: Callable[[Slot, Values, Points], Slot]
    merge: Callable[[Slot, Slot], Slot]
    pointed: bool = False
    """Whether it needs times and members, not only values."""


def _least(slot: float | None, values: Iterable[float]) -> float | None:
    least = min(values)
    return least if slot is None or least < slot else slot


def _greatest(slot: float | None, values: Iterable[float]) -> float | None:
    greatest = max(values)
    return greatest if slot is None or greatest > slot else slot


def _last(slot: list[Any], points: Points) -> list[Any]:
    """Keep the point of the greatest time; of equal times, the greatest value."""
    greatest = max([point[0], point[1]] for point in points)
    return max(slot, greatest)


def _span(slot: list[int], points: Points) -> list[int]:
    times = [point[0] for point in points]
    return _merged_span(slot, [min(times), max(times)])


def _merged_span(left: list[int], right: list[int]) -> list[int]:
    if not left or not right:
        return left or right
    return [min(left[0], right[0]), max(left[1], right[1])]


def _samples(slot: dict[int, list[Any]], points: Points) -> dict[int, list[Any]]:
    """Gather each series' samples: they are read in order of time when the window closes."""
    for time_ms, value, member in points:
        known = slot.get(member)
        if known is None:
            slot[member] = [time_ms, value]
        else:
            known += (time_ms, value)
    return slot


def _merged_samples(left: dict[int, list[Any]], right: dict[int, list[Any]]) -> Slot:
    for member, samples in right.items():
        left.setdefault(member, []).extend(samples)
    return left


def _merged_keys(left: dict[Any, int], right: dict[Any, int]) -> Slot:
    left.update(right)
    return left


COUNT: Final = Part(
    "count",
    frozenset(),
    int,
    lambda slot, values, _: slot + len(values),
    lambda left, right: left + right,
)
SUM: Final = Part(
    "sum",
    frozenset(_ALL_VALUES),
    list,
    lambda slot, values, _: ExactSum.merge(slot, list(values)),
    ExactSum.merge,
)
SQUARES: Final = Part(
    "squares",
    frozenset({"stddev", "stdvar"}),
    list,
    lambda slot, values, _: ExactSum.merge(slot, squares(values)),
    ExactSum.merge,
)
LEAST: Final = Part(
    "least",
    frozenset({"min", "quantiles"}),
    lambda: None,
    lambda slot, values, _: _least(slot, values),
    lambda left, right: right if left is None else left if right is None else min(left, right),
)
GREATEST: Final = Part(
    "greatest",
    frozenset({"max", "quantiles"}),
    lambda: None,
    lambda slot, values, _: _greatest(slot, values),
    lambda left, right: right if left is None else left if right is None else max(left, right),
)
SKETCH: Final = Part(
    "sketch",
    frozenset({"quantiles"}),
    dict,
    lambda slot, values, _: sketch.fold(slot, values),
    sketch.merge,
)
BUCKETS: Final = Part(
    "buckets",
    frozenset({"histogram_bucket"}),
    dict,
    lambda slot, values, _: buckets.fold(slot, values),
    sketch.merge,
)
UNIQUE: Final = Part(
    "unique",
    frozenset({"unique_samples"}),
    dict,
    lambda slot, values, _: _merged_keys(slot, dict.fromkeys(values, 1)),
    _merged_keys,
)
SERIES: Final = Part(
    "series",
    frozenset({"count_series"}),
    dict,
    lambda slot, _, points: _merged_keys(slot, dict.fromkeys([p[2] for p in points], 1)),
    _merged_keys,
    pointed=True,
)
LAST: Final = Part(
    "last",
    frozenset({"last"}),
    list,
    lambda slot, _, points: _last(slot, points),
    max,
    pointed=True,
)
SPAN: Final = Part(
    "span",
    RUNNING,
    list,
    lambda slot, _, points: _span(slot, points),
    _merged_span,
    pointed=True,
)
SAMPLES: Final = Part(
    "samples",
    COUNTERS,
    dict,
    lambda slot, _, points: _samples(slot, points),
    _merged_samples,
    pointed=True,
)

PARTS: Final = (
    COUNT,
    SUM,
    SQUARES,
    LEAST,
    GREATEST,
    SKETCH,
    BUCKETS,
    UNIQUE,
    SERIES,
    LAST,
    SPAN,
    SAMPLES,
)


def parts_of(rule: Rule) -> tuple[Part, ...]:
    """Return the parts that a rule needs; the count is always the first.

    A session's partial results must tell which span they cover, to be joined.
    """
    always = {COUNT.name, SPAN.name} if isinstance(rule.window, Session) else {COUNT.name}
    return tuple(part for part in PARTS if part.name in always or part.outputs & rule.kinds)
