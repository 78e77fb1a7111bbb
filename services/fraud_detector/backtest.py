"""A rule on the history of payments, beside the live one: what it would have said, how good.

Nothing is written. The alerts are those of the detector's own fold, so a back-test of a rule
that was live finds the live alerts, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec
from msgspec import Struct, field
from nats.aio.client import Client

from services.fraud_detector.domain.payment import Payment
from services.fraud_detector.domain.quality import DAY_MS, LABEL_DELAY_MS
from services.fraud_detector.domain.reading import read_label, read_payment
from services.fraud_detector.domain.refusal import Refusal
from services.fraud_detector.history import Step, Trial, steps
from services.fraud_detector.told import told
from shared.contracts.payments import ALERTS_PREFIX, LABELED, MADE, SHADOW_PREFIX, FraudAlert

_RULE_PREFIXES = (f"{ALERTS_PREFIX}.", f"{SHADOW_PREFIX}.")
_HOUR_MS = 3_600_000
_alert = msgspec.json.Decoder(FraudAlert)


class Period(Struct, frozen=True):
    """The arrivals that count, in nanoseconds: from `since_ns` until before `until_ns`."""

    since_ns: int
    until_ns: int


class Found(Struct, frozen=True):
    """One alert of the back-test, and the payment that it is about."""

    sequence: int
    body: bytes
    alert: FraudAlert
    payment: Payment


class Live(Struct, frozen=True):
    """An alert of the detector itself."""

    body: bytes
    version: int


class Outcome(Struct):
    """What a back-test has found; shares are None where nothing is known."""

    events: int = 0
    payments: int = 0
    sequences: tuple[int, int] = (0, 0)
    """First and last payment that counted."""
    times_ms: tuple[int, int] = (0, 0)
    """Least and greatest event time of these."""
    found: list[Found] = field(default_factory=list)
    labels: dict[str, bool] = field(default_factory=dict)
    """Of payments that counted."""
    live: dict[int, Live] = field(default_factory=dict)
    """What the rule of that id has said of these payments, by sequence."""

    @property
    def days(self) -> float:
        """Event time from the first to the last payment, at least an hour, in days."""
        first_ms, last_ms = self.times_ms
        return max(_HOUR_MS, last_ms - first_ms) / DAY_MS

    @property
    def confirmed(self) -> int:
        """Alerts that were fraud."""
        return sum(self.labels.get(one.payment.payment_id, False) for one in self.found)

    @property
    def refuted(self) -> int:
        """Alerts labelled as no fraud, or older than the label delay without a label."""
        return sum(self._is_refuted(one.payment) for one in self.found)

    @property
    def frauds(self) -> int:
        """Labelled frauds among the payments."""
        return sum(self.labels.values())

    @property
    def precision(self) -> float | None:
        """Share of the known alerts that were fraud."""
        known = self.confirmed + self.refuted
        return self.confirmed / known if known else None

    @property
    def recall(self) -> float | None:
        """Share of the labelled frauds that it alerts."""
        return self.confirmed / self.frauds if self.frauds else None

    def money_caught(self) -> dict[str, Decimal]:
        """Return the amounts of alerted frauds, by currency."""
        sums: dict[str, Decimal] = {}
        for one in self.found:
            if self.labels.get(one.payment.payment_id):
                currency = one.payment.currency or ""
                sums[currency] = sums.get(currency, Decimal(0)) + one.payment.amount
        return dict(sorted(sums.items()))

    def only_found(self) -> list[Found]:
        """Return alerts that the live rule has not given."""
        return [one for one in self.found if one.sequence not in self.live]

    def only_live(self) -> list[int]:
        """Return payments that only the live rule has alerted, by sequence."""
        return sorted(self.live.keys() - {one.sequence for one in self.found})

    def unlike(self) -> list[Found]:
        """Return alerts that the live rule has given in other words."""
        return [
            one
            for one in self.found
            if (live := self.live.get(one.sequence)) and live.body != one.body
        ]

    def _is_refuted(self, payment: Payment) -> bool:
        known = self.labels.get(payment.payment_id)
        if known is None:
            return payment.time_ms < self.times_ms[1] - LABEL_DELAY_MS
        return not known


async def backtest(
    client: Client, trial: Trial, period: Period, show: Callable[[int, str], None]
) -> Outcome:
    """Run a rule over the log; `show` is told how many events were read. Raises broker errors."""
    outcome = Outcome()
    labels: dict[str, bool] = {}
    counted: set[int] = set()
    async for page in steps(client, trial, trial.begins_ns(period.since_ns)):
        for step in page:
            kind, card = trial.kind(step.event)
            if kind == LABELED:
                _note(labels, step, card)
            elif kind == MADE and period.since_ns <= step.event.arrival_ns < period.until_ns:
                _count(outcome, counted, step, card)
        outcome.events += len(page)
        show(outcome.events, f"{len(outcome.found)} alerts")
    outcome.labels = {key: fraud for key, fraud in labels.items() if hash(key) in counted}
    outcome.live = await _live_alerts(client, trial.rule.id, outcome.sequences)
    return outcome


def _note(labels: dict[str, bool], step: Step, card: str) -> None:
    event = step.event
    try:
        label = read_label(event.data, card, event.sequence, event.arrival_ns)
    except Refusal:
        return  # the detector has parked it
    labels[label.payment_id] = label.fraud


def _count(outcome: Outcome, counted: set[int], step: Step, card: str) -> None:
    event = step.event
    try:
        payment = read_payment(event.data, card, event.headers, event.sequence, event.arrival_ns)
    except Refusal:
        return
    counted.add(hash(payment.payment_id))
    first = outcome.sequences[0]
    least_ms, greatest_ms = outcome.times_ms if first else (payment.time_ms, 0)
    outcome.payments += 1
    outcome.sequences = (first or event.sequence, event.sequence)
    outcome.times_ms = min(least_ms, payment.time_ms), max(greatest_ms, payment.time_ms)
    for output in step.outputs:
        if output.subject.startswith(_RULE_PREFIXES):
            alert = _alert.decode(output.data)
            outcome.found.append(Found(event.sequence, output.data, alert, payment))


async def _live_alerts(client: Client, rule_id: str, sequences: tuple[int, int]) -> dict[int, Live]:
    """Return what the detector itself has said by this rule about these payments."""
    first, last = sequences
    return {
        one.payment: Live(one.body, one.alert.version)
        async for one in told(client)
        if one.alert.rule == rule_id and one.payment and first <= one.payment <= last
    }
