"""A small issued fact, written by hand."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from shared.contracts.invoices import (
    Buyer,
    InvoiceIssued,
    IssuedLine,
    JobOrigin,
    Payment,
    Supplier,
    Totals,
    VatSubtotal,
)

FACT = InvoiceIssued(
    number="DEMO-2026-000001",
    seller="demo",
    order_id="SO-1",
    type="invoice",
    issue_date=dt.date(2026, 11, 23),
    due_date=dt.date(2026, 12, 23),
    currency="EUR",
    supplier=Supplier(
        name="Headrace Demo GmbH",
        street="Mühlgraben 7",
        postal_code="01067",
        city="Dresden",
        country="DE",
        vat_id="DE123456788",
    ),
    buyer=Buyer(name="Blue GmbH", country="DE", vat_id="DE136695976"),
    lines=(
        IssuedLine(
            line=1,
            description="Consulting",
            quantity=Decimal("2.50"),
            unit="HUR",
            unit_price=Decimal(500),
            net=Decimal("1250.00"),
            vat_category="S",
            vat_rate=Decimal(19),
        ),
    ),
    vat=(VatSubtotal("S", Decimal(19), Decimal("1250.00"), Decimal("237.50")),),
    totals=Totals(
        lines=Decimal("1250.00"),
        allowances=Decimal("0.00"),
        charges=Decimal("0.00"),
        net=Decimal("1250.00"),
        vat=Decimal("237.50"),
        gross=Decimal("1487.50"),
        due=Decimal("1487.50"),
    ),
    job=JobOrigin("INVOICE_JOBS", 1, "job-1"),
    issued_at=dt.datetime(2026, 11, 23, 8, tzinfo=dt.UTC),
    payment=Payment(iban="DE89370400440532013000", bic="COBADEFFXXX"),
)
