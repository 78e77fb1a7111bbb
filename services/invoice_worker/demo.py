"""Made-up invoice jobs, as a wholesaler's shop would send them; all are valid."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Literal

import msgspec
from msgspec import Struct

from shared.contracts.invoices import Buyer, InvoiceJob, JobAdjustment, JobLine, VatCategory
from shared.registry import DemoMessage

SUBJECT = "jobs.invoice.demo"


Sale = Literal["domestic", "union", "export"]


class _Product(Struct, frozen=True):
    description: str
    unit: str
    price: Decimal
    vat_rate: Decimal
    sold_in: tuple[int, int]
    """The least and the most that one line orders."""


class _Customer(Struct, frozen=True):
    buyer: Buyer
    sale: Sale


_STANDARD = Decimal(19)
_REDUCED = Decimal(7)

_CATEGORY: dict[Sale, VatCategory] = {"domestic": "S", "union": "K", "export": "G"}

_PRODUCTS = (
    _Product("Consulting, senior engineer", "HUR", Decimal("120.00"), _STANDARD, (1, 40)),
    _Product("Workshop at your premises", "DAY", Decimal("1450.00"), _STANDARD, (1, 3)),
    _Product("Stainless valve DN 25", "C62", Decimal("48.90"), _STANDARD, (1, 60)),
    _Product("Sealing cord, graphite, 8 mm", "MTR", Decimal("3.45"), _STANDARD, (5, 200)),
    _Product("Hydraulic oil HLP 46", "LTR", Decimal("4.275"), _STANDARD, (20, 400)),
    _Product("Handbook of water wheels", "C62", Decimal("34.58"), _REDUCED, (1, 5)),
    _Product("Coffee beans for the workshop", "KGM", Decimal("17.90"), _REDUCED, (1, 12)),
)

_CUSTOMERS = (
    _Customer(
        Buyer(
            name="Blue GmbH",
            street="Hauptstr. 1",
            postal_code="10115",
            city="Berlin",
            country="DE",
            vat_id="DE136695976",
            email="ap@blue.example",
        ),
        "domestic",
    ),
    _Customer(
        Buyer(
            name="Sägewerk Österle KG",
            street="Am Wehr 12",
            postal_code="88212",
            city="Ravensburg",
            country="DE",
        ),
        "domestic",
    ),
    _Customer(
        Buyer(
            name="Hanna Petersen",
            street="Deichweg 4",
            postal_code="25541",
            city="Brunsbüttel",
            country="DE",
        ),
        "domestic",
    ),
    _Customer(
        Buyer(
            name="Alpenstrom AG",
            street="Seestraße 9",
            postal_code="6900",
            city="Bregenz",
            country="AT",
            vat_id="ATU13585627",
        ),
        "union",
    ),
    _Customer(
        Buyer(
            name="Moulins du Rhône SA",
            street="12 quai des Moulins",
            postal_code="69002",
            city="Lyon",
            country="FR",
            vat_id="FR40303265045",
            email="compta@moulins.example",
        ),
        "union",
    ),
    _Customer(
        Buyer(
            name="Waterwerken Delta B.V.",
            street="Havenkade 30",
            postal_code="3011 AA",
            city="Rotterdam",
            country="NL",
            vat_id="NL004495445B01",
        ),
        "union",
    ),
    _Customer(
        Buyer(
            name="Rheinfall Turbinen AG",
            street="Mühlenweg 5",
            postal_code="8200",
            city="Schaffhausen",
            country="CH",
        ),
        "export",
    ),
    _Customer(
        Buyer(
            name="Millrace Ltd",
            street="3 Weir Lane",
            postal_code="BA1 1AA",
            city="Bath",
            country="GB",
        ),
        "export",
    ),
)

_DISCOUNTS = (Decimal(3), Decimal(5), Decimal("12.5"))


def make_job(chance: random.Random, number: int) -> DemoMessage:
    """Return the `number`-th job: `chance` and `number` decide it, the seller is `demo`."""
    order_id = f"SO-{chance.getrandbits(32):08X}-{number:05d}"
    customer = chance.choice(_CUSTOMERS)
    products = chance.sample(_PRODUCTS, k=min(len(_PRODUCTS), 1 + int(chance.expovariate(0.6))))
    lines = tuple(_line(chance, product, customer) for product in products)
    job = InvoiceJob(
        order_id=order_id,
        buyer=msgspec.structs.replace(
            customer.buyer,
            reference=f"PO-{chance.randint(1, 9999)}" if _one_in(chance, 2) else None,
        ),
        lines=lines,
        allowances=(_like(lines[0], "Loyalty", percent=Decimal(2)),) if _one_in(chance, 6) else (),
        charges=(_like(lines[0], "Freight", amount=Decimal("7.90")),) if _one_in(chance, 3) else (),
        note="Thank you for your order" if _one_in(chance, 4) else None,
    )
    return DemoMessage(SUBJECT, msgspec.json.encode(job), f"demo-{order_id}")


def _line(chance: random.Random, product: _Product, customer: _Customer) -> JobLine:
    return JobLine(
        description=product.description,
        quantity=Decimal(chance.randint(*product.sold_in)),
        unit=product.unit,
        unit_price=product.price,
        discount_percent=chance.choice(_DISCOUNTS) if _one_in(chance, 8) else None,
        vat_category=_CATEGORY[customer.sale],
        vat_rate=product.vat_rate if customer.sale == "domestic" else Decimal(0),
    )


def _like(line: JobLine, reason: str, **how_much: Decimal) -> JobAdjustment:
    return JobAdjustment(
        reason=reason, vat_category=line.vat_category, vat_rate=line.vat_rate, **how_much
    )


def _one_in(chance: random.Random, count: int) -> bool:
    return chance.randrange(count) == 0
