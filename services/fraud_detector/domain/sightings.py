"""Detectors that compare a payment with the newest one: impossible travel, first seen, dormant."""

from __future__ import annotations

from operator import attrgetter
from typing import Final

from msgspec import Struct

from services.fraud_detector.domain.aggregates import Record, Step
from services.fraud_detector.domain.findings import (
    MICROS,
    MOST_EVIDENCE,
    Finding,
    money,
    quotient,
    subject,
)
from services.fraud_detector.domain.geography import distance_m
from services.fraud_detector.domain.kinds import (
    MOST_EARLIER,
    DormantThenActive,
    FirstSeen,
    ImpossibleTravel,
)
from services.fraud_detector.domain.payment import Payment
from services.fraud_detector.domain.rules import Rule

_KM_A_DEGREE: Final = 111.2
_MOST_SEEN: Final = 1_000
_SHRINK_AT: Final = 1_250


class Place(Struct, gc=False):
    """Where a key was last, and when, and the sequence that says so."""

    time_ms: int
    latitude: float
    longitude: float
    sequence: int


class Seen(Struct, gc=False):
    """How often a key showed a field (counted up to 1,000), and when each value last."""

    number: int
    last: dict[str, int]


class Waking(Struct, gc=False):
    """A key's newest payment, when it woke (-1: did not), and how many it made since, and which."""

    newest_ms: int
    woke_ms: int
    number: int
    sequences: list[int]


def travel(rule: Rule, kind: ImpossibleTravel, slot: int) -> Step:
    """Return the detector of impossible travel."""
    memory, least_m = kind.memory.ms, int(kind.min_km * 1_000)
    near = max(float(kind.min_km) - 0.001, 0.0) / _KM_A_DEGREE
    speed = int(kind.speed_kmh * MICROS)

    def step(record: Record, payment: Payment) -> Finding | None:
        latitude, longitude = payment.latitude, payment.longitude
        if latitude is None or longitude is None:
            return None
        last: Place | None = record[slot]
        time_ms = payment.time_ms
        if last is None:
            record[slot] = Place(time_ms, latitude, longitude, payment.sequence)
            return None
        found = None
        # no path is longer than along a meridian and a parallel: most need no sine
        if abs(latitude - last.latitude) + abs(longitude - last.longitude) > near:
            found = compare(last, (latitude, longitude), payment)
        if time_ms >= last.time_ms:
            last.time_ms = time_ms
            last.latitude = latitude
            last.longitude = longitude
            last.sequence = payment.sequence
        return found

    def compare(last: Place, here: tuple[float, float], payment: Payment) -> Finding | None:
        passed = abs(payment.time_ms - last.time_ms)
        if passed > memory:
            return None
        metres = distance_m((last.latitude, last.longitude), here)
        milliseconds = max(passed, 1_000)
        if metres < least_m or metres * 3_600 * MICROS <= speed * milliseconds:
            return None
        observed = quotient(metres * 3_600, milliseconds)
        kilometres = quotient(metres, 1_000)
        return Finding(
            rule,
            observed,
            f"> {kind.speed_kmh}",
            (min(last.time_ms, payment.time_ms), max(last.time_ms, payment.time_ms)),
            [last.sequence, payment.sequence],
            f"{subject(rule, payment)} was {kilometres} km away"
            f" {quotient(passed, 1_000)} s before: {observed} km/h (limit > {kind.speed_kmh})",
        )

    return step


def first_seen(rule: Rule, kind: FirstSeen, slot: int) -> Step:
    """Return the detector of a new value of a field."""
    value_of, after, memory = attrgetter(kind.field), kind.after, kind.memory.ms

    def step(record: Record, payment: Payment) -> Finding | None:
        value = value_of(payment)
        if value is None:
            return None
        state: Seen | None = record[slot]
        time_ms = payment.time_ms
        if state is None:
            record[slot] = Seen(1, {value: time_ms})
            return None
        last = state.last
        known = last.get(value)
        number = state.number
        if number < MOST_EARLIER:
            state.number = number + 1
        if known is None or time_ms > known:
            last[value] = time_ms
            if known is None and len(last) > _SHRINK_AT:
                state.last = _newest(last)
        if number < after or (known is not None and time_ms - known <= memory):
            return None
        return Finding(
            rule,
            "0",
            "< 1",
            (max(time_ms - memory, 0), time_ms),
            [payment.sequence],
            f"{kind.field} {value} is new for {subject(rule, payment)}: not in its payments"
            f" of {kind.memory.text} (limit < 1)",
        )

    return step


def dormant(rule: Rule, kind: DormantThenActive, slot: int) -> Step:
    """Return the detector of a key that wakes after a long silence."""
    silence, memory, busy = kind.dormant.ms, kind.memory.ms, kind.window.ms
    most, micros = kind.count, int(kind.amount * MICROS)

    def step(record: Record, payment: Payment) -> Finding | None:
        state: Waking | None = record[slot]
        time_ms = payment.time_ms
        if state is None:
            record[slot] = Waking(time_ms, -1, 0, [])
            return None
        passed = time_ms - state.newest_ms
        if passed < 0:
            return None
        state.newest_ms = time_ms
        if passed >= silence:
            state.woke_ms = time_ms if passed <= memory else -1
            state.number = 0
            state.sequences = []
        woke = state.woke_ms
        if woke < 0:
            return None
        if time_ms - woke > busy:
            state.woke_ms = -1
            state.sequences = []
            return None
        return awake(state, payment)

    def awake(state: Waking, payment: Payment) -> Finding | None:
        state.number += 1
        state.sequences.append(payment.sequence)
        del state.sequences[:-MOST_EVIDENCE]
        if state.number >= most:
            observed, limit = str(state.number), f">= {most}"
            words = f"{observed} payment{'' if state.number == 1 else 's'} of"
        elif payment.micros >= micros:
            observed, limit = money(payment.micros), f">= {kind.amount}"
            words = f"a payment of {observed} of"
        else:
            return None
        return Finding(
            rule,
            observed,
            limit,
            (state.woke_ms, payment.time_ms),
            list(state.sequences),
            f"{words} {subject(rule, payment)} within {kind.window.text} after a silence"
            f" of at least {kind.dormant.text} (limit {limit})",
        )

    return step


def _newest(last: dict[str, int]) -> dict[str, int]:
    kept = sorted(last.items(), key=lambda item: (item[1], item[0]))[-_MOST_SEEN:]
    return dict(kept)
