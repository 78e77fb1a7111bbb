"""Seller profiles: who issues, under which series of numbers, with which defaults."""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from services.invoice_worker.domain.code_lists import country, currency
from services.invoice_worker.domain.decimals import PERCENT, optional_number
from services.invoice_worker.domain.identifiers import bic, email, iban, vat_id
from services.invoice_worker.domain.refusal import Refusal, invalid, shown
from services.invoice_worker.domain.text import line, optional_line, optional_paragraphs
from shared.contracts.invoices import Code, Paragraphs, Payment, Supplier, Words

DEMO: Final = Path(__file__).parent.parent / "sellers" / "demo.toml"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_PREFIX: Final = re.compile(r"[A-Z0-9-]{1,20}", re.ASCII)
_LONGEST_DUE_DAYS: Final = 365


class SellersError(Exception):
    """A profiles file that cannot be used; says which file, profile and field, and why."""


class SellerProfile(Struct, frozen=True):
    """One seller, checked. `standard_rate` is a percentage, None for one who charges no VAT."""

    key: str
    prefix: str
    currency: str
    supplier: Supplier
    payment: Payment
    due_days: int
    standard_rate: Decimal | None
    exemption_reason: str


class Sellers:
    """All known sellers, by the name that stands in the subject."""

    def __init__(self, profiles: dict[str, SellerProfile]) -> None:
        self._profiles = profiles

    @classmethod
    def load(cls, path: Path | None) -> Sellers:
        """Read the built-in demo profile and, over it, the file at `path`.

        Raises `SellersError`.
        """
        profiles = _read(DEMO)
        if path is not None:
            profiles |= _read(path)
            _refuse_shared_prefix(path, profiles)
        return cls(profiles)

    def get(self, name: str) -> SellerProfile:
        """Return a profile; raises `Refusal` for a seller that no profile describes."""
        profile = self._profiles.get(name)
        if profile is None:
            raise invalid("seller", f"{shown(name)} is unknown, no seller profile has this name")
        return profile

    def names(self) -> list[str]:
        """Return the names of all sellers, sorted."""
        return sorted(self._profiles)


class _Table(Struct, frozen=True, forbid_unknown_fields=True):
    """A profile as the file has it."""

    name: Words
    street: Words
    postal_code: Code
    city: Words
    country: Code
    prefix: Code
    currency: Code
    vat_id: Code | None = None
    tax_number: Code | None = None
    registration: Words | None = None
    email: Words | None = None
    phone: Words | None = None
    contact: Words | None = None
    standard_rate: Decimal | None = None
    iban: Code | None = None
    bic: Code | None = None
    due_days: int = 30
    terms: Paragraphs | None = None
    exemption_reason: Words = "Exempt from VAT"


def _read(path: Path) -> dict[str, SellerProfile]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SellersError(f"{path}: cannot be read: {error}") from error
    return {name: _profile(path, name, table) for name, table in tables.items()}


def _profile(path: Path, name: str, table: Any) -> SellerProfile:  # noqa: ANN401  whatever TOML holds
    try:
        if not _NAME.fullmatch(name):
            raise invalid("name of the table", "must be 1 to 64 letters, digits, '_' or '-'")
        return _checked(name, msgspec.convert(table, _Table))
    except msgspec.ValidationError as error:
        words = str(error).replace("`$.", "`").replace("Object", "Profile")
        raise SellersError(f"{path}: profile '{name}': {words}") from None
    except Refusal as refusal:
        raise SellersError(f"{path}: profile '{name}': {refusal.error}") from None


def _checked(name: str, table: _Table) -> SellerProfile:
    if not _PREFIX.fullmatch(table.prefix):
        raise invalid("prefix", "must be 1 to 20 of A-Z, 0-9 and '-'")
    if not 0 <= table.due_days <= _LONGEST_DUE_DAYS:
        raise invalid("due_days", f"must be 0 to {_LONGEST_DUE_DAYS}")
    rate = optional_number("standard_rate", table.standard_rate, PERCENT)
    if rate == 0:
        raise invalid("standard_rate", "must be greater than 0, leave it out to charge no VAT")
    return SellerProfile(
        key=name,
        prefix=table.prefix,
        currency=currency("currency", table.currency),
        supplier=_supplier(table),
        payment=_payment(table),
        due_days=table.due_days,
        standard_rate=rate,
        exemption_reason=line("exemption_reason", table.exemption_reason),
    )


def _supplier(table: _Table) -> Supplier:
    if table.vat_id is None and table.registration is None:
        # BR-CO-26; a tax number alone does not identify the seller to the buyer.
        raise invalid("vat_id", "is missing, a seller needs vat_id or registration")
    address = optional_line("email", table.email)
    return Supplier(
        name=line("name", table.name),
        street=line("street", table.street),
        postal_code=line("postal_code", table.postal_code),
        city=line("city", table.city),
        country=country("country", table.country),
        vat_id=None if table.vat_id is None else vat_id("vat_id", table.vat_id),
        tax_number=optional_line("tax_number", table.tax_number),
        registration=optional_line("registration", table.registration),
        email=address and email("email", address),
        phone=optional_line("phone", table.phone),
        contact=optional_line("contact", table.contact),
    )


def _payment(table: _Table) -> Payment:
    if table.bic is not None and table.iban is None:
        raise invalid("iban", "is missing, a bic needs it")
    return Payment(
        iban=None if table.iban is None else iban("iban", table.iban),
        bic=None if table.bic is None else bic("bic", table.bic),
        terms=optional_paragraphs("terms", table.terms),
    )


def _refuse_shared_prefix(path: Path, profiles: dict[str, SellerProfile]) -> None:
    owners: dict[str, str] = {}
    for name, profile in profiles.items():
        other = owners.setdefault(profile.prefix, name)
        if other != name:
            raise SellersError(
                f"{path}: profile '{name}': prefix: '{profile.prefix}' is that of '{other}' too,"
                " two sellers must not give the same invoice numbers"
            )
