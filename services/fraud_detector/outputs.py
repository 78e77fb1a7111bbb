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
from shared.letters import Origin, about
from shared.log_stream.fold import Event, Output

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
    traced = {headers.TRACE_PARENT: trace.outgoing(event.headers or {}, identity)}
    return Output(f"{prefix}.{payment.card}", msgspec.json.encode(body), traced)


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
    given = {masked(name): masked(value) for name, value in (event.headers or {}).items()}
    subject = f"{PAYMENTS_PREFIX}.{event.subject.removeprefix(EVENT_PREFIX)}"
    origin = Origin(PAYMENTS.name, masked(subject), event.sequence, event.arrival)
    told = about(given, origin, refusal.reason, masked(refusal.error))
    return Output(f"{DEAD_PREFIX}.{refusal.reason}", masked_body(event.data), told)


def dead_rule(event: Event, key: str, revision: int, text: str, why: str) -> Output:
    """Return the dead letter of a rule that cannot be used, as it stands in the bucket."""
    origin = Origin(RULES.stream, RULES.subject(key), revision, event.arrival)
    told = about(None, origin, "invalid", masked(why))
    return Output(f"{DEAD_PREFIX}.invalid", masked_body(text.encode()), told)


def rfc3339(time_ms: int) -> str:
    """Return a time as RFC 3339 UTC; milliseconds only where there are some."""
    days, since = divmod(time_ms, _DAY_MS)
    seconds, milliseconds = divmod(since, 1_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    rest = f".{milliseconds:03}Z" if milliseconds else "Z"
    return f"{_date(days)}T{hour:02}:{minute:02}:{second:02}{rest}"


def milliseconds(text: str) -> int:
    """Return the time that `rfc3339` has written."""
    return round(dt.datetime.fromisoformat(text).timestamp() * 1000)


@functools.lru_cache(maxsize=1_024)
def _date(days: int) -> str:
    return (_EPOCH + dt.timedelta(days=days)).isoformat()
