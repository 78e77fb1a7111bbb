"""Issued facts for tests of the documents, made from jobs by the domain itself."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from services.invoice_worker.domain import Sellers, parse_job, prepare
from shared.contracts.invoices import InvoiceIssued, JobOrigin
from tests.invoice_strategies import ARRIVAL

_BLUE = {
    "name": "Blue GmbH",
    "street": "Hauptstr. 1",
    "postal_code": "10115",
    "city": "Berlin",
    "country": "DE",
    "vat_id": "DE136695976",
    "email": "ap@blue.example",
    "reference": "PO-77",
}
_BUYERS = {
    "GB": {"name": "Thames Trading Ltd", "street": "1 Quay", "city": "London", "country": "GB"},
    "FR": {
        "name": "Société Bleue S.A.",
        "street": "2 rue du Bac",
        "postal_code": "75007",
        "city": "Paris",
        "country": "FR",
        "vat_id": "FR40303265045",
    },
    "JP": {"name": "Aoi Shokai K.K.", "street": "1-1 Marunouchi", "city": "Tokyo", "country": "JP"},
}
_GOODS = {"description": "Turbine blade", "quantity": "4", "unit_price": "1250.00"}


def fact_of(job: dict[str, Any], number: int = 1) -> InvoiceIssued:
    """Return the fact that the worker would issue for this job of the demo seller."""
    parsed = parse_job("demo", json.dumps(job).encode())
    prepared = prepare(parsed, _sellers().get("demo"), ARRIVAL)
    return prepared.issue(number, JobOrigin("INVOICE_JOBS", number, f"job-{number}"), ARRIVAL)


def contract_job(**changes: object) -> dict[str, Any]:
    """Return the job of the public contract, with top-level fields changed."""
    job: dict[str, Any] = {
        "order_id": "SO-1001",
        "issue_date": "2026-11-23",
        "due_date": "2026-12-23",
        "currency": "EUR",
        "buyer": _BLUE,
        "lines": [
            {
                "description": "Consulting",
                "quantity": "2.5",
                "unit": "HUR",
                "unit_price": "80.00",
                "vat_rate": "19",
            },
            {
                "description": "Handbook",
                "quantity": 3,
                "unit_price": "9.99",
                "vat_rate": "7",
                "discount_percent": "10",
            },
        ],
        "allowances": [{"reason": "Loyalty", "percent": "5", "vat_rate": "19"}],
        "charges": [{"reason": "Freight", "amount": "7.90", "vat_rate": "19"}],
        "payment": {"iban": "DE89370400440532013000", "terms": "30 days net"},
        "note": "Thank you",
    }
    return job | changes


def plain_job(category: str, country: str, **changes: object) -> dict[str, Any]:
    """Return a job of one line of goods, of one VAT category, for a buyer in that country."""
    job: dict[str, Any] = {
        "order_id": f"SO-{category}",
        "buyer": _BUYERS.get(country, _BLUE),
        "lines": [_GOODS | {"vat_category": category}],
    }
    return job | changes


@cache
def sample_facts() -> dict[str, InvoiceIssued]:
    """Return one fact of each kind, by name: categories, currencies, lengths, credit notes."""
    many = [_GOODS | {"description": f"Blade {n} of the runner"} for n in range(1, 61)]
    jobs = {
        "contract": contract_job(),
        "credit-note": plain_job("S", "GB", type="credit_note", preceding_invoice="DEMO-2026-1"),
        "credit-note-due": contract_job(
            type="credit_note", preceding_invoice="DEMO-2026-1", payment=None
        ),
        "long": contract_job(lines=many),
        "zero": plain_job("Z", "DE"),
        "exempt": plain_job("E", "DE"),
        "reverse-charge": plain_job("AE", "FR"),
        "intra-community": plain_job("K", "FR"),
        "intra-community-credit": plain_job(
            "K", "FR", type="credit_note", preceding_invoice="DEMO-2026-1"
        ),
        "export": plain_job("G", "JP"),
        "outside": plain_job("O", "GB"),
        "yen": plain_job("S", "JP", currency="JPY", lines=[_GOODS | {"unit_price": "125000"}]),
    }
    return {name: fact_of(job, n) for n, (name, job) in enumerate(jobs.items(), 1)}


@cache
def _sellers() -> Sellers:
    return Sellers.load(None)
