"""Every output against plain Python over the same samples."""

from __future__ import annotations

import json
import random
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from shared.log_stream.fold import Event
from tests.metrics_pipeline import Pipeline

BEGIN_MS = 1_790_000_040_000

Oracle = Callable[[Sequence[tuple[float, float, str]]], float]


def _values(samples: Sequence[tuple[float, float, str]]) -> list[float]:
    return [value for _, value, _ in samples]


ORACLES: dict[str, Oracle] = {
    "avg": lambda samples: statistics.fmean(_values(samples)),
    "count_samples": len,
    "count_series": lambda samples: len({series for _, _, series in samples}),
    "last": lambda samples: max(samples)[1],
    "max": lambda samples: max(_values(samples)),
    "min": lambda samples: min(_values(samples)),
    "stddev": lambda samples: statistics.pstdev(_values(samples)),
    "stdvar": lambda samples: statistics.pvariance(_values(samples)),
    "sum_samples": lambda samples: sum(_values(samples)),
    "unique_samples": lambda samples: len(set(_values(samples))),
}


def emitted(
    rules: str, samples: Sequence[tuple[float, float, str]], *, metric: str = "m"
) -> list[dict[str, Any]]:
    """Return the results of samples `(seconds, value, series)`, in the order in which they come."""
    fold, found = Pipeline(rules), []
    end = max((at for at, _, _ in samples), default=0.0) + 7200
    every = [*samples, (end, 0.0, "end")]
    for sequence, (at, value, series) in enumerate(every, 1):
        body = {"value": value, "time": BEGIN_MS / 1000 + at, "labels": {"series": series}}
        arrival_ns = int((BEGIN_MS + end * 1000) * 1_000_000)
        subject = f"sample.{metric if series != 'end' else 'other'}"
        event = Event(sequence, arrival_ns, subject, json.dumps(body).encode(), None)
        found += [json.loads(output.data) for output in fold.apply(event)]
    return [one for one in found if one.get("metric", "").startswith(metric)]


def chosen(seed: int) -> list[tuple[float, float, str]]:
    chance = random.Random(seed)
    return [
        (
            round(chance.uniform(0, 59.9), 3),
            chance.choice((round(chance.uniform(-50, 50), 2), 7.0, 0.1)),
            chance.choice("abc"),
        )
        for _ in range(300)
    ]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("output", ORACLES)
def test_an_output_is_what_plain_python_makes_of_the_window(output: str, seed: int) -> None:
    samples = chosen(seed)
    rules = f"- {{match: m, interval: 1m, without: [series], grace: 1h, outputs: [{output}]}}"
    (result,) = emitted(rules, samples)
    assert result["metric"] == f"m:1m_without_series_{output}"
    assert result["value"] == pytest.approx(ORACLES[output](samples), rel=1e-12)
    assert result["count"] == len(samples)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_order_of_arrival_changes_no_bit(seed: int) -> None:
    outputs = [*ORACLES, '"quantiles(0.1, 0.5, 0.99)"', "histogram_bucket", "rate_sum", "increase"]
    rules = (
        "- {match: m, interval: 1m, without: [series], grace: 1h, "
        f"outputs: [{', '.join(outputs)}]}}"
    )
    samples = chosen(seed)
    shuffled = random.Random(seed).sample(samples, len(samples))
    assert emitted(rules, samples) == emitted(rules, shuffled)


@pytest.mark.parametrize("phi", [0, 0.01, 0.5, 0.9, 0.99, 1])
def test_a_quantile_is_within_one_percent_of_a_sample_of_its_rank(phi: float) -> None:
    samples = chosen(9)
    rules = (
        f'- {{match: m, interval: 1m, without: [series], grace: 1h, outputs: ["quantiles({phi})"]}}'
    )
    (result,) = emitted(rules, samples)
    ordered = sorted(_values(samples))
    rank = phi * (len(ordered) - 1)
    near = ordered[int(rank)], ordered[min(int(rank) + 1, len(ordered) - 1)]
    assert any(abs(result["value"] - value) <= 0.01 * abs(value) + 1e-12 for value in near)


COUNTERS = """
- match: m
  interval: 1m
  without: [series]
  outputs: [increase, increase_prometheus, rate_sum, rate_avg, total, total_prometheus]
"""


def by_window(results: Sequence[dict[str, Any]]) -> list[dict[str, float]]:
    windows: dict[str, dict[str, float]] = {}
    for one in results:
        windows.setdefault(one["start"], {})[one["output"]] = one["value"]
    return list(windows.values())


def test_counters_count_what_they_rise_and_a_reset_in_full() -> None:
    first, second, third = by_window(
        emitted(
            COUNTERS,
            [(0, 10, "a"), (30, 15, "a"), (75, 3, "a"), (90, 5, "a"), (150, 5, "a"), (150, 7, "b")],
        )
    )
    # The first sample of a series says nothing at first; 5 in 30 s.
    assert first["increase"] == first["increase_prometheus"] == first["total"] == 5
    assert first["rate_sum"] == first["rate_avg"] == pytest.approx(5 / 30)
    # From 15 to 3 is a reset: 3, then 2 more, since second 30.
    assert second["increase"] == 5
    assert second["total"] == second["total_prometheus"] == 10
    assert second["rate_sum"] == pytest.approx(5 / 60)
    # A series that begins later than two intervals after the rule counts from 0, but for ours
    # that follow Prometheus.
    assert third["increase"] == 7
    assert third["increase_prometheus"] == 0
    assert (third["total"], third["total_prometheus"]) == (17, 10)


def test_a_series_that_was_silent_for_longer_than_its_staleness_begins_anew() -> None:
    stale = COUNTERS + "  staleness_interval: 1m\n"
    results = by_window(
        emitted(stale, [(0, 10, "a"), (10, 12, "a"), (130, 20, "a"), (140, 21, "a")])
    )
    assert [one["increase"] for one in results] == [2, 21]
    assert [one["increase_prometheus"] for one in results] == [2, 1]


def test_of_each_dedup_interval_the_last_sample_counts() -> None:
    rules = (
        "- {match: m, interval: 1m, dedup_interval: 10s, without: [series], "
        "outputs: [count_samples, sum_samples]}"
    )
    samples = [(1, 1.0, "a"), (9, 2.0, "a"), (5, 50.0, "a"), (9, 3.0, "b"), (11, 4.0, "a")]
    count, total = emitted(rules, samples)
    assert (count["value"], total["value"]) == (3, 2 + 3 + 4)


def test_the_first_intervals_are_left_out_where_that_is_asked() -> None:
    rules = "- {match: m, interval: 1m, ignore_first_intervals: 1, by: [], outputs: [max]}"
    found = emitted(rules, [(0, 1.0, "a"), (60, 2.0, "a"), (120, 3.0, "a")])
    assert [one["value"] for one in found] == [2, 3]


def test_a_histogram_has_the_ranges_of_victoriametrics_and_goes_on() -> None:
    rules = "- {match: m, interval: 1m, without: [series], outputs: [histogram_bucket]}"
    found = emitted(rules, [(0, 12.5, "a"), (1, 12.6, "b"), (2, 0.0, "a"), (61, 12.5, "a")])
    ranges = [(one["labels"]["vmrange"], one["value"]) for one in found]
    assert ranges == [
        ("0...1.000e-09", 1),
        ("1.136e+01...1.292e+01", 2),
        ("0...1.000e-09", 1),
        ("1.136e+01...1.292e+01", 3),
    ]
