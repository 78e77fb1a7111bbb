"""From a rule to its detector, and from a detector's state to plain data and back."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final, assert_never

import msgspec

from services.fraud_detector.domain import aggregates, distinct, extremes, histories, sightings
from services.fraud_detector.domain.aggregates import Step
from services.fraud_detector.domain.distinct import Values
from services.fraud_detector.domain.extremes import Extremes
from services.fraud_detector.domain.kinds import (
    AmountDeviation,
    DeclinesThenApproval,
    DormantThenActive,
    FirstSeen,
    ImpossibleTravel,
    Kind,
    SmallThenLarge,
)
from services.fraud_detector.domain.payment import Payment
from services.fraud_detector.domain.rows import Rows
from services.fraud_detector.domain.rules import Rule
from services.fraud_detector.domain.sightings import Place, Seen, Waking

_MOST_PLAIN: Final = 1 << 63
_AGGREGATES: Final = {
    "count": aggregates.count,
    "sum": aggregates.total,
    "avg": aggregates.average,
    "stddev": aggregates.deviation,
    "min": extremes.extreme,
    "max": extremes.extreme,
    "distinct": distinct.distinct,
}
_STATES: Final[tuple[type[Any], ...]] = (Rows, Extremes, Values, Place, Seen, Waking)
_NUMBERS: Final = {state: number for number, state in enumerate(_STATES)}


def step(rule: Rule, slot: int) -> Step:
    """Return the detector of a rule, its state at a slot of the key's record."""
    if rule.kind is not None:
        return _of_kind(rule, rule.kind, slot)
    if rule.aggregate is None or rule.limit is None:
        raise ValueError("a rule without aggregate, limit and kind")
    return _AGGREGATES[rule.aggregate.function](rule, rule.limit, slot)


def guard(rule: Rule) -> Callable[[Payment], bool] | None:
    """Return which payments concern a rule; None: all."""
    matches = None if rule.where is None else rule.where.matches
    counted = rule.aggregate is not None and rule.aggregate.function == "count"
    field = rule.aggregate.field if rule.aggregate is not None and counted else None
    if field is None:
        return matches
    value = attrgetter(field)
    if matches is None:
        return lambda payment: value(payment) is not None
    return lambda payment: value(payment) is not None and matches(payment)


def _of_kind(rule: Rule, kind: Kind, slot: int) -> Step:
    made: Step
    match kind:
        case ImpossibleTravel():
            made = sightings.travel(rule, kind, slot)
        case FirstSeen():
            made = sightings.first_seen(rule, kind, slot)
        case DormantThenActive():
            made = sightings.dormant(rule, kind, slot)
        case AmountDeviation():
            made = histories.deviation(rule, kind, slot)
        case SmallThenLarge():
            made = histories.small_then_large(rule, kind, slot)
        case DeclinesThenApproval():
            made = histories.declines(rule, kind, slot)
        case _:
            assert_never(kind)
    return made


def packed(state: Any) -> list[Any] | None:  # noqa: ANN401  any of the states, they share no more
    """Return a state as plain data: its kind's number, then its fields."""
    if state is None:
        return None
    fields: list[Any] = [_NUMBERS[type(state)], *msgspec.structs.astuple(state)]
    if isinstance(state, Rows):
        fields[3:5] = [_plain(state.sums), _plain(state.squares)]
    elif isinstance(state, Extremes):
        fields[1] = packed(state.rows)
    return fields


def unpacked(fields: list[Any] | None) -> Any:  # noqa: ANN401  as above
    """Return the state of plain data."""
    if fields is None:
        return None
    number, *values = fields
    state = _STATES[number]
    if state is Rows:
        values[2:4] = [None if totals is None else list(map(int, totals)) for totals in values[2:4]]
    elif state is Extremes:
        values[0] = unpacked(values[0])
    return state(*values)


def _plain(totals: list[int] | None) -> list[int] | list[str] | None:
    """Write running totals that msgpack has no integers for as text; the last is the largest."""
    if totals is None or totals[-1] < _MOST_PLAIN:
        return totals
    return list(map(str, totals))
