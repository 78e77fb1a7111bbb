"""Messages of the invoice worker: the job that a user publishes, the facts that result.

Money and quantities are decimal and travel as JSON strings; a publisher may also write
numbers. Amounts carry the decimals of the invoice's currency. Dates are ISO 8601
calendar dates. Business terms (BT-n, BG-n) are those of EN 16931-1.

The lengths given here hold for what arrives; they are checked while decoding. Whatever
else a job must obey is checked by the domain of the invoice worker.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

InvoiceType = Literal["invoice", "credit_note"]
VatCategory = Literal["S", "Z", "E", "AE", "K", "G", "O"]

Code = Annotated[str, Meta(max_length=40)]
"""A code or number with a form of its own: country, currency, unit, VAT id, IBAN, BIC."""
Words = Annotated[str, Meta(max_length=200)]
"""One line of text: a name, a street, a reference."""
Sentence = Annotated[str, Meta(max_length=1_000)]
"""One longer line of text, such as what was sold."""
Paragraphs = Annotated[str, Meta(max_length=5_000)]
"""Text that may hold line breaks."""


class Buyer(Struct, frozen=True, omit_defaults=True):
    """Who receives the invoice (BG-7)."""

    name: Words
    country: Code
    street: Words | None = None
    postal_code: Code | None = None
    city: Words | None = None
    vat_id: Code | None = None
    email: Words | None = None
    reference: Words | None = None


class JobLine(Struct, frozen=True, omit_defaults=True):
    """One line as ordered (BG-25); `vat_rate` and `discount_percent` are percentages."""

    description: Sentence
    quantity: Decimal
    unit_price: Decimal
    unit: Code = "C62"
    vat_category: VatCategory = "S"
    vat_rate: Decimal | None = None
    discount_percent: Decimal | None = None


class JobAdjustment(Struct, frozen=True, omit_defaults=True):
    """An allowance (BG-20) or charge (BG-21) of the whole document.

    Exactly one of `percent` (of the sum of the lines with the same VAT category and
    rate) and `amount`.
    """

    reason: Words
    percent: Decimal | None = None
    amount: Decimal | None = None
    vat_category: VatCategory = "S"
    vat_rate: Decimal | None = None


Adjustments = Annotated[tuple[JobAdjustment, ...], Meta(max_length=100)]


class Payment(Struct, frozen=True, omit_defaults=True):
    """How to pay: credit transfer account (BT-84, BT-86) and terms (BT-20)."""

    iban: Code | None = None
    bic: Code | None = None
    terms: Paragraphs | None = None


class InvoiceJob(Struct, frozen=True, omit_defaults=True):
    """Command: make an invoice. Published to `jobs.invoice.<seller>`."""

    order_id: Words
    buyer: Buyer
    lines: Annotated[tuple[JobLine, ...], Meta(min_length=1, max_length=1_000)]
    type: InvoiceType = "invoice"
    issue_date: dt.date | None = None
    due_date: dt.date | None = None
    currency: Code | None = None
    allowances: Adjustments = ()
    charges: Adjustments = ()
    payment: Payment | None = None
    preceding_invoice: Words | None = None
    note: Paragraphs | None = None


class Supplier(Struct, frozen=True, omit_defaults=True):
    """The seller as printed on the document (BG-4), a copy of the profile when issued."""

    name: str
    street: str
    postal_code: str
    city: str
    country: str
    vat_id: str | None = None
    tax_number: str | None = None
    registration: str | None = None
    email: str | None = None
    phone: str | None = None
    contact: str | None = None


class IssuedLine(Struct, frozen=True, omit_defaults=True):
    """A line with its amounts: `net` (BT-131) = quantity x unit price - `discount` (BT-136)."""

    line: int
    description: str
    quantity: Decimal
    unit: str
    unit_price: Decimal
    net: Decimal
    vat_category: VatCategory
    vat_rate: Decimal
    discount_percent: Decimal | None = None
    discount: Decimal | None = None


class IssuedAdjustment(Struct, frozen=True, omit_defaults=True):
    """A document level allowance or charge; `base` (BT-93, BT-100) where given in percent."""

    reason: str
    amount: Decimal
    vat_category: VatCategory
    vat_rate: Decimal
    percent: Decimal | None = None
    base: Decimal | None = None


class VatSubtotal(Struct, frozen=True, omit_defaults=True):
    """One row of the VAT breakdown (BG-23): `base` is BT-116, `amount` BT-117."""

    category: VatCategory
    rate: Decimal
    base: Decimal
    amount: Decimal
    exemption_code: str | None = None
    exemption_reason: str | None = None


class Totals(Struct, frozen=True):
    """Document totals (BG-22), BT-106 to BT-110, BT-112 and BT-115."""

    lines: Decimal
    allowances: Decimal
    charges: Decimal
    net: Decimal
    vat: Decimal
    gross: Decimal
    due: Decimal


class JobOrigin(Struct, frozen=True):
    """Which message asked for the invoice."""

    stream: str
    sequence: int
    id: str


class InvoiceIssued(Struct, frozen=True, omit_defaults=True):
    """Event: an invoice exists. On `invoices.issued.<seller>`; all its documents follow from it.

    Amounts carry the decimals of `currency`. `delivery_date` (BT-72) and `delivery_country`
    (BT-80) are set where VAT law asks for them: intra-community supply. A category O row
    has rate 0, and an invoice with such rows names no VAT id (BR-O-02).
    """

    number: str
    seller: str
    order_id: str
    type: InvoiceType
    issue_date: dt.date
    currency: str
    supplier: Supplier
    buyer: Buyer
    lines: tuple[IssuedLine, ...]
    vat: tuple[VatSubtotal, ...]
    totals: Totals
    job: JobOrigin
    issued_at: dt.datetime
    due_date: dt.date | None = None
    delivery_date: dt.date | None = None
    delivery_country: str | None = None
    allowances: tuple[IssuedAdjustment, ...] = ()
    charges: tuple[IssuedAdjustment, ...] = ()
    payment: Payment | None = None
    preceding_invoice: str | None = None
    note: str | None = None


class InvoiceRendered(Struct, frozen=True):
    """Event: the documents of an invoice are stored. On `invoices.rendered.<seller>`."""

    number: str
    objects: tuple[str, ...]


class InvoiceDone(Struct, frozen=True):
    """Record of a finished job, on `invoices-done.<hash of the job's identity>`."""

    number: str
    content: str
    """Hash of the job's normalised content: tells a repeat from a conflict."""


class SeriesCounter(Struct, frozen=True):
    """Last number given in a series, on `invoices-counter.<seller>-<year>`."""

    last: int
    commit: str
    """Id of the batch that wrote it: how a writer recognises its own commit."""
