"""The arithmetic of an invoice, by EN 16931-1 section 6.4.2 (BR-CO-10 to BR-CO-17).

Every amount is rounded half up to the decimals of the currency where it arises, and sums are
of rounded amounts, so whoever adds up the printed figures gets the printed totals.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from msgspec import Struct

from services.invoice_worker.domain.decimals import AMOUNT, ARITHMETIC, ZERO, rounded
from services.invoice_worker.domain.refusal import Refusal, invalid
from services.invoice_worker.domain.sellers import SellerProfile
from services.invoice_worker.domain.vat import Group, exemption_of, group_of
from shared.contracts.invoices import (
    InvoiceJob,
    IssuedAdjustment,
    IssuedLine,
    JobAdjustment,
    JobLine,
    Totals,
    VatSubtotal,
)

_MOST: Final = AMOUNT.most
_PERCENT: Final = Decimal("0.01")


class Amounts(Struct, frozen=True):
    """All computed parts of an invoice.

    `first_use` has for each VAT group the path of the line, allowance or charge that uses
    it first, in the order of the breakdown.
    """

    lines: tuple[IssuedLine, ...]
    allowances: tuple[IssuedAdjustment, ...]
    charges: tuple[IssuedAdjustment, ...]
    vat: tuple[VatSubtotal, ...]
    totals: Totals
    first_use: dict[Group, str]


def compute(job: InvoiceJob, profile: SellerProfile, smallest: Decimal) -> Amounts:
    """Compute a job in a currency whose smallest amount is `smallest` (0.01 or 1).

    Raises `Refusal` for rates that a category does not have, amounts finer than the
    currency, and sums that are negative or too large to print.
    """
    return _Computation(profile, smallest).run(job)


class _Computation:
    """The sums by VAT group that lines, allowances and charges of one job add to."""

    def __init__(self, profile: SellerProfile, smallest: Decimal) -> None:
        self._profile = profile
        self._smallest = smallest
        self._of_lines: dict[Group, Decimal] = {}
        self._bases: dict[Group, Decimal] = {}
        self._first_use: dict[Group, str] = {}

    def run(self, job: InvoiceJob) -> Amounts:
        lines = tuple([self._line(index, given) for index, given in enumerate(job.lines)])
        self._bases = dict(self._of_lines)
        allowances = self._adjustments("allowances", job.allowances, sign=-1)
        charges = self._adjustments("charges", job.charges, sign=1)
        vat = tuple([self._subtotal(group, base) for group, base in self._bases.items()])
        return Amounts(
            lines=lines,
            allowances=allowances,
            charges=charges,
            vat=vat,
            totals=self._totals(lines, allowances, charges, vat),
            first_use=self._first_use,
        )

    def _line(self, index: int, given: JobLine) -> IssuedLine:
        try:
            group = group_of(given.vat_category, given.vat_rate, self._profile)
            gross = self._rounded(ARITHMETIC.multiply(given.quantity, given.unit_price))
            if gross > _MOST:
                raise invalid("unit_price", f"times quantity must be at most {_MOST}")
        except Refusal as refusal:
            raise refusal.within(f"lines[{index}]") from None
        discount = None
        if given.discount_percent:
            discount = self._rounded(gross * given.discount_percent * _PERCENT)
        net = gross if discount is None else gross - discount
        if group not in self._first_use:
            self._first_use[group] = f"lines[{index}]"
        self._of_lines[group] = self._of_lines.get(group, ZERO) + net
        return IssuedLine(
            line=index + 1,
            description=given.description,
            quantity=given.quantity,
            unit=given.unit,
            unit_price=self._price(given.unit_price),
            net=net,
            vat_category=group.category,
            vat_rate=group.rate,
            discount_percent=given.discount_percent or None,
            discount=discount,
        )

    def _adjustments(
        self, kind: str, given: tuple[JobAdjustment, ...], *, sign: int
    ) -> tuple[IssuedAdjustment, ...]:
        return tuple(
            [self._adjustment(f"{kind}[{index}]", one, sign) for index, one in enumerate(given)]
        )

    def _adjustment(self, path: str, given: JobAdjustment, sign: int) -> IssuedAdjustment:
        try:
            group = group_of(given.vat_category, given.vat_rate, self._profile)
            base, amount = self._base_and_amount(given, group)
        except Refusal as refusal:
            raise refusal.within(path) from None
        self._first_use.setdefault(group, path)
        self._bases[group] = self._bases.get(group, ZERO) + sign * amount
        return IssuedAdjustment(
            reason=given.reason,
            amount=amount,
            vat_category=group.category,
            vat_rate=group.rate,
            percent=given.percent,
            base=base,
        )

    def _base_and_amount(
        self, given: JobAdjustment, group: Group
    ) -> tuple[Decimal | None, Decimal]:
        if given.percent is not None:
            base = self._of_lines.get(group)
            if base is None:
                raise invalid("percent", f"has no line with VAT {_named(group)} to be taken of")
            return base, self._rounded(base * given.percent * _PERCENT)
        if given.amount is None:
            raise invalid("percent", "is missing, give either percent or amount")
        amount = self._rounded(given.amount)
        if amount != given.amount:
            raise invalid("amount", "has more decimals than the currency")
        return None, amount

    def _subtotal(self, group: Group, base: Decimal) -> VatSubtotal:
        if base < ZERO:
            raise invalid("allowances", f"exceed lines and charges with VAT {_named(group)}")
        exemption = exemption_of(group.category, self._profile)
        return VatSubtotal(
            category=group.category,
            rate=group.rate,
            base=base,
            amount=self._rounded(base * group.rate * _PERCENT),
            exemption_code=exemption.code,
            exemption_reason=exemption.reason,
        )

    def _totals(
        self,
        lines: tuple[IssuedLine, ...],
        allowances: tuple[IssuedAdjustment, ...],
        charges: tuple[IssuedAdjustment, ...],
        vat: tuple[VatSubtotal, ...],
    ) -> Totals:
        nothing = self._rounded(ZERO)
        of_lines = sum([line.net for line in lines], nothing)
        of_allowances = sum([allowance.amount for allowance in allowances], nothing)
        of_charges = sum([charge.amount for charge in charges], nothing)
        of_vat = sum([row.amount for row in vat], nothing)
        net = of_lines - of_allowances + of_charges
        gross = net + of_vat
        if max(of_lines, of_charges, gross) > _MOST:
            raise invalid("lines", f"must not sum up to more than {_MOST}")
        return Totals(
            lines=of_lines,
            allowances=of_allowances,
            charges=of_charges,
            net=net,
            vat=of_vat,
            gross=gross,
            due=gross,
        )

    def _price(self, price: Decimal) -> Decimal:
        """Return a price with at least the decimals of the currency: 80.00, 0.0125."""
        plain = self._rounded(price)
        return plain if plain == price else price

    def _rounded(self, value: Decimal) -> Decimal:
        return rounded(value, self._smallest)


def _named(group: Group) -> str:
    return f"category {group.category}" + (f" at {group.rate} %" if group.rate else "")
