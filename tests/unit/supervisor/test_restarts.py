"""A child that dies is started again: soon at first, never too often, never given up."""

from __future__ import annotations

from shared.supervisor.restarts import Restarts

RULE = Restarts(first=0.5, most=15, calm=30)


def pauses(lives: list[float]) -> list[float]:
    deaths, found = 0, []
    for lived in lives:
        deaths = RULE.deaths(deaths, lived)
        found.append(RULE.pause(deaths))
    return found


def test_the_pause_doubles_up_to_the_most() -> None:
    assert pauses([0.1] * 8) == [0.5, 1, 2, 4, 8, 15, 15, 15]


def test_a_child_that_lived_long_starts_soon_again() -> None:
    assert pauses([0.1, 0.1, 0.1, 30, 29.9]) == [0.5, 1, 2, 0.5, 1]


def test_a_storm_without_end_overflows_nothing() -> None:
    assert RULE.pause(100_000) == 15
