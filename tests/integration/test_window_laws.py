"""The laws of `tests/window_laws.py` over many more cases, and windows in great numbers."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.log_stream.clock import FOREVER
from shared.log_stream.exact_sum import ExactSum
from shared.log_stream.windowed import windowed
from shared.log_stream.windows import Session, Tumbling, Windower
from tests import window_laws as laws
from tests.window_laws import Bags, Case, cases, cases_within_grace

many = settings(max_examples=400, deadline=None)


@many
@given(cases_within_grace(most=40))
def test_any_order_within_grace_gives_the_same_results(case: Case) -> None:
    laws.any_order_within_grace_gives_the_same_results(case)


@many
@given(cases(most=40))
def test_each_event_is_counted_or_missed_never_both(case: Case) -> None:
    laws.each_event_is_counted_or_missed_never_both(case)


@many
@given(cases(most=40))
def test_a_closed_window_changes_by_revisions_only(case: Case) -> None:
    laws.a_closed_window_changes_by_revisions_only(case)


@many
@given(cases(most=40), st.integers(0, 40), st.integers(1, 5))
def test_restored_anywhere_the_run_is_the_same(case: Case, cut: int, chunk_windows: int) -> None:
    laws.restored_anywhere_the_run_is_the_same(case, cut, chunk_windows)


@many
@given(cases_within_grace(most=40), st.integers(1, 4), st.integers(1, 5))
def test_hopping_is_the_sum_of_tumbling_pieces(case: Case, hops: int, every_ms: int) -> None:
    laws.hopping_is_the_sum_of_tumbling_pieces(case, hops, every_ms)


def test_a_quarter_million_windows_close_at_once_in_order() -> None:
    for windower in (Tumbling(1000), Session(1000)):
        _closes_all(windower, 250_000)


def test_sums_over_200_000_floats_do_not_depend_on_order_or_batches() -> None:
    chance = random.Random(7)
    values = [chance.uniform(-1, 1) * 10.0 ** chance.randrange(-8, 9) for _ in range(200_000)]
    results = set()
    for batches in (1, 2, 333):
        chance.shuffle(values)
        whole = ExactSum.new()
        size = len(values) // batches + 1
        for begin in range(0, len(values), size):
            part = ExactSum.new()
            for value in values[begin : begin + size]:
                part = ExactSum.add(part, value)
            whole = ExactSum.merge(whole, part)
        results.add(ExactSum.value(whole).hex())
    assert len(results) == 1


def _closes_all(windower: Windower, count: int) -> None:
    windows = windowed(windower, Bags())
    keys = [f"k{number}" for number in range(count)]
    random.Random(1).shuffle(keys)
    for number, key in enumerate(keys):
        windows.add(key, number % 3, number, 0)
    assert windows.open_windows == count
    closed = windows.close(5000)
    places = [(window.end_ms, window.start_ms, window.key) for window in closed]
    assert places == sorted(places)
    assert sorted(window.key for window in closed) == sorted(keys)
    assert windows.open_windows == 0
    windows.close(FOREVER)
    assert not list(windows.snapshot())
