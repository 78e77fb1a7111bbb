"""2,000 mutilated payloads of each format: taken or refused with a reason, nothing else."""

from __future__ import annotations

import random

import pytest

from services.metrics_aggregator.fold import MetricsFold
from shared.contracts import headers
from shared.log_stream.fold import Event
from tests.unit.metrics_aggregator.test_payloads import (
    DATADOG,
    INFLUX,
    NODE_EXPORTER,
    PROMETHEUS,
    STATSD,
    TELEGRAF,
)

PAYLOADS = 2000
ARRIVAL_NS = 1_795_420_800_000_000_000
RULES = """
- interval: 1m
  outputs: [avg, count_series, histogram_bucket, increase, last, rate_sum, stddev, unique_samples]
- interval: 1m
  dedup_interval: 10s
  outputs: [sum_samples]
- interval: 1m
  allowed_lateness: 1h
  outputs: ["quantiles(0.5)", sum_samples]
"""
JSON = (
    b'[{"value": 12.5, "labels": {"host": "a"}, "time": "2026-11-23T07:59:00Z", "name": "m"},'
    b' {"value": -1e300, "time": 1795420700.5}]'
)
PARTS: tuple[bytes, ...] = (
    *(char.encode() for char in '"{}[]:,|=\\\n @#\x00ä\u2028😀'),
    *(b"\xff", b"1e308", b"-0", b"NaN", b"Inf", b"99999999999999999999"),
)


def mutilated(text: bytes, chance: random.Random) -> bytes:
    """Return the text with a few places cut, doubled, overwritten or stuffed."""
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(text) + 1)
        until = min(len(text), at + chance.choice((0, 1, 1, 2, 10)))
        middle = chance.choice((b"", text[at:until] * 2, chance.choice(PARTS), chance.randbytes(2)))
        text = text[:at] + middle + text[until:]
    return text


@pytest.mark.parametrize(
    ("kind", "text"),
    [(None, JSON), (PROMETHEUS, NODE_EXPORTER), (INFLUX, TELEGRAF), (STATSD, DATADOG)],
)
def test_whatever_comes_is_taken_or_a_dead_letter(kind: str | None, text: bytes) -> None:
    chance, fold = random.Random(7), MetricsFold(RULES)
    given = {"Content-Type": kind} if kind else None
    dead = 0
    for sequence in range(1, PAYLOADS + 1):
        body = mutilated(text, chance)
        arrival_ns = ARRIVAL_NS + sequence * 1_000_000_000
        for output in fold.apply(Event(sequence, arrival_ns, "sample.fuzzed", body, given)):
            if output.subject.startswith("metrics-dead."):
                dead += 1
                assert output.data == body
                about = output.headers or {}
                assert about[headers.DEAD_ERROR].isprintable()
                assert about[headers.DEAD_REASON] in {"malformed", "invalid", "future"}
    assert PAYLOADS / 10 < dead < PAYLOADS
