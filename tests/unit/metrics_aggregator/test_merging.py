"""Groups that reach across partitions: the same numbers, whoever was faster."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from services.metrics_aggregator.domain.partials import merge_partition
from services.metrics_aggregator.fold import FOLLOW
from shared.log_stream.fold import Event, Output
from tests.metrics_pipeline import Pipeline

BEGIN_MS = 1_790_000_040_000
PARTITIONS = 5
RULES = """
- id: all
  interval: 1m
  grace: {grace}
  without: [__name__, host]
  outputs: [avg, count_samples, count_series, last, max, min, stddev, sum_samples,
            unique_samples, "quantiles(0.5, 0.9)"]
- id: counters
  interval: 1m
  grace: {grace}
  by: [route]
  outputs: [increase, rate_sum, total, histogram_bucket, sum_samples_total]
- id: hops
  interval: 1m
  grace: {grace}
  window: hopping
  every: 25s
  without: [host]
  outputs: [count_samples, last]
- id: visits
  window: session
  grace: {grace}
  gap: 15s
  by: [route]
  outputs: [count_samples, sum_samples]
"""
LENIENT = RULES.replace("outputs: [count", "allowed_lateness: 40s\n  outputs: [count")
Place = tuple[int, Event]


def disorderly(seed: int, late_s: Sequence[float]) -> list[Place]:
    """Return samples of three metrics and three hosts, each series in a partition of its own."""
    chance = random.Random(seed)
    events: list[Place] = []
    at_s = 0.0
    for sequence in range(1, 601):
        at_s += chance.expovariate(1)
        host, metric = chance.choice("abc"), chance.choice(("latency", "errors_total"))
        body = {
            "name": metric,
            "value": sequence if metric == "errors_total" else round(chance.random() * 100, 3),
            "labels": {"host": host, "route": chance.choice(("/", "/pay", "/search"))},
            "time": BEGIN_MS / 1000 + max(0.0, at_s - chance.choice(late_s)),
        }
        events.append(
            (
                ("abc".index(host) * 2 + (metric == "latency")) % PARTITIONS,
                body_of(body, at_s, sequence),
            )
        )
    return [*events, *(ended(number, at_s + 600) for number in range(PARTITIONS))]


def body_of(body: dict[str, Any], at_s: float, sequence: int) -> Event:
    arrival_ns = int(BEGIN_MS + at_s * 1000) * 1_000_000
    return Event(sequence, arrival_ns, "sample.any", json.dumps(body).encode(), None)


def ended(partition: int, at_s: float) -> Place:
    body = {"": BEGIN_MS + int(at_s * 1000)}
    arrival_ns = int(BEGIN_MS + at_s * 1000) * 1_000_000
    return partition, Event(10_000, arrival_ns, FOLLOW, json.dumps(body).encode(), None)


def results(outputs: Iterable[Output]) -> dict[str, list[bytes]]:
    """Return what each series got, in order: one subject has those of several groups."""
    found: dict[str, list[bytes]] = {}
    for output in outputs:
        labels = json.loads(output.data).get("labels")
        found.setdefault(f"{output.subject} {labels}", []).append(output.data)
    return found


def spread(
    rules: str, events: Sequence[Place], chance: random.Random | None
) -> dict[str, list[bytes]]:
    """Fold by partitions; `chance` delays what they say, and kills the folds now and then."""
    pipeline = Pipeline(rules, PARTITIONS, 2, chance)
    outputs: list[Output] = []
    for number, (partition, event) in enumerate(events):
        outputs += pipeline.apply(event, partition)
        if chance is not None and number % 50 == 0:
            pipeline = pipeline.restored()
    return results([*outputs, *pipeline.rest()])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_in_time_gives_the_numbers_of_a_single_partition(seed: int) -> None:
    rules = RULES.format(grace="1h")
    events = disorderly(seed, (0, 1, 5, 20, 90))
    events = [place for place in events if place[1].subject != FOLLOW]
    far = [ended(number, 20_000) for number in range(PARTITIONS)]
    one = Pipeline(rules)
    alone = [output for _, event in [*events, far[0]] for output in one.apply(event)]
    merged = spread(rules, [*events, *far], None)
    assert merged == results(alone)
    assert sum(map(len, merged.values())) > 300


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
@pytest.mark.parametrize("rules", [RULES, LENIENT])
def test_who_is_faster_changes_no_result_whatever_is_late(rules: str, seed: int) -> None:
    chosen = rules.format(grace="5s")
    events = disorderly(seed, (0, 0, 1, 5, 20, 90))
    wanted = spread(chosen, events, None)
    assert any(name.startswith("late.metrics.latency") for name in wanted)
    for other in range(3):
        assert spread(chosen, events, random.Random(seed * 10 + other)) == wanted


def test_corrections_come_where_lateness_is_allowed() -> None:
    found = spread(LENIENT.format(grace="5s"), disorderly(1, (0, 0, 1, 5, 20, 40)), None)
    revisions = [
        json.loads(one)["revision"]
        for ones in found.values()
        for one in ones
        if b'"revision"' in one
    ]
    assert max(revisions) >= 2
    assert spread(RULES.format(grace="5s"), disorderly(1, (0,)), None)


def test_a_partition_that_has_said_nothing_holds_the_results_back() -> None:
    pipeline = Pipeline("- {interval: 1m, outputs: [max]}\n", 2)
    sample = {"value": 1, "time": BEGIN_MS / 1000}
    assert not pipeline.apply(body_of(sample, 0, 1))
    assert not pipeline.apply(body_of(sample | {"time": BEGIN_MS / 1000 + 70}, 70, 2))
    (result,) = pipeline.apply(ended(1, 70)[1], 1)
    assert json.loads(result.data)["value"] == 1


def test_sets_that_fit_into_no_message_are_cut_and_counted_whole() -> None:
    pipeline = Pipeline("- {interval: 1m, outputs: [unique_samples, avg, count_samples]}\n")
    values = list(range(25_000))
    body = [{"value": value, "time": BEGIN_MS / 1000} for value in values]
    arrival_ns = BEGIN_MS * 1_000_000
    pipeline.apply(Event(1, arrival_ns, "sample.m", json.dumps(body).encode(), None))
    said = pipeline.samples[0].apply(ended(0, 70)[1])
    assert max(len(output.data) for output in said) < 500_000
    pipeline = Pipeline("- {interval: 1m, outputs: [unique_samples, avg, count_samples]}\n")
    pipeline.apply(Event(1, arrival_ns, "sample.m", json.dumps(body).encode(), None))
    found = [json.loads(output.data)["value"] for output in pipeline.apply(ended(0, 70)[1])]
    assert found == [25_000, sum(values) / 25_000, 25_000]


def test_a_group_is_merged_in_one_place() -> None:
    places = {merge_partition(f"group {number}", 4) for number in range(100)}
    assert places == {0, 1, 2, 3}
    assert merge_partition("group 1", 4) == merge_partition("group 1", 4)
