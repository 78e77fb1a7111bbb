"""Why an alert was given: the rule in force, the payments that made it, and the same fold again."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Struct
from nats.aio.client import Client

from services.fraud_detector.domain.payment import Payment
from services.fraud_detector.domain.reading import read_payment
from services.fraud_detector.history import Trial, stage_of, steps
from services.fraud_detector.rule_book import Entry, RuleBook, decoded, parse
from services.fraud_detector.scope import CARDS, KEYED, MODEL
from services.fraud_detector.settings import PartitionSettings
from services.fraud_detector.told import told
from services.fraud_detector.topology import EVENT_PREFIX, FRAUD, PAYMENTS
from shared import jetstream
from shared.contracts import headers
from shared.contracts.payments import ALERTS_PREFIX, MADE, SHADOW_PREFIX, FraudAlert
from shared.jetstream import StoredMessage
from shared.log_stream import history
from shared.log_stream.fold import Event
from shared.log_stream.guard import nanoseconds
from shared.log_stream.history import Span
from shared.log_stream.records import read_record
from shared.log_stream.stage import Stage

_SCOPES = {scope.whole: scope for scope in (CARDS, KEYED, MODEL)}
_alert = msgspec.json.Decoder(FraudAlert)


class NoAlertError(Exception):
    """There is no such alert, or it cannot be explained; says why."""


class Explanation(Struct, frozen=True):
    """An alert, the rule's text as it was in force, and the payments of the evidence.

    `again` is what the fold gives now for the same payment: the same bytes, or there is a fault.
    """

    sequence: int
    alert: FraudAlert
    body: bytes
    rule: Entry
    payments: tuple[Payment, ...]
    again: bytes | None


async def find(client: Client, named: str) -> list[int]:
    """Return sequences of alerts: `FRAUD:17`, `17`, or all of a payment's id."""
    sequence = named.removeprefix(f"{FRAUD.name}:")
    if sequence.isdecimal() and await jetstream.message_at(client, FRAUD.name, int(sequence)):
        return [int(sequence)]
    found = [one.sequence async for one in told(client) if one.alert.payment_id == named]
    if not found:
        raise NoAlertError(f"{FRAUD.name} holds no alert {named}, and none of such a payment")
    return sorted(found)


async def explain(
    client: Client, sequence: int, partitions: PartitionSettings, show: Callable[[int, str], None]
) -> Explanation:
    """Explain the alert at a sequence of `FRAUD`. Raises `NoAlertError`, broker errors."""
    stored = await jetstream.message_at(client, FRAUD.name, sequence)
    alert = None if stored is None else _alert_of(stored)
    if stored is None or alert is None:
        raise NoAlertError(f"{FRAUD.name}:{sequence} is no alert")
    source = int(stored.headers[headers.SOURCE].rpartition(":")[2])
    scope = _SCOPES[stored.headers.get(headers.STAGE, "")]
    stage = stage_of(scope, partitions)
    message = await jetstream.message_at(client, PAYMENTS.name, source)
    placed = None if message is None else stage.placed(message.subject)
    if message is None or placed is None:
        raise NoAlertError(f"{PAYMENTS.name} no longer holds {source}, the payment of this alert")
    rule = await _rule_in_force(client, stage, placed[0], (alert.rule, source))
    trial = Trial(rule.text or "", parse(rule), partitions)
    payment = _read(trial, Event(source, nanoseconds(message.time), placed[1], message.data, None))
    again = await _fold_again(client, trial, payment, show)
    evidence = [await _payment_at(client, trial, number) for number in alert.evidence]
    return Explanation(
        sequence=sequence,
        alert=alert,
        body=stored.data,
        rule=rule,
        payments=tuple(one for one in evidence if one is not None),
        again=again,
    )


def _alert_of(stored: StoredMessage) -> FraudAlert | None:
    if not stored.subject.startswith((f"{ALERTS_PREFIX}.", f"{SHADOW_PREFIX}.")):
        return None
    return _alert.decode(stored.data)


async def _rule_in_force(
    client: Client, stage: Stage, number: int, wanted: tuple[str, int]
) -> Entry:
    """Return the rule as the log tells it up to that event."""
    rule_id, until = wanted
    _, record = await read_record(client, stage, number)
    book = RuleBook(record.seed)
    span = Span(stage.control(number, "rules"))
    async for page in history.pages(client, stage.source.name, span):
        for one in page:
            if one.sequence < until:
                book.change(decoded(one.data))
    entry = book.entry(rule_id)
    if entry is None:
        raise NoAlertError(f"{stage.source.name} no longer tells rule {rule_id}: it has aged out")
    return entry


async def _fold_again(
    client: Client, trial: Trial, payment: Payment, show: Callable[[int, str], None]
) -> bytes | None:
    """Fold what the rule can have seen, up to the payment; return the alert's body."""
    subject = ""
    if trial.scope is CARDS:
        subject = f"{PAYMENTS.prefix}.*.{EVENT_PREFIX}{MADE}.{payment.card}"
    begin_ns = trial.begins_ns(payment.time_ms * 1_000_000)
    read = 0
    async for page in steps(client, trial, begin_ns, subject):
        for step in page:
            if step.event.sequence == payment.sequence:
                bodies = [
                    output.data
                    for output in step.outputs
                    if output.subject.startswith((f"{ALERTS_PREFIX}.", f"{SHADOW_PREFIX}."))
                ]
                return bodies[0] if bodies else None
        read += len(page)
        show(read, "payments folded")
    return None


async def _payment_at(client: Client, trial: Trial, sequence: int) -> Payment | None:
    stored = await jetstream.message_at(client, PAYMENTS.name, sequence)
    placed = None if stored is None else trial.stage.placed(stored.subject)
    if stored is None or placed is None:
        return None
    event = Event(sequence, nanoseconds(stored.time), placed[1], stored.data, stored.headers)
    return _read(trial, event)


def _read(trial: Trial, event: Event) -> Payment:
    _, card = trial.kind(event)
    return read_payment(event.data, card, event.headers, event.sequence, event.arrival_ns)
