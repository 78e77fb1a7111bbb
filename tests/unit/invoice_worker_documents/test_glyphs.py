"""What is printed can be printed: the coverage of the fonts decides, nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.invoice_worker.documents.glyphs import FONTS, covered, printable

COVERED = frozenset().union(*map(covered, FONTS.glob("*.ttf")))
ALWAYS = {"\n", "\N{ZERO WIDTH SPACE}", " ", "\N{NO-BREAK SPACE}"}


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("plain #text *b*", "plain #text *b*"),
        ("Złoty Ελλάς Москва שלום €", "Złoty Ελλάς Москва שלום €"),
        ("株 x 🧾", "\N{REPLACEMENT CHARACTER} x \N{REPLACEMENT CHARACTER}"),
        ("e\u0301clair", "\u00e9clair"),
        ("in\u202evoice\u200f", "invoice"),
        ("tab\there\u2003there", "tab here there"),
        ("two\nlines", "two\nlines"),
        ("heart\ufe0f", "heart"),
    ],
)
def test_text_is_printed_as_far_as_the_fonts_go(text: str, printed: str) -> None:
    assert printable(text) == printed


@settings(max_examples=40)
@given(st.text(), st.booleans())
def test_nothing_is_left_that_no_font_has(text: str, simple: bool) -> None:  # noqa: FBT001 - hypothesis passes by position
    for character in printable(text, simple=simple):
        assert character in ALWAYS or ord(character) in COVERED


@settings(max_examples=40)
@given(st.text())
def test_the_simple_form_needs_no_shaping(text: str) -> None:
    assert not {"\u0301", "\u0336", "ب", "ש"} & set(printable(text + "x\u0336بש", simple=True))
