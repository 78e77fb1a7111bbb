"""VAT ids, IBAN and BIC: form and check digits, by python-stdnum.

stdnum costs up to some ten microseconds a number and a worker sees the same customers again
and again, so the answers are kept.
"""

from __future__ import annotations

import re
from functools import lru_cache

from stdnum import bic as stdnum_bic
from stdnum import iban as stdnum_iban
from stdnum.eu import vat as stdnum_vat
from stdnum.exceptions import ValidationError

from services.invoice_worker.domain.code_lists import COUNTRIES
from services.invoice_worker.domain.refusal import invalid

_KEPT = 16_384
_VAT_ID = re.compile(r"[A-Z]{2}[A-Z0-9 ./*+-]{2,28}", re.ASCII)
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", re.ASCII)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
# BR-CO-09: Greece writes EL before its VAT ids.
_VAT_PREFIXES = COUNTRIES | {"EL"}
_EU_VAT_PREFIXES = frozenset(
    {state.upper() for state in stdnum_vat.MEMBER_STATES} - {"GR"} | {"EL"}
)


def vat_id(path: str, text: str) -> str:
    """Return the VAT id in compact form; check digits are checked for the EU's."""
    checked = _vat_id(text)
    if checked is None:
        raise invalid(path, "is not a valid VAT id (country prefix, form, check digits)")
    return checked


def is_eu_vat_id(checked: str) -> bool:
    """Whether a member state (or Northern Ireland) gave this VAT id."""
    return checked[:2] in _EU_VAT_PREFIXES


def vat_country(checked: str) -> str:
    """Return the ISO 3166-1 code of the country that gave this VAT id."""
    return "GR" if checked.startswith("EL") else checked[:2]


def iban(path: str, text: str) -> str:
    """Return the IBAN without blanks, its check digits checked."""
    checked = _iban(text)
    if checked is None:
        raise invalid(path, "is not a valid IBAN (form, check digits)")
    return checked


def bic(path: str, text: str) -> str:
    """Return the BIC, whose form is checked."""
    checked = _bic(text)
    if checked is None:
        raise invalid(path, "is not a BIC of 8 or 11 characters")
    return checked


def email(path: str, text: str) -> str:
    """Return the e-mail address, if it looks like one."""
    if not _EMAIL.fullmatch(text):
        raise invalid(path, "is not an e-mail address")
    return text


@lru_cache(maxsize=_KEPT)
def _vat_id(text: str) -> str | None:
    spaced = text.upper()
    if not _VAT_ID.fullmatch(spaced):
        return None
    if spaced[:2] == "GR":
        spaced = f"EL{spaced[2:]}"
    if spaced[:2] not in _VAT_PREFIXES:
        return None
    if spaced[:2] not in _EU_VAT_PREFIXES:
        return spaced
    try:
        return stdnum_vat.validate(spaced)
    except ValidationError:
        return None


@lru_cache(maxsize=_KEPT)
def _iban(text: str) -> str | None:
    compact = text.replace(" ", "").upper()
    if not _IBAN.fullmatch(compact):
        return None
    try:
        return stdnum_iban.validate(compact)
    except ValidationError:
        return None


@lru_cache(maxsize=_KEPT)
def _bic(text: str) -> str | None:
    try:
        return stdnum_bic.validate(text) if text.isascii() else None
    except ValidationError:
        return None
