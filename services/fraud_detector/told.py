"""What the detector has said: alerts of live rules and of shadow rules, as `FRAUD` holds them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from msgspec import Struct
from nats.aio.client import Client

from services.fraud_detector.topology import FRAUD, PAYMENTS
from shared.contracts import headers
from shared.contracts.payments import ALERTS_PREFIX, SHADOW_PREFIX, FraudAlert
from shared.log_stream import history
from shared.log_stream.history import Span

_alert = msgspec.json.Decoder(FraudAlert)


class Told(Struct, frozen=True):
    """An alert at a sequence of `FRAUD`, and the sequence of its payment on `PAYMENTS`."""

    sequence: int
    payment: int
    """0 where the message names none, as no alert of the detector does."""
    shadow: bool
    body: bytes
    alert: FraudAlert


async def told(client: Client) -> AsyncIterator[Told]:
    """Yield all alerts, those of live rules first. Raises broker errors."""
    for prefix, shadow in ((ALERTS_PREFIX, False), (SHADOW_PREFIX, True)):
        async for page in history.pages(client, FRAUD.name, Span(f"{prefix}.>")):
            for stored in page:
                named = (stored.headers or {}).get(headers.SOURCE, "")
                source = named.removeprefix(f"{PAYMENTS.name}:")
                payment = int(source) if source.isdecimal() else 0
                alert = _alert.decode(stored.data)
                yield Told(stored.sequence, payment, shadow, stored.data, alert)
