"""From the bytes of a message to a job that obeys every rule that needs no seller."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from services.invoice_worker.domain import decoding
from services.invoice_worker.domain.code_lists import country, currency, unit
from services.invoice_worker.domain.decimals import (
    AMOUNT,
    PERCENT,
    PRICE,
    QUANTITY,
    number,
    optional_number,
)
from services.invoice_worker.domain.identifiers import bic, email, iban, vat_id
from services.invoice_worker.domain.refusal import Refusal, invalid
from services.invoice_worker.domain.text import line, optional_line, optional_paragraphs
from shared.contracts.invoices import Buyer, InvoiceJob, JobAdjustment, JobLine, Payment

_SELLER: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_DECODER: Final = msgspec.json.Decoder(InvoiceJob)


def parse_job(subject_seller: str, body: bytes) -> InvoiceJob:
    """Return the job of a message published to `jobs.invoice.<subject_seller>`.

    The job comes back in its one normal form: texts trimmed, numbers in their shortest
    spelling, identifiers compact. Two bodies that mean the same give equal jobs.

    Raises `Refusal`: `malformed` for what is no JSON, `invalid` for what breaks a type or
    a rule; the error starts with the path of the field.
    """
    if not _SELLER.fullmatch(subject_seller):
        raise invalid("seller", "must be 1 to 64 letters, digits, '_' or '-'")
    return _normal(decoding.decode(body, _DECODER))


def _normal(job: InvoiceJob) -> InvoiceJob:
    money = optional_line("currency", job.currency)
    preceding = optional_line("preceding_invoice", job.preceding_invoice)
    if job.type == "credit_note" and preceding is None:
        raise invalid("preceding_invoice", "is missing, a credit note must name its invoice")
    return InvoiceJob(
        order_id=line("order_id", job.order_id),
        buyer=_buyer(job.buyer),
        lines=tuple([_line(index, given) for index, given in enumerate(job.lines)]),
        type=job.type,
        issue_date=job.issue_date,
        due_date=job.due_date,
        currency=money and currency("currency", money.upper()),
        allowances=_adjustments("allowances", job.allowances),
        charges=_adjustments("charges", job.charges),
        payment=job.payment and _payment(job.payment),
        preceding_invoice=preceding,
        note=optional_paragraphs("note", job.note),
    )


def _buyer(given: Buyer) -> Buyer:
    tax_id = optional_line("buyer.vat_id", given.vat_id)
    address = optional_line("buyer.email", given.email)
    return Buyer(
        name=line("buyer.name", given.name),
        country=country("buyer.country", given.country.strip().upper()),
        street=optional_line("buyer.street", given.street),
        postal_code=optional_line("buyer.postal_code", given.postal_code),
        city=optional_line("buyer.city", given.city),
        vat_id=tax_id and vat_id("buyer.vat_id", tax_id),
        email=address and email("buyer.email", address),
        reference=optional_line("buyer.reference", given.reference),
    )


def _line(index: int, given: JobLine) -> JobLine:
    try:
        return JobLine(
            description=line("description", given.description),
            quantity=number("quantity", given.quantity, QUANTITY),
            unit_price=number("unit_price", given.unit_price, PRICE),
            unit=unit("unit", given.unit),
            vat_category=given.vat_category,
            vat_rate=optional_number("vat_rate", given.vat_rate, PERCENT),
            discount_percent=optional_number("discount_percent", given.discount_percent, PERCENT),
        )
    except Refusal as refusal:
        raise refusal.within(f"lines[{index}]") from None


def _adjustments(path: str, given: tuple[JobAdjustment, ...]) -> tuple[JobAdjustment, ...]:
    return tuple([_adjustment(f"{path}[{index}]", one) for index, one in enumerate(given)])


def _adjustment(path: str, given: JobAdjustment) -> JobAdjustment:
    try:
        if given.percent is None and given.amount is None:
            raise invalid("percent", "is missing, give either percent or amount")
        if given.percent is not None and given.amount is not None:
            raise invalid("percent", "must not be given together with amount")
        return JobAdjustment(
            reason=line("reason", given.reason),
            percent=optional_number("percent", given.percent, PERCENT),
            amount=optional_number("amount", given.amount, AMOUNT),
            vat_category=given.vat_category,
            vat_rate=optional_number("vat_rate", given.vat_rate, PERCENT),
        )
    except Refusal as refusal:
        raise refusal.within(path) from None


def _payment(given: Payment) -> Payment | None:
    account = optional_line("payment.iban", given.iban)
    institute = optional_line("payment.bic", given.bic)
    terms = optional_paragraphs("payment.terms", given.terms)
    if institute and not account:
        raise invalid("payment.iban", "is missing, a bic needs it")
    if not account and not terms:
        return None
    return Payment(
        iban=account and iban("payment.iban", account),
        bic=institute and bic("payment.bic", institute),
        terms=terms,
    )
