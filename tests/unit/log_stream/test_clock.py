"""Laws of the watermark."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.log_stream.clock import NEVER, Watermark, too_far_ahead

HOUR_MS = 3_600_000

few = settings(max_examples=25, deadline=None)

steps = st.lists(
    st.tuples(
        st.booleans(), st.integers(-100, 100), st.integers(-5, 50)
    ),  # tick?, time or idle, pause
    max_size=20,
)


def walk(
    watermark: Watermark, moves: list[tuple[bool, int, int]], arrival_ms: int = 0
) -> list[int]:
    values = []
    for is_tick, number, pause_ms in moves:
        arrival_ms += pause_ms
        if is_tick:
            watermark.tick(arrival_ms * 1_000_000, abs(number))
        else:
            watermark.observe(number, arrival_ms * 1_000_000)
        values.append(watermark.value_ms)
    return values


@few
@given(st.integers(0, 50), steps)
def test_the_watermark_never_goes_back(grace_ms: int, moves: list[tuple[bool, int, int]]) -> None:
    values = walk(Watermark(grace_ms), moves)
    assert values == sorted(values)


@few
@given(st.integers(0, 50), st.lists(st.integers(-100, 100), min_size=1))
def test_without_ticks_it_is_the_greatest_time_less_grace(grace_ms: int, times: list[int]) -> None:
    watermark = Watermark(grace_ms)
    for time_ms in times:
        watermark.observe(time_ms, 0)
    assert watermark.value_ms == max(times) - grace_ms


@few
@given(st.integers(0, 50), steps)
def test_it_is_the_furthest_that_any_event_or_tick_has_told(
    grace_ms: int, moves: list[tuple[bool, int, int]]
) -> None:
    told = [NEVER]
    times: list[int] = []
    arrival_ms = last_ms = 0
    for is_tick, number, pause_ms in moves:
        arrival_ms += pause_ms
        if not is_tick:
            times.append(number)
            last_ms = arrival_ms
            told.append(number - grace_ms)
        elif times:
            told.append(max(times) + min(arrival_ms - last_ms, abs(number)) - grace_ms)
    assert walk(Watermark(grace_ms), moves)[-1:] in ([max(told)], [])


@few
@given(steps, st.integers(0, 20), st.integers(0, 50))
def test_restored_anywhere_it_goes_on_the_same(
    moves: list[tuple[bool, int, int]], cut: int, grace_ms: int
) -> None:
    straight = walk(Watermark(grace_ms), moves)
    first = Watermark(grace_ms)
    before = walk(first, moves[:cut])
    second = Watermark(grace_ms)
    second.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(first.snapshot())))
    after = walk(second, moves[cut:], sum(pause for _, _, pause in moves[:cut]))
    assert before + after == straight


@few
@given(steps, st.integers(0, 50), st.integers(-200, 200))
def test_one_watermark_serves_every_grace(
    moves: list[tuple[bool, int, int]], grace_ms: int, end_ms: int
) -> None:
    own, shared = Watermark(grace_ms), Watermark(0)
    expected = walk(own, moves)
    offsets = [value if value == NEVER else value - grace_ms for value in walk(shared, moves)]
    assert offsets == expected
    assert own.count_late(end_ms) == shared.count_late(end_ms + grace_ms)


def test_a_tick_moves_data_that_runs_behind_by_the_pause_and_no_more() -> None:
    watermark = Watermark(5_000)
    watermark.observe(0, HOUR_MS * 1_000_000)  # an hour old when it arrived
    watermark.tick((HOUR_MS + 30_000) * 1_000_000, 40_000)
    assert watermark.value_ms == 30_000 - 5_000
    watermark.tick((HOUR_MS + 60_000) * 1_000_000, 70_000)  # from the last event, not the tick
    assert watermark.value_ms == 60_000 - 5_000


def test_an_outage_that_nobody_observed_as_idle_is_no_idleness() -> None:
    watermark = Watermark(0)
    watermark.observe(0, 0)
    watermark.tick(HOUR_MS * 1_000_000, 30_000)
    assert watermark.value_ms == 30_000


def test_a_tick_before_any_event_says_nothing() -> None:
    watermark = Watermark(0)
    watermark.tick(HOUR_MS * 1_000_000, 30_000)
    assert watermark.value_ms == NEVER


def test_what_a_tick_made_late_is_counted_apart() -> None:
    watermark = Watermark(10)
    watermark.observe(100, 0)
    watermark.tick(30 * 1_000_000, 30)
    assert watermark.value_ms == 120
    assert [watermark.is_closed(end_ms) for end_ms in (90, 120, 121)] == [True, True, False]
    assert [watermark.count_late(end_ms) for end_ms in (90, 91, 120)] == ["order", "tick", "tick"]
    assert (watermark.late, watermark.late_after_tick) == (1, 2)


def test_the_future_begins_beyond_the_allowed_skew() -> None:
    assert not too_far_ahead(1_100, 1_000_999_999, 100)
    assert too_far_ahead(1_101, 1_000_999_999, 100)


def test_a_negative_grace_is_refused() -> None:
    with pytest.raises(ValueError, match="grace_ms"):
        Watermark(-1)
