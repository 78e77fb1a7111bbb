"""Figures of the page in the buyer's language."""

from __future__ import annotations

from decimal import Decimal

from services.invoice_worker.documents import terms
from services.invoice_worker.documents.texts import Texts
from shared.contracts.invoices import InvoiceIssued

_LONGEST = 70


def cut(text: str) -> str:
    """Return what two lines of the address window hold; the XML keeps the whole."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\N{HORIZONTAL ELLIPSIS}"


def money(amount: Decimal, fact: InvoiceIssued, texts: Texts) -> str:
    """Return an amount with its currency."""
    return f"{texts.number_text(amount)} {fact.currency}"


def minus(amount: Decimal, texts: Texts) -> str:
    """Return an amount that is taken off."""
    return f"\N{MINUS SIGN}{texts.number_text(amount)}"


def percent(value: Decimal, texts: Texts) -> str:
    """Return a percentage."""
    return f"{texts.quantity_text(value)} %"


def rate(category: str, rate: Decimal, texts: Texts, or_else: str = "\N{EN DASH}") -> str:
    """Return a VAT rate, or `or_else` outside the scope of VAT."""
    shown = terms.rate_of(category, rate)
    return or_else if shown is None else percent(shown, texts)


def decimals(value: Decimal) -> int:
    """Return how many decimals a number carries."""
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0
