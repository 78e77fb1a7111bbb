"""The aggregator's fold: results, late samples, dead letters and rules, all out of the log."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from typing import Any

import pytest

from services.metrics_aggregator.domain.refusal import RuleError
from services.metrics_aggregator.fold import checked_rules
from shared.contracts import headers
from shared.log_stream.fold import Event, Output
from tests.metrics_pipeline import Pipeline, folded

BEGIN_MS = 1_790_000_040_000  # a full minute
MINUTE = """
- match: latency
  interval: 1m
  by: [host]
  outputs: [avg, count_samples]
"""
EVERYTHING = """
- id: all
  interval: 1m
  by: [host]
  allowed_lateness: 30s
  outputs: [avg, count_samples, count_series, last, max, min, stddev, sum_samples,
            unique_samples, "quantiles(0.5, 0.9)"]
- id: counters
  interval: 1m
  grace: 20s
  staleness_interval: 3m
  without: [host]
  outputs: [increase, rate_sum, total, histogram_bucket, sum_samples_total]
- id: hops
  interval: 1m
  window: hopping
  every: 20s
  dedup_interval: 10s
  outputs: [count_samples, last]
- id: visits
  window: session
  gap: 15s
  by: [host]
  outputs: [count_samples]
"""


class Log:
    """Events of one partition, a second apart."""

    def __init__(self) -> None:
        self._sequence = 0

    def event(
        self, subject: str, body: Any, at_s: float, given: dict[str, str] | None = None
    ) -> Event:
        self._sequence += 1
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        arrival_ns = int(BEGIN_MS + at_s * 1000) * 1_000_000
        return Event(self._sequence, arrival_ns, subject, data, given)

    def sample(self, metric: str, value: float, at_s: float, **labels: str) -> Event:
        body = {"value": value, "labels": labels, "time": BEGIN_MS / 1000 + at_s}
        return self.event(f"sample.{metric}", body, at_s)

    def tick(self, at_s: float, idle_s: float) -> Event:
        return self.event("control.tick", {"idle_ms": int(idle_s * 1000)}, at_s)


def bodies(outputs: Iterable[Output]) -> list[dict[str, Any]]:
    return [json.loads(output.data) for output in outputs]


def test_a_window_gives_its_results_when_time_has_passed_it_and_its_grace() -> None:
    log, fold = Log(), Pipeline(MINUTE)
    assert not folded(
        fold,
        [
            log.sample("latency", 10, 0, host="a"),
            log.sample("latency", 15, 59.9, host="a", route="/pay"),
            log.sample("other", 1, 64.9),
        ],
    )
    outputs = folded(fold, [log.sample("other", 1, 65)])
    assert [output.subject for output in outputs] == [
        "metrics.0.latency:1m_by_host_avg",
        "metrics.0.latency:1m_by_host_count_samples",
    ]
    assert bodies(outputs)[0] == {
        "rule": "0",
        "metric": "latency:1m_by_host_avg",
        "labels": {"host": "a"},
        "output": "avg",
        "value": 12.5,
        "start": "2026-09-21T14:14:00Z",
        "end": "2026-09-21T14:15:00Z",
        "final": True,
        "revision": 0,
        "count": 2,
    }


def test_a_tick_closes_what_idleness_has_passed() -> None:
    log, fold = Log(), Pipeline(MINUTE)
    folded(fold, [log.sample("latency", 10, 30, host="a")])
    assert fold.samples[0].open_windows() == 1
    assert not folded(fold, [log.tick(64.9, 34.9)])
    assert len(folded(fold, [log.tick(65, 35)])) == 2
    assert fold.samples[0].open_windows() == 0


def test_a_sample_that_no_window_takes_goes_out_as_late() -> None:
    log, fold = Log(), Pipeline(MINUTE)
    folded(fold, [log.sample("latency", 1, 0, host="a"), log.sample("latency", 1, 70, host="a")])
    (late,) = folded(fold, [log.sample("latency", 7, 59, host="a")])
    assert late.subject == "late.metrics.latency"
    assert bodies([late]) == [
        {
            "name": "latency",
            "value": 7.0,
            "labels": {"host": "a"},
            "time": BEGIN_MS / 1000 + 59,
        }
    ]
    assert fold.samples[0].numbers()["late_samples"] == 1


def test_a_sample_within_the_allowed_lateness_corrects_the_result() -> None:
    rules = MINUTE + "  allowed_lateness: 30s\n"
    log, fold = Log(), Pipeline(rules)
    folded(fold, [log.sample("latency", 1, 0, host="a"), log.sample("latency", 1, 70, host="a")])
    assert not folded(fold, [log.sample("latency", 3, 59, host="a")])
    corrected = folded(fold, [log.sample("other", 1, 124.9), log.sample("other", 1, 125)])[:2]
    assert [(body["value"], body["revision"]) for body in bodies(corrected)] == [(2, 1), (2, 1)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"{", "malformed"), ({"value": "x"}, "invalid"), ({"value": 1, "time": 1e11}, "future")],
)
def test_what_cannot_be_counted_is_a_dead_letter_and_changes_nothing(
    body: Any, reason: str
) -> None:
    log, fold = Log(), Pipeline(MINUTE)
    folded(fold, [log.sample("latency", 1, 0, host="a")])
    (letter,) = folded(
        fold, [log.event("sample.cpu.load", body, 1, {headers.MESSAGE_ID: "i", "X": "y"})]
    )
    given = letter.headers or {}
    assert letter.subject == f"metrics-dead.{reason}"
    assert letter.data == (body if isinstance(body, bytes) else json.dumps(body).encode())
    assert given[headers.DEAD_REASON] == reason
    assert given[headers.DEAD_SUBJECT] == "telemetry.cpu.load"
    assert given[headers.DEAD_SEQUENCE] == "2"
    assert given[headers.DEAD_ID] == "i"
    assert given["X"] == "y"
    assert fold.samples[0].numbers()["watermark_seconds"] == BEGIN_MS / 1000


def test_a_rule_that_stays_keeps_its_windows_and_one_that_goes_closes_them() -> None:
    log, fold = Log(), Pipeline("- {id: a, interval: 1m, outputs: [max]}\n")
    folded(fold, [log.sample("latency", 1, 0)])
    both = "- {id: b, interval: 1m, outputs: [min]}\n- {id: a, interval: 1m, outputs: [max]}\n"
    assert not folded(fold, [log.event("control.rules", both.encode(), 1)])
    folded(fold, [log.sample("latency", 2, 2)])
    only = "- {id: b, interval: 1m, outputs: [min]}\n"
    assert not folded(fold, [log.event("control.rules", only.encode(), 3)])
    rest = folded(fold, [log.sample("latency", 9, 65)])
    assert [(body["rule"], body["value"], body["count"]) for body in bodies(rest)] == [
        ("a", 2, 2),
        ("b", 2, 1),
    ]
    assert not folded(fold, [log.sample("other", 1, 300)])[1:]  # b's second window, none of a


def test_rules_that_cannot_be_used_are_a_dead_letter_and_the_old_ones_stay() -> None:
    log, fold = Log(), Pipeline(MINUTE)
    (letter,) = folded(fold, [log.event("control.rules", b"- interval: never", 0)])
    assert letter.subject == "metrics-dead.invalid"
    assert fold.samples[0].rules_text == MINUTE


def test_rules_too_long_for_a_position_record_are_refused() -> None:
    with pytest.raises(RuleError, match="bytes"):
        checked_rules("# " + "ä" * 100_000 + "\n" + MINUTE)


def _disorderly(seed: int) -> list[Event]:
    """Samples of all kinds, some late, some broken; two changes of rules; ticks."""
    chance, log, at_s = random.Random(seed), Log(), 0.0
    events: list[Event] = []
    for number in range(400):
        at_s += chance.expovariate(1)
        if number == 150:
            changed = EVERYTHING.replace("interval: 1m", "interval: 2m", 1)
            events.append(log.event("control.rules", changed.encode(), at_s))
        if number == 300:
            events.append(log.event("control.rules", EVERYTHING.encode(), at_s))
        if number % 90 == 0:
            events.append(log.event("sample.broken", b"\xff", at_s))
        if number % 130 == 0:
            events.append(log.tick(at_s + 40, 40))
        when = max(0.0, at_s - chance.choice((0, 0, 1, 5, 20, 90)))
        event = log.sample(
            chance.choice(("latency", "requests_total")),
            chance.choice((number, round(chance.random() * 100, 3))),
            when,
            host=chance.choice("abc"),
        )
        event.arrival_ns = int(BEGIN_MS + at_s * 1000) * 1_000_000
        events.append(event)
    return events


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_fold_that_is_restored_anywhere_goes_on_as_if_nothing_had_been(seed: int) -> None:
    events = _disorderly(seed)
    straight = Pipeline(EVERYTHING)
    wanted = [straight.apply(event) for event in events]
    assert sum(map(len, wanted)) > 500
    fold = Pipeline(EVERYTHING)
    for number, event in enumerate(events):
        assert list(fold.apply(event)) == list(wanted[number])
        if number % 23 == 0:
            fold = fold.restored()
    for ours, theirs in zip(fold.folds(), straight.folds(), strict=True):
        assert ours.numbers() == theirs.numbers()
        assert ours.keys() == theirs.keys()
        assert ours.open_windows() == theirs.open_windows()
