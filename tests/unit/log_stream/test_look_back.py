"""The sliding window against a list that forgets nothing."""

from __future__ import annotations

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.log_stream.look_back import SlidingWindow, greatest, least, total

few = settings(max_examples=15, deadline=None)

amounts = st.sampled_from([0.1, 0.2, 0.3, 1e16, -1e16, 5.0])
arrivals = st.lists(st.tuples(st.integers(0, 60), amounts), max_size=25)


@few
@given(st.integers(1, 20), st.integers(0, 15), arrivals, st.integers(0, 25))
def test_every_answer_is_that_of_all_values_seen(
    size_ms: int, grace_ms: int, events: list[tuple[int, float]], cut: int
) -> None:
    window: SlidingWindow[float] = SlidingWindow(size_ms)
    seen: list[tuple[int, float]] = []
    watermark_ms = -grace_ms
    for number, (time_ms, amount) in enumerate(events):
        if number == cut:
            state = msgspec.msgpack.decode(msgspec.msgpack.encode(window.snapshot()))
            window = SlidingWindow(size_ms)
            window.restore(state)
        watermark_ms = max(watermark_ms, time_ms - grace_ms)
        window.evict(watermark_ms)
        if time_ms < watermark_ms:
            continue  # late: its owner does not ask
        window.insert(time_ms, amount)
        seen.append((time_ms, amount))
        for at_ms in range(watermark_ms, watermark_ms + grace_ms + 2):
            expected = [
                value
                for _, value in sorted(
                    (entry for entry in seen if at_ms - size_ms < entry[0] <= at_ms),
                    key=lambda entry: entry[0],
                )
            ]
            assert window.values(at_ms) == expected
            assert window.count(at_ms) == len(expected)
            assert window.distinct(at_ms) == len(set(expected))
            assert total(window, at_ms) == float(sum(map(Fraction, expected)))
            assert least(window, at_ms) == min(expected, default=None)
            assert greatest(window, at_ms) == max(expected, default=None)
        assert len(window) == sum(entry[0] > watermark_ms - size_ms for entry in seen)


def test_whole_numbers_are_summed_exactly() -> None:
    window: SlidingWindow[int] = SlidingWindow(10)
    window.insert(1, 2**60)
    window.insert(2, 1)
    assert total(window, 2) == 2**60 + 1


def test_floats_are_rounded_once() -> None:
    window: SlidingWindow[float] = SlidingWindow(10)
    for _ in range(10):
        window.insert(1, 0.1)
    assert total(window, 1) == 1.0


def test_the_window_excludes_its_start_and_includes_its_event() -> None:
    window: SlidingWindow[str] = SlidingWindow(10)
    for time_ms, name in ((0, "a"), (1, "b"), (10, "c"), (11, "d")):
        window.insert(time_ms, name)
    assert window.values(10) == ["b", "c"]
    assert window.distinct(10) == 2


def test_no_answer_is_given_about_what_may_be_dropped() -> None:
    window: SlidingWindow[int] = SlidingWindow(10)
    window.insert(1, 1)
    window.evict(5)
    with pytest.raises(ValueError, match="watermark"):
        window.count(4)


def test_a_window_without_size_is_refused() -> None:
    with pytest.raises(ValueError, match="size_ms"):
        SlidingWindow(0)
