"""Code lists of EN 16931: what a document may name without failing the official rules.

The data and their source stand in `code_lists.json`.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

import msgspec

from services.invoice_worker.domain.refusal import invalid

_EURO_DECIMALS = 2


class _Lists(msgspec.Struct, frozen=True):
    source: str
    countries: str
    eu: str
    currencies_by_decimals: dict[str, str]
    units: str


_LISTS = msgspec.json.decode(Path(__file__).with_name("code_lists.json").read_bytes(), type=_Lists)

COUNTRIES = frozenset(_LISTS.countries.split())
"""ISO 3166-1 alpha-2, with 1A (Kosovo) and XI (Northern Ireland)."""
EU_COUNTRIES = frozenset(_LISTS.eu.split())
UNITS = frozenset(_LISTS.units.split())
"""UN/ECE Recommendations 20 and 21."""
CURRENCY_DECIMALS = {
    code: int(decimals)
    for decimals, codes in _LISTS.currencies_by_decimals.items()
    for code in codes.split()
}
_CENTS = {
    code: Decimal(1).scaleb(-decimals)
    for code, decimals in CURRENCY_DECIMALS.items()
    if decimals <= _EURO_DECIMALS
}


def currency(path: str, code: str) -> str:
    """Return the currency code, where invoices can be made in it."""
    if code in _CENTS:
        return code
    if code in CURRENCY_DECIMALS:
        raise invalid(path, f"{code} has {CURRENCY_DECIMALS[code]} decimals, EN 16931 allows two")
    raise invalid(path, "is not an ISO 4217 currency of the EN 16931 code list")


def smallest_amount(currency_code: str) -> Decimal:
    """Return the smallest amount of a currency that `currency` let pass: 0.01 or 1."""
    return _CENTS[currency_code]


def country(path: str, code: str) -> str:
    """Return the country code, where EN 16931 knows it."""
    if code not in COUNTRIES:
        raise invalid(path, "is not an ISO 3166-1 alpha-2 country code, such as DE")
    return code


def unit(path: str, code: str) -> str:
    """Return the unit code, where EN 16931 knows it."""
    if code not in UNITS:
        raise invalid(
            path, "is not a unit of UN/ECE Recommendation 20 or 21, such as C62, HUR or KGM"
        )
    # msgspec omits a default only if it is the very same object; without this, a job that
    # spells out C62 would be other content than one that leaves it to the default.
    return sys.intern(code)
