"""When two jobs are the same job, and when they are the same order with other content."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from services.invoice_worker.domain import content_of, identity_of, parse_job
from tests.unit.invoice_worker.samples import EXAMPLE, MISSING, PLAIN, changed, prepared


def _content(job: dict[str, Any] | str) -> str:
    body = job if isinstance(job, str) else json.dumps(job)
    return content_of(parse_job("demo", body.encode()))


@pytest.mark.parametrize(
    "same",
    [
        EXAMPLE | {"allowances": EXAMPLE["allowances"], "preceding_invoice": None},
        changed(EXAMPLE, "lines[0].quantity", 2.5),
        changed(EXAMPLE, "lines[0].quantity", "25e-1"),
        changed(EXAMPLE, "lines[0].unit_price", 80),
        changed(EXAMPLE, "lines[1].unit", "C62"),
        changed(EXAMPLE, "lines[1].vat_category", "S"),
        changed(EXAMPLE, "lines[1].vat_rate", "7.00"),
        changed(EXAMPLE, "type", MISSING),
        changed(EXAMPLE, "payment.iban", "de89 3704 0044 0532 0130 00"),
        changed(EXAMPLE, "payment.bic", " "),
        changed(EXAMPLE, "buyer.vat_id", "DE 136 695 976"),
        changed(EXAMPLE, "note", " Thank you\n"),
        changed(EXAMPLE, "colour", "blue"),
    ],
)
def test_what_means_the_same_has_the_same_content(same: dict[str, Any]) -> None:
    assert _content(same) == _content(EXAMPLE)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("order_id", "SO-1002"),
        ("issue_date", "2026-11-24"),
        ("issue_date", MISSING),
        ("due_date", MISSING),
        ("currency", "USD"),
        ("currency", MISSING),
        ("buyer.name", "blue GmbH"),
        ("buyer.country", "AT"),
        ("buyer.vat_id", MISSING),
        ("lines[0].description", "Consulting "),
        ("lines[0].description", "Consulting, remote"),
        ("lines[0].quantity", "2.500001"),
        ("lines[0].unit_price", "80.01"),
        ("lines[0].vat_rate", MISSING),
        ("lines[1].discount_percent", "10.01"),
        ("lines", EXAMPLE["lines"][::-1]),
        ("lines", EXAMPLE["lines"] + EXAMPLE["lines"][:1]),
        ("allowances[0].percent", "6"),
        ("charges[0].reason", "freight"),
        ("payment.terms", MISSING),
        ("payment", MISSING),
        ("preceding_invoice", "DEMO-2026-000001"),
        ("note", "Thank you!"),
    ],
)
def test_anything_else_is_other_content(path: str, value: object) -> None:
    same = value == "Consulting "  # blanks around a text mean nothing
    assert (_content(changed(EXAMPLE, path, value)) == _content(EXAMPLE)) is same


def test_identity_is_seller_type_and_order_and_nothing_else() -> None:
    first = identity_of("demo", "invoice", "SO-1")
    assert prepared(PLAIN).identity == first
    assert prepared(changed(PLAIN, "order_id", " SO-1 ")).identity == first
    assert prepared(changed(PLAIN, "note", "other")).identity == first
    others = {
        identity_of("demo", "credit_note", "SO-1"),
        identity_of("acme", "invoice", "SO-1"),
        identity_of("demo", "invoice", "so-1"),
        identity_of("demo", "invoice", '","'),
        identity_of('demo","invoice', "invoice", ""),
    }
    assert len(others | {first}) == 6


def test_hashes_are_fit_for_a_subject_and_stay_as_they_are() -> None:
    invoice = prepared(EXAMPLE)
    assert re.fullmatch(r"[0-9a-f]{32}", invoice.identity)
    # Written into `done` records that live as long as the invoices: a change here makes
    # every repeat of an old job a conflict.
    assert invoice.identity == "5155ef552c0485349d0620923cc28ecd"
    assert invoice.content == "6593fac11bc6747ef59a35de92ba1a24"
