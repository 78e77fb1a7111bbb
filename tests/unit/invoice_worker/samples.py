"""The contract's example and small variations of it."""

from __future__ import annotations

import copy
import datetime as dt
import json
from pathlib import Path
from typing import Any

from services.invoice_worker.domain import PreparedInvoice, Refusal, Sellers, parse_job, prepare
from shared.contracts.invoices import InvoiceIssued, JobOrigin

ARRIVAL = dt.datetime(2026, 11, 23, 8, tzinfo=dt.UTC)
ORIGIN = JobOrigin(stream="INVOICE_JOBS", sequence=1, id="INVOICE_JOBS:1")
SELLERS = Sellers.load(None)

EXAMPLE: dict[str, Any] = {
    "order_id": "SO-1001",
    "type": "invoice",
    "issue_date": "2026-11-23",
    "due_date": "2026-12-23",
    "currency": "EUR",
    "buyer": {
        "name": "Blue GmbH",
        "street": "Hauptstr. 1",
        "postal_code": "10115",
        "city": "Berlin",
        "country": "DE",
        "vat_id": "DE136695976",
        "email": "ap@blue.example",
        "reference": "PO-77",
    },
    "lines": [
        {
            "description": "Consulting",
            "quantity": "2.5",
            "unit": "HUR",
            "unit_price": "80.00",
            "vat_category": "S",
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
PLAIN: dict[str, Any] = {
    "order_id": "SO-1",
    "buyer": {"name": "Blue GmbH", "country": "DE"},
    "lines": [{"description": "Thing", "quantity": 1, "unit_price": 100}],
}
MISSING = object()
"""As a value given to `changed`: leave the field out."""


def changed(job: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a copy of a job with another value at a path as errors write it."""
    copied = copy.deepcopy(job)
    *outer, last = [int(key) if key.isdigit() else key for key in _keys(path)]
    holder: Any = copied
    for key in outer:
        holder = holder[key]
    if value is MISSING:
        del holder[last]
    else:
        holder[last] = value
    return copied


def prepared(job: dict[str, Any] | bytes, sellers: Sellers = SELLERS) -> PreparedInvoice:
    body = job if isinstance(job, bytes) else json.dumps(job).encode()
    name = "demo" if "demo" in sellers.names() and len(sellers.names()) == 1 else "other"
    return prepare(parse_job(name, body), sellers.get(name), ARRIVAL)


def issued(job: dict[str, Any], sellers: Sellers = SELLERS) -> InvoiceIssued:
    return prepared(job, sellers).issue(1, ORIGIN, ARRIVAL)


def refusal(job: dict[str, Any] | bytes, sellers: Sellers = SELLERS) -> str:
    """Return "reason error" of a job that must be refused, "" where it is not."""
    try:
        prepared(job, sellers)
    except Refusal as refused:
        return f"{refused.reason} {refused.error}"
    return ""


def seller_other(folder: Path, **fields: object) -> Sellers:
    """Return sellers with a profile `other`, the demo profile with changed fields."""
    profile: dict[str, object] = {
        "name": "Other Ltd",
        "street": "High Street 1",
        "postal_code": "1010",
        "city": "Wien",
        "country": "AT",
        "prefix": "OTH",
        "currency": "EUR",
        "vat_id": "ATU13585627",
        "standard_rate": "20",
    }
    return Sellers.load(write_profile(folder, "other", profile | fields))


def write_profile(folder: Path, name: str, profile: dict[str, object]) -> Path:
    """Write a profiles file; a value None leaves the field out."""
    path = folder / "sellers.toml"
    rows = [f"{key} = {json.dumps(value)}" for key, value in profile.items() if value is not None]
    path.write_text("\n".join([f"[{json.dumps(name)}]", *rows]), encoding="utf-8")
    return path


def _keys(path: str) -> list[str]:
    return path.replace("[", ".").replace("]", "").split(".")
