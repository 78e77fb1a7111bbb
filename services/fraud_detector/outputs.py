"""What the detector emits: alerts, shadow alerts, scores, and dead letters."""

from __future__ import annotations

import datetime as dt
import functools
from typing import Final

import msgspec

from services.fraud_detector.domain.card_numbers import masked, masked_body
from services.fraud_detector.domain.findings import Finding
from services.fraud_detector.domain.payment import Payment
from services.fraud_detector.domain.refusal import Refusal
from services.fraud_detector.topology import DEAD_PREFIX, EVENT_PREFIX, PAYMENTS, RULES
from shared import trace
from shared.contracts import headers
from shared.contracts.payments import (
    ALERTS_PREFIX,
    PAYMENTS_PREFIX,
    SCORES_PREFIX,
    SHADOW_PREFIX,
    FraudAlert,
    FraudScore,
)
from shared.log_stream.fold import Event, Output
from shared.work_queue.park import one_line

SCORES_KEPT: Final = "720h"
_SCORE_HEADERS: Final = {headers.TTL: SCORES_KEPT}
_DAY_MS: Final = 86_400_000
_EPOCH: Final = dt.date(1970, 1, 1)


def alert(event: Event, payment: Payment, finding: Finding) -> Output:
    """Return the alert of a rule, or what a shadow rule would have said."""
    rule = finding.rule
    start_ms, end_ms = finding.window
    body = FraudAlert(
        payment_id=payment.payment_id,
        card=payment.card,
        rule=rule.id,
        version=rule.version,
        action=rule.action,
        time=rfc3339(payment.time_ms),
        observed=finding.observed,
        limit=finding.limit,
        window=(rfc3339(start_ms), rfc3339(end_ms)),
        evidence=finding.evidence,
        explanation=finding.explanation,
        late=payment.late,
    )
    prefix = SHADOW_PREFIX if rule.state == "shadow" else ALERTS_PREFIX
    identity = f"{PAYMENTS.name}:{event.sequence}"
    about = {headers.TRACE_PARENT: trace.outgoing(event.headers or {}, identity)}
    return Output(f"{prefix}.{payment.card}", msgspec.json.encode(body), about)


def score(payment: Payment, value: float, learned: int) -> Output:
    """Return the score of a payment; it expires by itself."""
    body = FraudScore(
        payment_id=payment.payment_id,
        card=payment.card,
        time=rfc3339(payment.time_ms),
        score=value,
        model=learned,
        late=payment.late,
    )
    return Output(f"{SCORES_PREFIX}.{payment.card}", msgspec.json.encode(body), _SCORE_HEADERS)


def dead_payment(event: Event, refusal: Refusal) -> Output:
    """Return the dead letter of a payment or label; card numbers in it are masked.

    Body and headers are else as they were. It is stored in `FRAUD`, and taken over as
    `dead.fraud_detector.<reason>`.
    """
    arrival = dt.datetime.fromtimestamp(event.arrival_ns // 1_000_000_000, dt.UTC)
    given = headers.without_instructions(event.headers)
    about = {
        **{masked(name): masked(value) for name, value in given.items()},
        headers.DEAD_REASON: refusal.reason,
        headers.DEAD_ERROR: one_line(masked(refusal.error)),
        headers.DEAD_ATTEMPTS: "1",
        headers.DEAD_STREAM: PAYMENTS.name,
        headers.DEAD_SUBJECT: masked(
            f"{PAYMENTS_PREFIX}.{event.subject.removeprefix(EVENT_PREFIX)}"
        ),
        headers.DEAD_SEQUENCE: str(event.sequence),
        headers.DEAD_TIME: arrival.isoformat().replace("+00:00", "Z"),
    }
    if event.headers and (message_id := event.headers.get(headers.MESSAGE_ID)):
        about[headers.DEAD_ID] = masked(message_id)
    return Output(f"{DEAD_PREFIX}.{refusal.reason}", masked_body(event.data), about)


def dead_rule(event: Event, key: str, revision: int, text: str, why: str) -> Output:
    """Return the dead letter of a rule that cannot be used, as it stands in the bucket."""
    arrival = dt.datetime.fromtimestamp(event.arrival_ns // 1_000_000_000, dt.UTC)
    stream = RULES.stream
    about = {
        headers.DEAD_REASON: "invalid",
        headers.DEAD_ERROR: one_line(masked(why)),
        headers.DEAD_ATTEMPTS: "1",
        headers.DEAD_STREAM: stream,
        headers.DEAD_SUBJECT: RULES.subject(key),
        headers.DEAD_SEQUENCE: str(revision),
        headers.DEAD_TIME: arrival.isoformat().replace("+00:00", "Z"),
    }
    return Output(f"{DEAD_PREFIX}.invalid", masked_body(text.encode()), about)


def rfc3339(time_ms: int) -> str:
    """Return a time as RFC 3339 UTC; milliseconds only where there are some."""
    days, since = divmod(time_ms, _DAY_MS)
    seconds, milliseconds = divmod(since, 1_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    rest = f".{milliseconds:03}Z" if milliseconds else "Z"
    return f"{_date(days)}T{hour:02}:{minute:02}:{second:02}{rest}"


@functools.lru_cache(maxsize=1_024)
def _date(days: int) -> str:
    return (_EPOCH + dt.timedelta(days=days)).isoformat()
