"""Made-up payments: ordinary shopping, and now and then a thief at work.

In each round of payments one card is tested (small sums, then a large one) and one is used in
two places at once, so that there is an alert to look at within seconds.
"""

from __future__ import annotations

import random
from typing import Final

import msgspec

from shared.contracts.payments import MADE, PAYMENTS_PREFIX
from shared.registry import DemoMessage

_ROUND: Final = 40
_TESTED: Final = range(8, 14)
"""Places in a round where the stolen card is tried with small sums; then comes the large one."""
_CASHED: Final = 14
_HERE: Final = 24
_THERE: Final = 25
_CARDS: Final = 200
_BERLIN: Final = (52.52, 13.405)
_SYDNEY: Final = (-33.8688, 151.2093)
_MERCHANTS: Final = (
    ("m-grocer", "5411", 31.0),
    ("m-fuel", "5541", 60.0),
    ("m-books", "5942", 18.0),
)


def make_payment(chance: random.Random, number: int) -> DemoMessage:
    """Return the payment of that number."""
    turn, place = divmod(number, _ROUND)
    body: dict[str, object]
    if place in _TESTED:
        card = f"card-tested-{turn}"
        body = _online(f"{chance.uniform(0.5, 2):.2f}")
    elif place == _CASHED:
        card = f"card-tested-{turn}"
        body = _online("890.00")
    elif place in {_HERE, _THERE}:
        card = f"card-travels-{turn}"
        body = _at_till("45.00", *(("DE", _BERLIN) if place == _HERE else ("AU", _SYDNEY)))
    else:
        card = f"card-{chance.randrange(_CARDS)}"
        merchant, mcc, typical = chance.choice(_MERCHANTS)
        amount = f"{max(1.0, chance.gauss(typical, typical / 3)):.2f}"
        body = _at_till(amount, "DE", _BERLIN) | {"merchant": merchant, "mcc": mcc}
    identity = f"demo-payment-{chance.getrandbits(64):x}"
    data = msgspec.json.encode({"payment_id": identity, "currency": "EUR", **body})
    return DemoMessage(f"{PAYMENTS_PREFIX}.{MADE}.{card}", data, identity)


def _online(amount: str) -> dict[str, object]:
    return {"amount": amount, "channel": "ecom", "merchant": "m-webshop", "country": "DE"}


def _at_till(amount: str, country: str, where: tuple[float, float]) -> dict[str, object]:
    latitude, longitude = where
    return {
        "amount": amount,
        "channel": "pos",
        "country": country,
        "terminal": f"t-{country.lower()}-1",
        "latitude": latitude,
        "longitude": longitude,
    }
