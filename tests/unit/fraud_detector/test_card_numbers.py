"""Card numbers are found by length and check digit, and masked but for the last four digits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.fraud_detector.domain.card_numbers import (
    holds_card_number,
    looks_clean,
    masked,
    masked_body,
    place_of_card_number,
)

NUMBERS = ("4111111111111111", "5500-0000-0000-0004", "3400 000000 00009", "4222222222222")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4111111111111111", "************1111"),
        ("a 5500-0000-0000-0004.", "a ****-****-****-0004."),
        ("4111111111111112", "4111111111111112"),
        ("1 4111 1111 1111 1111 7", "1 **** **** **** 1111 7"),
        ("411111111111", "411111111111"),
        ('{"x":"\\u00341111111\\u002d11111111"}', '{"x":"********\\u002d****1111"}'),
        ("4222222222222 4111111111111111", "*********2222 ************1111"),
        ("4111  1111  1111  1111", "4111  1111  1111  1111"),
    ],
)
def test_all_but_the_last_four_digits_are_masked(text: str, expected: str) -> None:
    assert masked(text) == expected
    assert masked_body(text.encode() + b"\xff") == expected.encode() + b"\xff"


def luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


@given(st.text("0123456789", min_size=12, max_size=20))
def test_a_run_of_digits_is_a_card_number_by_length_and_check_digit(digits: str) -> None:
    assert holds_card_number(digits) is (13 <= len(digits) <= 19 and luhn(digits))


PIECES = st.sampled_from([*NUMBERS, "\\u0034", "4", "1", "-", " ", "x", "d", "u", "\\u0020", "9"])


@given(st.lists(PIECES, max_size=30).map("".join))
def test_what_looks_clean_is_and_what_was_masked_stays_so(text: str) -> None:
    body = f'{{"amount": 1, "note": "{text}"}}'.encode()
    if looks_clean(body):
        assert place_of_card_number(body) is None
        assert masked_body(body) == body
    clean = masked_body(body)
    assert masked_body(clean) == clean
    assert place_of_card_number(clean) is None
