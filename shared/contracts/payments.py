"""Messages of the fraud detector: payments and labels that arrive, alerts and scores that result.

Payments are published to `payments.made.<card>`, what turned out to be fraud to
`payments.labeled.<card>`; `<card>` is a token, never a card number. Alerts go to
`fraud.alerts.<card>`, those of shadow rules to `fraud.shadow.<card>`, scores to
`fraud.scores.<card>`. Money is decimal. Times are RFC 3339 (UTC where they name no zone) or
epoch seconds on input, RFC 3339 UTC in results.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta, Struct

PAYMENTS_PREFIX: Final = "payments"
MADE: Final = "made"
LABELED: Final = "labeled"
ALERTS_PREFIX: Final = "fraud.alerts"
SHADOW_PREFIX: Final = "fraud.shadow"
SCORES_PREFIX: Final = "fraud.scores"

Code = Annotated[str, Meta(max_length=128)]
"""An identifier: of a terminal, merchant, device, country, and so on."""


class PaymentMade(Struct, frozen=True, gc=False, omit_defaults=True):
    """A payment was made, or declined.

    `amount` is not negative and has at most six decimals. Without `payment_id` it is the
    message's identity, without `time` its arrival. `latitude` and `longitude` are degrees
    (WGS 84), `country` an ISO 3166-1 code, `mcc` an ISO 18245 merchant category.
    """

    amount: Decimal
    payment_id: Code | None = None
    currency: Code | None = None
    time: dt.datetime | float | None = None
    terminal: Code | None = None
    merchant: Code | None = None
    mcc: Code | None = None
    country: Code | None = None
    latitude: float | None = None
    longitude: float | None = None
    channel: Code | None = None
    ip: Code | None = None
    device: Code | None = None
    declined: bool = False


class PaymentLabeled(Struct, frozen=True, gc=False):
    """It turned out whether a payment was fraud; `time` is when that became known."""

    payment_id: Code
    fraud: bool
    time: dt.datetime | float | None = None


class FraudAlert(Struct, frozen=True, gc=False, omit_defaults=True):
    """A payment broke a rule.

    `observed` and `limit` are decimal text, `window` the first and last instant that counted,
    both included, `evidence` sequences in `PAYMENTS` (the newest, oldest first; the payment
    itself is the last). `late`: the payment came after the watermark had passed its time.
    """

    payment_id: str
    card: str
    rule: str
    version: int
    action: str
    time: str
    observed: str
    limit: str
    window: tuple[str, str]
    evidence: list[int]
    explanation: str
    late: bool = False


class FraudScore(Struct, frozen=True, gc=False, omit_defaults=True):
    """How much a payment looks like fraud to the model: `score` in [0, 1].

    `model` counts the payments that it had learned from.
    """

    payment_id: str
    card: str
    time: str
    score: float
    model: int
    late: bool = False
