"""How good the rules are, from what the logs hold: alerts on `FRAUD`, labels on `PAYMENTS`."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from nats.aio.client import Client

from services.fraud_detector.domain.quality import DAY_MS, QualityBook, RuleQuality
from services.fraud_detector.domain.reading import read_label, read_payment
from services.fraud_detector.domain.refusal import Refusal
from services.fraud_detector.outputs import milliseconds, rfc3339
from services.fraud_detector.told import told
from services.fraud_detector.topology import EVENT_PREFIX, PAYMENTS
from shared.contracts.payments import LABELED, MADE, FraudAlert
from shared.log_stream import history
from shared.log_stream.history import Stored

_SHADOW: Final = " (shadow)"


class Report(Struct, frozen=True):
    """Quality by rule; `until` is the newest event time, empty where there are no payments."""

    rules: dict[str, RuleQuality]
    payments: int
    frauds: int
    until: str


async def report_on(client: Client, days: int) -> Report:
    """Read both logs. Raises broker errors."""
    alerts = await _alerts(client)
    book = QualityBook(days * DAY_MS)
    payments: list[int] = []
    greatest_ms = 0
    async for page in history.pages(client, PAYMENTS.name):
        for stored in page:
            for name, alert in alerts.pop(stored.sequence, ()):
                book.alerted(alert.payment_id, name, milliseconds(alert.time))
            time_ms = _take(book, stored)
            if time_ms is not None:
                payments.append(time_ms)
                if time_ms > greatest_ms:
                    greatest_ms = time_ms
                    book.goes_on(time_ms)
    since_ms = greatest_ms - days * DAY_MS
    return Report(
        rules=book.rules(),
        payments=sum(time_ms >= since_ms for time_ms in payments),
        frauds=book.frauds,
        until=rfc3339(greatest_ms) if payments else "",
    )


async def _alerts(client: Client) -> dict[int, list[tuple[str, FraudAlert]]]:
    """Return the alerts by the sequence of their payment; those of shadow rules named so."""
    found: dict[int, list[tuple[str, FraudAlert]]] = {}
    async for one in told(client):
        name = one.alert.rule + (_SHADOW if one.shadow else "")
        if one.payment:
            found.setdefault(one.payment, []).append((name, one.alert))
    return found


def _take(book: QualityBook, stored: Stored) -> int | None:
    """Note a label; return the event time of a payment."""
    _, _, subject = stored.subject.removeprefix(f"{PAYMENTS.prefix}.").partition(".")
    kind, _, card = subject.removeprefix(EVENT_PREFIX).partition(".")
    place = (stored.sequence, stored.arrival_ns)
    try:
        if kind == LABELED:
            label = read_label(stored.data, card, *place)
            book.labelled(label.payment_id, fraud=label.fraud, time_ms=label.time_ms)
        elif kind == MADE:
            return read_payment(stored.data, card, stored.headers, *place).time_ms
    except Refusal:
        return None  # the detector has parked it
    return None
