"""Squares lose nothing: their exact sum is what fractions give."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from services.metrics_aggregator.domain.squares import squares

VALUES = st.floats(1e-100, 1e100) | st.floats(-1e100, -1e-100) | st.just(0.0)


@settings(max_examples=50)
@given(st.lists(VALUES, max_size=8))
def test_the_squares_are_exact(values: list[float]) -> None:
    assert sum(map(Fraction, squares(values))) == sum(Fraction(value) ** 2 for value in values)
