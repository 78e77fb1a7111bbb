"""VAT categories of EN 16931 and what each obliges seller and buyer to (BR-S to BR-O)."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from msgspec import Struct

from services.invoice_worker.domain.code_lists import EU_COUNTRIES
from services.invoice_worker.domain.decimals import ZERO
from services.invoice_worker.domain.identifiers import is_eu_vat_id, vat_country
from services.invoice_worker.domain.refusal import invalid
from services.invoice_worker.domain.sellers import SellerProfile
from shared.contracts.invoices import Buyer, VatCategory

INTRA_COMMUNITY: Final = "K"
OUTSIDE_SCOPE: Final = "O"
_BUYER_VAT_ID: Final = ("AE", "K")
_SELLER_VAT_ID: Final = ("AE", "K", "G")


class Group(Struct, frozen=True, gc=False):
    """What one row of the VAT breakdown is for."""

    category: VatCategory
    rate: Decimal


class Exemption(Struct, frozen=True):
    """Why no VAT is charged: VATEX code (BT-121) and words (BT-120)."""

    code: str | None
    reason: str | None


_TAXED: Final = Exemption(None, None)
_EXEMPTIONS: Final[dict[VatCategory, Exemption]] = {
    "AE": Exemption("VATEX-EU-AE", "Reverse charge"),
    "K": Exemption("VATEX-EU-IC", "Intra-community supply"),
    "G": Exemption("VATEX-EU-G", "Export outside the EU"),
    "O": Exemption("VATEX-EU-O", "Not subject to VAT"),
}


def group_of(category: VatCategory, rate: Decimal | None, profile: SellerProfile) -> Group:
    """Return the group of a line, allowance or charge, the seller's standard rate filled in.

    Raises `Refusal` for a rate that the category does not have (BR-S-5, BR-Z-5, ...).
    Category O has no rate at all; its groups say 0.
    """
    if category == "S":
        if rate is None:
            rate = profile.standard_rate
        if rate is None:
            raise invalid("vat_rate", "is missing, the seller has no standard rate")
        if not rate:
            raise invalid(
                "vat_rate", "must be greater than 0 in category S, without VAT use Z or E"
            )
        return Group(category, rate)
    if rate:
        raise invalid("vat_rate", f"must be 0 or left out in category {category}")
    return Group(category, ZERO)


def exemption_of(category: VatCategory, profile: SellerProfile) -> Exemption:
    """Return the reason that the breakdown must give; S and Z must give none (BR-S-10, BR-Z-10)."""
    if category == "E":
        return Exemption(None, profile.exemption_reason)
    return _EXEMPTIONS.get(category, _TAXED)


def refuse_unmet(uses: dict[Group, str], profile: SellerProfile, buyer: Buyer) -> None:
    """Refuse VAT groups whose obligations this seller and this buyer do not meet.

    `uses` has for each group the path of the line, allowance or charge that uses it first.
    """
    for group, path in uses.items():
        at = f"{path}.vat_category"
        if group.category == OUTSIDE_SCOPE:
            _refuse_unmet_outside_scope(at, uses, profile)
            continue
        _refuse_missing_ids(at, group.category, profile, buyer)
        if group.category == INTRA_COMMUNITY:
            _refuse_within_one_country(at, profile, buyer)


def _refuse_unmet_outside_scope(at: str, uses: dict[Group, str], profile: SellerProfile) -> None:
    for other, path in uses.items():
        if other.category != OUTSIDE_SCOPE:  # BR-O-11 to BR-O-14
            raise invalid(f"{path}.vat_category", "must be O, which allows no other beside it")
    if profile.supplier.registration is None:
        # BR-O-2 forbids the VAT id, so BR-CO-26 leaves the registration to identify the seller.
        raise invalid(at, "O needs a seller with a registration")


def _refuse_missing_ids(
    at: str, category: VatCategory, profile: SellerProfile, buyer: Buyer
) -> None:
    seller = profile.supplier
    if seller.vat_id is None and (category in _SELLER_VAT_ID or seller.tax_number is None):
        raise invalid(at, f"{category} needs a seller with a VAT id")
    if buyer.vat_id is None and category in _BUYER_VAT_ID:
        raise invalid("buyer.vat_id", f"is missing, VAT category {category} needs it")


def _refuse_within_one_country(at: str, profile: SellerProfile, buyer: Buyer) -> None:
    home = profile.supplier.country
    if home not in EU_COUNTRIES:
        raise invalid(at, "K needs a seller in the EU")
    if buyer.country not in EU_COUNTRIES or buyer.country == home:
        raise invalid("buyer.country", "must be another EU country in VAT category K")
    if buyer.vat_id is not None and (
        not is_eu_vat_id(buyer.vat_id) or vat_country(buyer.vat_id) == home
    ):
        raise invalid("buyer.vat_id", "must be of another EU country in VAT category K")
