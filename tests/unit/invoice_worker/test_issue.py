"""What a good job becomes."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.invoice_worker.domain import parse_job, prepare
from tests.unit.invoice_worker.samples import (
    ARRIVAL,
    EXAMPLE,
    ORIGIN,
    PLAIN,
    SELLERS,
    changed,
    issued,
    prepared,
    seller_other,
)


def test_the_contracts_example_gives_its_published_result() -> None:
    fact = msgspec.json.decode(msgspec.json.encode(issued(EXAMPLE)))
    published = {
        "number": "DEMO-2026-000001",
        "seller": "demo",
        "order_id": "SO-1001",
        "type": "invoice",
        "issue_date": "2026-11-23",
        "due_date": "2026-12-23",
        "currency": "EUR",
        "vat": [
            {"category": "S", "rate": "19", "base": "197.90", "amount": "37.60"},
            {"category": "S", "rate": "7", "base": "26.97", "amount": "1.89"},
        ],
        "totals": {
            "lines": "226.97",
            "allowances": "10.00",
            "charges": "7.90",
            "net": "224.87",
            "vat": "39.49",
            "gross": "264.36",
            "due": "264.36",
        },
        "job": {"stream": "INVOICE_JOBS", "sequence": 1, "id": "INVOICE_JOBS:1"},
        "issued_at": "2026-11-23T08:00:00Z",
    }
    assert {key: fact[key] for key in published} == published
    assert fact["lines"][0] == {
        "line": 1,
        "description": "Consulting",
        "quantity": "2.5",
        "unit": "HUR",
        "unit_price": "80.00",
        "net": "200.00",
        "vat_category": "S",
        "vat_rate": "19",
    }
    assert fact["lines"][1]["discount"] == "3.00"


def test_defaults_come_from_the_seller_and_the_day_of_arrival() -> None:
    fact = issued(PLAIN)
    line = fact.lines[0]
    assert (fact.type, fact.currency, fact.issue_date) == ("invoice", "EUR", ARRIVAL.date())
    assert (line.unit, line.vat_category, line.vat_rate) == ("C62", "S", Decimal(19))
    assert fact.due_date == ARRIVAL.date() + dt.timedelta(days=30)
    assert fact.payment is not None
    assert (fact.payment.iban, fact.payment.bic) == ("DE89370400440532013000", "COBADEFFXXX")


def test_the_day_of_arrival_is_that_of_utc() -> None:
    late_in_new_york = dt.datetime(2026, 12, 31, 23, 30, tzinfo=dt.timezone(dt.timedelta(hours=-5)))
    job = parse_job("demo", msgspec.json.encode(PLAIN))
    invoice = prepare(job, SELLERS.get("demo"), late_in_new_york)
    assert (invoice.year, invoice.series) == (2027, "demo-2027")


def test_number_and_series_follow_the_year_of_the_issue_date() -> None:
    invoice = prepared(changed(PLAIN, "issue_date", "2025-12-31"))
    assert invoice.series == "demo-2025"
    assert invoice.issue(42, ORIGIN, ARRIVAL).number == "DEMO-2025-000042"
    assert invoice.issue(1_234_567, ORIGIN, ARRIVAL).number == "DEMO-2025-1234567"


def test_a_job_that_gives_terms_needs_no_due_date() -> None:
    fact = issued(changed(PLAIN, "payment", {"terms": "at once"}))
    assert fact.due_date is None
    assert fact.payment is not None
    assert (fact.payment.terms, fact.payment.iban) == ("at once", "DE89370400440532013000")


def test_an_account_of_the_job_does_not_get_the_bank_of_the_seller() -> None:
    fact = issued(changed(PLAIN, "payment", {"iban": "FR14 2004 1010 0505 0001 3M02 606"}))
    assert fact.payment is not None
    assert (fact.payment.iban, fact.payment.bic) == ("FR1420041010050500013M02606", None)


def test_a_credit_note_does_not_ask_the_buyer_to_pay() -> None:
    job = PLAIN | {"type": "credit_note", "preceding_invoice": "DEMO-2026-000001"}
    fact = issued(job)
    assert (fact.due_date, fact.payment) == (None, None)
    assert fact.preceding_invoice == "DEMO-2026-000001"
    assert fact.totals.due == Decimal("119.00")


@pytest.mark.parametrize(
    ("category", "code", "reason"),
    [
        ("Z", None, None),
        ("E", None, "Exempt from VAT"),
        ("AE", "VATEX-EU-AE", "Reverse charge"),
        ("K", "VATEX-EU-IC", "Intra-community supply"),
        ("G", "VATEX-EU-G", "Export outside the EU"),
        ("O", "VATEX-EU-O", "Not subject to VAT"),
    ],
)
def test_categories_without_vat_say_why(category: str, code: str, reason: str) -> None:
    job = changed(PLAIN, "lines[0].vat_category", category)
    job["buyer"] = {"name": "Rouge SA", "country": "FR", "vat_id": "FR40303265045"}
    (row,) = issued(job).vat
    assert row.category == category
    assert (row.rate, row.amount) == (Decimal(0), Decimal(0))
    assert (row.exemption_code, row.exemption_reason) == (code, reason)


def test_an_intra_community_supply_says_when_and_whereto() -> None:
    job = changed(PLAIN, "lines[0].vat_category", "K")
    job["buyer"] = {"name": "Rouge SA", "country": "FR", "vat_id": "FR40303265045"}
    fact = issued(job)
    assert (fact.delivery_date, fact.delivery_country) == (fact.issue_date, "FR")
    assert issued(PLAIN).delivery_country is None


def test_what_is_not_subject_to_vat_names_no_vat_id() -> None:
    fact = issued(changed(EXAMPLE | _all_outside_scope(), "allowances", []))
    assert (fact.supplier.vat_id, fact.buyer.vat_id) == (None, None)
    assert fact.supplier.registration is not None


def test_the_sellers_reason_for_exemption_is_printed(tmp_path: Path) -> None:
    sellers = seller_other(tmp_path, exemption_reason="Kleinunternehmer")
    (row,) = issued(changed(PLAIN, "lines[0].vat_category", "E"), sellers).vat
    assert row.exemption_reason == "Kleinunternehmer"


@pytest.mark.parametrize(
    ("path", "given", "kept"),
    [
        ("buyer.name", "  Blue GmbH\n", "Blue GmbH"),
        ("buyer.vat_id", "de 136 695 976", "DE136695976"),
        ("buyer.country", "de", "DE"),
        ("buyer.street", "   ", None),
        ("buyer.city", "#set page(1pt) <b>&amp;", "#set page(1pt) <b>&amp;"),
        ("order_id", "../../etc/passwd", "../../etc/passwd"),
        ("note", "one\r\ntwo\n", "one\ntwo"),
        ("lines[0].description", "e\u0301clair 株式会社 🧾", "e\u0301clair 株式会社 🧾"),
    ],
)
def test_text_is_trimmed_and_otherwise_kept(path: str, given: str, kept: str | None) -> None:
    fact: Any = issued(changed(EXAMPLE, path, given))
    for key in path.replace("[0]", "").split("."):
        fact = getattr(fact, key)
        fact = fact[0] if key == "lines" else fact
    assert fact == kept


def test_unknown_fields_make_no_difference() -> None:
    job = changed(EXAMPLE, "colour", {"a:b": [1e300, None, 10**400]})
    assert issued(job) == issued(EXAMPLE)


def _all_outside_scope() -> dict[str, Any]:
    return {
        "lines": [PLAIN["lines"][0] | {"vat_category": "O"}],
        "charges": [{"reason": "Freight", "amount": 5, "vat_category": "O"}],
    }
