"""Laws of the exact sum, with fractions as the oracle."""

from __future__ import annotations

import math
import random
import struct
from fractions import Fraction

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.log_stream.exact_sum import LARGEST, ExactSum

few = settings(max_examples=20, deadline=None)

floats = st.one_of(
    st.floats(-LARGEST, LARGEST),
    st.integers(-1000, 1000).map(float),
    st.integers(-(10**6), 10**6).map(lambda cents: cents / 100),
    st.sampled_from([LARGEST, -LARGEST, 5e-324, -5e-324, -0.0, 2.0**53, 1.0, -1.0]),
)
many = st.lists(floats, max_size=40)


def summed(values: list[float]) -> list[float]:
    terms = ExactSum.new()
    for value in values:
        terms = ExactSum.add(terms, value)
    return terms


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


@few
@given(many)
def test_the_sum_is_the_exact_one_rounded_once(values: list[float]) -> None:
    exact = sum(map(Fraction, values), Fraction())
    terms = summed(values)
    assert sum(map(Fraction, terms), Fraction()) == exact
    assert bits(ExactSum.value(terms)) == bits(float(exact))


@few
@given(st.data(), many)
def test_any_order_cut_and_merging_gives_the_same_bits(
    data: st.DataObject, values: list[float]
) -> None:
    expected = bits(ExactSum.value(summed(values)))
    shuffled = data.draw(st.permutations(values))
    parts = [ExactSum.new() for _ in range(data.draw(st.integers(1, 5)))]
    for value in shuffled:
        place = data.draw(st.integers(0, len(parts) - 1))
        parts[place] = ExactSum.add(parts[place], value)
    while len(parts) > 1:  # any tree: merging is associative and commutative
        left = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
        right = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
        parts.append(ExactSum.merge(left, right))
    assert bits(ExactSum.value(parts[0])) == expected


@few
@given(many, many)
def test_the_state_is_plain_data(first: list[float], rest: list[float]) -> None:
    terms = msgspec.msgpack.decode(msgspec.msgpack.encode(summed(first)))
    for value in rest:
        terms = ExactSum.add(terms, value)
    assert bits(ExactSum.value(terms)) == bits(ExactSum.value(summed(first + rest)))


@few
@given(st.permutations([1.0, 0.1, LARGEST * 2, -1e308, math.inf, 1e308]))
def test_what_is_too_large_is_infinite_in_any_order(values: list[float]) -> None:
    assert math.isnan(ExactSum.value(summed(values)))
    upward = [value for value in values if value > 0]
    assert ExactSum.value(summed(upward)) == math.inf
    assert math.isnan(ExactSum.value(summed([*upward, math.nan])))


def test_whole_numbers_take_one_float() -> None:
    terms = summed([float(number) for number in range(1000)])
    assert terms == [499500.0]


def test_nothing_is_lost_when_terms_are_summed_up() -> None:
    chance = random.Random(3)
    values = [chance.uniform(-1, 1) * 10.0 ** chance.randrange(-30, 30) for _ in range(300)]
    assert sum(map(Fraction, summed(values))) == sum(map(Fraction, values))
    assert ExactSum.value(ExactSum.merge(summed(values), summed([-v for v in values]))) == 0.0


def test_the_state_stays_small() -> None:
    lengths = {len(summed([1e300 * 0.1**k for k in range(n)])) for n in range(20, 600, 7)}
    assert max(lengths) < 64
