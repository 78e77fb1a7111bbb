from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.work_queue import Backoff

chances = st.floats(0, 1, exclude_max=True)


@given(attempt=st.integers(1, 10_000), chance=chances)
def test_a_delay_is_never_longer_than_the_longest_and_never_nothing(
    attempt: int, chance: float
) -> None:
    policy = Backoff(first_seconds=0.5, factor=3, most_seconds=60, jitter=0.5)
    delay = policy.delay_seconds(attempt, chance)
    assert 0.25 <= delay <= 60


@given(attempt=st.integers(1, 50), chance=chances)
def test_a_later_attempt_waits_at_least_as_long(attempt: int, chance: float) -> None:
    policy = Backoff()
    assert policy.delay_seconds(attempt + 1, chance) >= policy.delay_seconds(attempt, chance)


def test_without_jitter_delays_grow_by_the_factor() -> None:
    policy = Backoff(first_seconds=1, factor=2, most_seconds=10, jitter=0)
    assert [policy.delay_seconds(n, 0.7) for n in range(1, 7)] == [1, 2, 4, 8, 10, 10]


def test_chance_spreads_a_crowd() -> None:
    policy = Backoff(first_seconds=10, jitter=0.5)
    assert policy.delay_seconds(1, 0.0) == 10
    assert policy.delay_seconds(1, 0.5) == 7.5
