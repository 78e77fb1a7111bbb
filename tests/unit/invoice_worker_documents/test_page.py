"""The page says what the fact says, in the buyer's language."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from services.invoice_worker.documents.facturx import UnexpectedPdfError, with_facturx_metadata
from services.invoice_worker.documents.page import page_of
from services.invoice_worker.documents.texts import ENGLISH, GERMAN, Texts, texts_for
from tests.unit.invoice_worker_documents.facts import FACT


@pytest.mark.parametrize(
    ("texts", "value", "written"),
    [
        (GERMAN, "1234567.50", "1.234.567,50"),
        (GERMAN, "-0.5", "-0,5"),
        (GERMAN, "125000", "125.000"),
        (ENGLISH, "1234567.50", "1,234,567.50"),
        (ENGLISH, "125000", "125,000"),
    ],
)
def test_numbers_carry_the_marks_of_the_language(texts: Texts, value: str, written: str) -> None:
    assert texts.number_text(Decimal(value)) == written


@pytest.mark.parametrize(
    ("value", "written"), [("2.50", "2,5"), ("3.000", "3"), ("1000", "1.000"), ("0.125", "0,125")]
)
def test_quantities_lose_needless_zeros(value: str, written: str) -> None:
    assert GERMAN.quantity_text(Decimal(value)) == written


def test_german_goes_to_german_speaking_countries() -> None:
    spoken = {country: texts_for(country).language for country in ("DE", "AT", "CH", "LI", "FR")}
    assert spoken == {"DE": "de", "AT": "de", "CH": "de", "LI": "de", "FR": "en"}


def test_both_languages_name_the_same_units() -> None:
    assert GERMAN.units.keys() == ENGLISH.units.keys()


def test_a_line_shows_quantity_price_rate_and_amount() -> None:
    [line] = page_of(FACT).lines
    assert line.cells == ("1", "Consulting", "2,5 Std.", "500,00", "19 %", "1.250,00")


def test_a_discounted_line_shows_the_amount_before_and_the_discount_below() -> None:
    line = msgspec.structs.replace(
        FACT.lines[0],
        net=Decimal("1125.00"),
        discount_percent=Decimal(10),
        discount=Decimal("125.00"),
    )
    [shown] = page_of(msgspec.structs.replace(FACT, lines=(line,))).lines
    assert shown.cells[-1] == "1.250,00"
    assert shown.discount == ("Rabatt 10 %", "\N{MINUS SIGN}125,00")


def test_abroad_the_country_ends_the_address() -> None:
    buyer = msgspec.structs.replace(FACT.buyer, country="FR", city="Paris", postal_code="75007")
    assert page_of(FACT).address == ("Blue GmbH",)
    assert page_of(msgspec.structs.replace(FACT, buyer=buyer)).address == (
        "Blue GmbH",
        "75007 Paris",
        "FR",
    )


def test_a_credit_note_asks_for_no_payment() -> None:
    page = page_of(msgspec.structs.replace(FACT, type="credit_note"))
    assert page.title == "Rechnungskorrektur DEMO-2026-000001"
    assert (page.pay_text, page.pay_rows, page.qr) == ("", (), "")


def test_a_file_that_typst_did_not_write_gets_no_metadata() -> None:
    with pytest.raises(UnexpectedPdfError):
        with_facturx_metadata(b"%PDF-1.7\nstartxref\n1\n%%EOF")
