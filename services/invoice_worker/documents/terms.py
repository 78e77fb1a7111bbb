"""What both XML syntaxes and the page say about an invoice, derived once from its fact."""

from __future__ import annotations

from decimal import Decimal

from services.invoice_worker.documents.texts import texts_for
from shared.contracts.invoices import InvoiceIssued

GUIDELINE = "urn:cen.eu:en16931:2017"
EMAIL_SCHEME = "EM"
"""Electronic address scheme of an e-mail address (BT-34-1, BT-49-1)."""
DISCOUNT_CODE = "95"
"""Allowance reason "discount" of UNTDID 5189 (BT-140)."""


def type_code(fact: InvoiceIssued) -> str:
    """Return the document type of UNTDID 1001 (BT-3)."""
    return "381" if fact.type == "credit_note" else "380"


def without_vat(fact: InvoiceIssued) -> bool:
    """Tell whether the invoice is outside the scope of VAT: it then names no VAT id (BR-O-02)."""
    return any(row.category == "O" for row in fact.vat)


def supplier_vat_id(fact: InvoiceIssued) -> str | None:
    """Return the seller's VAT id (BT-31) where the invoice may name it."""
    return None if without_vat(fact) else fact.supplier.vat_id


def buyer_vat_id(fact: InvoiceIssued) -> str | None:
    """Return the buyer's VAT id (BT-48) where the invoice may name it."""
    return None if without_vat(fact) else fact.buyer.vat_id


def supplier_id(fact: InvoiceIssued) -> str | None:
    """Return the seller's identifier (BT-29), only where nothing else identifies it (BR-CO-26)."""
    if fact.supplier.registration or supplier_vat_id(fact):
        return None
    return fact.seller


def rate_of(category: str, rate: Decimal) -> Decimal | None:
    """Return the VAT rate as written: none outside the scope of VAT (BR-O-05)."""
    return None if category == "O" else rate


def iban(fact: InvoiceIssued) -> str | None:
    """Return the account to pay to (BT-84); a credit note asks for no transfer."""
    if fact.type == "credit_note" or fact.payment is None:
        return None
    return fact.payment.iban


def payment_means(fact: InvoiceIssued) -> str:
    """Return the payment means of UNTDID 4461 (BT-81): SEPA transfer, transfer, or not defined."""
    if iban(fact) is None:
        return "1"
    return "58" if fact.currency == "EUR" else "30"


def payment_terms(fact: InvoiceIssued) -> str | None:
    """Return the payment terms (BT-20).

    Where money is due and the fact has neither date nor terms, words stand in (BR-CO-25).
    """
    if fact.payment is not None and fact.payment.terms:
        return fact.payment.terms
    texts = texts_for(fact.buyer.country)
    if fact.type == "credit_note":
        return texts.credited
    return texts.due_at_once if fact.due_date is None else None
