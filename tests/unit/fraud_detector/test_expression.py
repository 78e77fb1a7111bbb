"""The language of `where`."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.fraud_detector.domain.expression import MOST_NODES, parse
from services.fraud_detector.domain.expression_parts import NAMES
from services.fraud_detector.domain.refusal import RuleError
from tests.unit.fraud_detector.payment_facts import paid

PAYMENT = paid(
    1,
    0,  # 21 September 2026, 14:13:20 UTC, a Monday
    "12.5",
    card="card-1",
    channel="ecom",
    country="DE",
    mcc="5411",
    latitude=52.5,
    score=0.1,
    declined=True,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("channel == 'ecom'", True),
        ('channel == "pos"', False),
        ("channel != 'pos' and amount >= 12.5", True),
        ("amount > 12.5", False),
        ("amount < 12.500001", True),
        ("amount < 12.5000001", True),
        ("12.5 <= amount", True),
        ("amount * 2 - 5 == 20 and amount + 0.5 == 13", True),
        ("-amount == -12.5", True),
        ("amount - 1 - 1 == 10.5 and amount - (1 - 1) == 12.5", True),
        ("1 + 2 * 3 == 7", True),
        ("country in ['FR', 'DE']", True),
        ("country not in ['FR', 'DE']", False),
        ("amount in [12.50, 1]", True),
        ("hour == 14 and weekday == 0", True),
        ("hour in [0, 1, 2] or weekday >= 5", False),
        ("score <= 0.1 and score >= 0.1", True),
        ("score * 10 == 1", True),
        ("latitude > 52 and latitude == 52.5", True),
        ("declined and not late", True),
        ("declined == true and late == false", True),
        ("not declined or not late", True),
        ("false or true and false", False),
        ("(false or true) and true", True),
        ("not not declined", True),
        ("true != false", True),
        # what is missing
        ("merchant == null", True),
        ("merchant != null", False),
        ("null == device", True),
        ("country == null", False),
        ("merchant == 'm'", False),
        ("merchant != 'm'", False),
        ("merchant in ['m']", False),
        ("merchant not in ['m']", False),
        ("not merchant == 'm'", True),
        ("longitude < 0 or longitude >= 0", False),
        ("longitude + 1 != 5", False),
        ("merchant == device", False),
        ("longitude + 1 == null", True),
    ],
)
def test_a_condition_means_what_it_says(text: str, expected: object) -> None:
    assert parse(text).matches(PAYMENT) is expected


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "column 1: expected a value, found the end"),
        ("amount >", "column 9: expected a value, found the end"),
        ("amount > 5 5", "column 12: expected and, or, or the end, found '5'"),
        ("amont > 5", "column 1: expected one of amount, card, "),
        ("amount == 'x'", "column 8: == cannot compare amount, a number, with 'x', a text"),
        ("country < 'x'", "column 9: < cannot compare country, a text, with 'x', a text"),
        ("amount < null", "column 8: < cannot compare amount, a number, with null, null"),
        ("amount", "column 1: must be a condition, amount is a number"),
        ("country + 1 == 2", "column 1: each side of + must be a number, country is a text"),
        ("amount and true", "column 1: each side of and must be a condition, amount is a number"),
        ("not amount", "column 1: what follows not must be a condition, amount is a number"),
        ("country in ['a', 5]", "column 18: a value of this list must be a text, 5 is a number"),
        ("country in []", "column 13: expected a value, found ']'"),
        ("country in [mcc]", "column 13: expected a number or a text, found 'mcc'"),
        ("country not ['a']", "column 13: expected in, found '['"),
        ("(true", "column 6: expected ), found the end"),
        ("country == 'x", "column 12: a text that does not end"),
        ("amount > 1e5", "column 10: no number such as 12 or 0.5"),
        ("amount = 5", "column 8: unexpected '='"),
        ("__import__('os')", "column 1: expected one of amount, "),
        ("amount.real > 1", "column 7: unexpected '.'"),
        ("(" * 21 + "true" + ")" * 21, "column 21: nested deeper than 20"),
        ("not " * 21 + "true", "column 81: nested deeper than 20"),
        ("1<2 or " * 90 + "true", "more than 200 parts"),
        ("true " * 201, "is longer than 1000 characters"),
    ],
)
def test_what_is_no_condition_is_refused_by_its_column(text: str, error: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse(text)
    assert error in str(caught.value)


def test_the_names_that_a_condition_looks_at_are_known() -> None:
    assert parse("score > 0.5 and (mcc == '1' or not late)").names == {"score", "mcc", "late"}


TOKENS = st.sampled_from(
    [*NAMES, *"()[],-+*<>", "==", "!=", "<=", ">=", "and", "or", "not", "in", "null", "true"]  # noqa: RUF005  two lines of tokens
    + ["1", "2.5", "'x'", '"', "'", " ", "\n", "é", "0" * 50]
)


@settings(max_examples=1_500, deadline=None)
@given(st.lists(TOKENS, max_size=40).map(" ".join) | st.text(max_size=60))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        found = parse(text)
    except RuleError:
        return
    assert found.matches(PAYMENT) in (True, False)
    assert found.matches(paid(2)) in (True, False)


@given(st.decimals("0", "999999999999", places=6), st.decimals("0", "999999999999", places=7))
def test_an_amount_is_compared_exactly(amount: Decimal, other: Decimal) -> None:
    payment = paid(1, 0, amount)
    for sign, holds in (
        ("<", amount < other),
        ("<=", amount <= other),
        (">", amount > other),
        (">=", amount >= other),
        ("==", amount == other),
        ("!=", amount != other),
    ):
        assert parse(f"amount {sign} {other:f}").matches(payment) is holds
        assert parse(f"amount * 1 {sign} {other:f}").matches(payment) is holds


def worst() -> dict[str, Any]:
    deep = "-" * 19 + "amount"
    return {
        "products": "*".join(["amount"] * 99) + " > 1",
        "sums": "+".join(["score"] * 99) + " > 1",
        "signs": " or ".join([f"{deep} > 1"] * 8),
        "texts": " or ".join([f"ip == '{'x' * 30}'"] * 22),
    }


@pytest.mark.parametrize("name", worst())
def test_the_dearest_condition_takes_a_few_steps_a_part(name: str) -> None:
    big = paid(1, 0, "999999999999.999999", score=0.1234567890123456, ip="x" * 128)
    matches = parse(worst()[name]).matches
    steps = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal steps
        steps += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        matches(big)
    finally:
        sys.setprofile(None)
    assert 0 < steps <= 5 * MOST_NODES
