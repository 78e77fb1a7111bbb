"""From a parsed job and its seller to the fact that an invoice exists."""

from __future__ import annotations

import datetime as dt
from typing import Final

import msgspec
from msgspec import Struct

from services.invoice_worker.domain.amounts import Amounts, compute
from services.invoice_worker.domain.code_lists import smallest_amount
from services.invoice_worker.domain.identity import content_of, identity_of
from services.invoice_worker.domain.refusal import invalid
from services.invoice_worker.domain.sellers import SellerProfile
from services.invoice_worker.domain.vat import INTRA_COMMUNITY, OUTSIDE_SCOPE, refuse_unmet
from shared.contracts.invoices import (
    Buyer,
    InvoiceIssued,
    InvoiceJob,
    JobOrigin,
    Payment,
    Supplier,
)

_OLDEST: Final = dt.timedelta(days=3_653)
_FURTHEST_ISSUE: Final = dt.timedelta(days=366)
_FURTHEST_DUE: Final = dt.timedelta(days=3_653)


class PreparedInvoice(Struct, frozen=True):
    """An invoice that lacks nothing but its number.

    `identity` and `content` are 32 hexadecimal digits each (see `identity.py`), `series` is
    `<seller>-<year of issue date>`.
    """

    seller: str
    year: int
    prefix: str
    identity: str
    content: str
    job: InvoiceJob
    amounts: Amounts
    terms: Terms
    parties: Parties

    @property
    def series(self) -> str:
        """The series of numbers that this invoice takes its number from."""
        return f"{self.seller}-{self.year}"

    def issue(self, n: int, job: JobOrigin, issued_at: dt.datetime) -> InvoiceIssued:
        """Return the fact, with the n-th number of the series, n from 1."""
        return InvoiceIssued(
            number=f"{self.prefix}-{self.year}-{n:06d}",
            seller=self.seller,
            order_id=self.job.order_id,
            type=self.job.type,
            issue_date=self.terms.issue_date,
            currency=self.terms.currency,
            supplier=self.parties.supplier,
            buyer=self.parties.buyer,
            lines=self.amounts.lines,
            vat=self.amounts.vat,
            totals=self.amounts.totals,
            job=job,
            issued_at=issued_at,
            due_date=self.terms.due_date,
            delivery_date=self.terms.delivery_date,
            delivery_country=self.terms.delivery_country,
            allowances=self.amounts.allowances,
            charges=self.amounts.charges,
            payment=self.terms.payment,
            preceding_invoice=self.job.preceding_invoice,
            note=self.job.note,
        )


class Terms(Struct, frozen=True):
    """When, where and how: the job's wishes with the seller's defaults."""

    currency: str
    issue_date: dt.date
    due_date: dt.date | None
    payment: Payment | None
    delivery_date: dt.date | None
    delivery_country: str | None


class Parties(Struct, frozen=True):
    """Seller and buyer as they may be printed on this invoice."""

    supplier: Supplier
    buyer: Buyer


def prepare(job: InvoiceJob, profile: SellerProfile, arrival: dt.datetime) -> PreparedInvoice:
    """Decide everything about the invoice but its number.

    `arrival` is when the job was stored, with a zone: defaults and date limits follow from
    it, not from the clock, so that a redelivery tomorrow gives the same invoice.

    Raises `Refusal`.
    """
    currency = job.currency or profile.currency
    issue_date = _issue_date(job, arrival.astimezone(dt.UTC).date())
    amounts = compute(job, profile, smallest_amount(currency))
    refuse_unmet(amounts.first_use, profile, job.buyer)
    categories = {group.category for group in amounts.first_use}
    abroad = INTRA_COMMUNITY in categories
    return PreparedInvoice(
        seller=profile.key,
        year=issue_date.year,
        prefix=profile.prefix,
        identity=identity_of(profile.key, job.type, job.order_id),
        content=content_of(job),
        job=job,
        amounts=amounts,
        terms=Terms(
            currency=currency,
            issue_date=issue_date,
            due_date=_due_date(job, profile, issue_date),
            payment=_payment(job, profile),
            # BR-IC-11 and BR-IC-12: a supply to another member state says when and whereto.
            delivery_date=issue_date if abroad else None,
            delivery_country=job.buyer.country if abroad else None,
        ),
        parties=_parties(job, profile, outside_scope=OUTSIDE_SCOPE in categories),
    )


def _issue_date(job: InvoiceJob, today: dt.date) -> dt.date:
    if job.issue_date is None:
        return today
    if job.issue_date < today - _OLDEST:
        raise invalid("issue_date", "is more than ten years before the job's arrival")
    if job.issue_date > today + _FURTHEST_ISSUE:
        raise invalid("issue_date", "is more than a year after the job's arrival")
    return job.issue_date


def _due_date(job: InvoiceJob, profile: SellerProfile, issue_date: dt.date) -> dt.date | None:
    if job.due_date is None:
        if job.type == "credit_note" or (job.payment and job.payment.terms):
            return None
        # BR-CO-25: an invoice says when it is due, or on which terms.
        return issue_date + dt.timedelta(days=profile.due_days)
    if job.due_date < issue_date:
        raise invalid("due_date", "must not be before issue_date")
    if job.due_date > issue_date + _FURTHEST_DUE:
        raise invalid("due_date", "is more than ten years after issue_date")
    return job.due_date


def _payment(job: InvoiceJob, profile: SellerProfile) -> Payment | None:
    """Fill in the seller's account, and terms where the job has no word on when to pay.

    A credit note is not paid to the seller, so it gets neither.
    """
    given, own = job.payment or Payment(), profile.payment
    if job.type == "credit_note":
        return job.payment
    account = given if given.iban else own
    terms = given.terms or (own.terms if job.due_date is None else None)
    if not account.iban and not terms:
        return None
    return Payment(iban=account.iban, bic=account.bic, terms=terms)


def _parties(job: InvoiceJob, profile: SellerProfile, *, outside_scope: bool) -> Parties:
    if not outside_scope:
        return Parties(profile.supplier, job.buyer)
    # BR-O-2 to BR-O-4: what is not subject to VAT must not name VAT ids.
    return Parties(
        msgspec.structs.replace(profile.supplier, vat_id=None),
        msgspec.structs.replace(job.buyer, vat_id=None),
    )
