"""Samples a second through the metrics aggregator's rules, without broker and sockets.

Run as `python -m tests.bench metrics`. Ten rules (`metrics_rules.yaml`); a sample meets two or
three of them. Its windows close and give results as time goes on.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from services.metrics_aggregator.fold import MetricsFold
from shared import logs
from shared.log_stream.fold import Event
from shared.settings import LogSettings
from tests.bench.__main__ import say
from tests.bench.log_stage import BEGIN_MS
from tests.bench.rig import ROUNDS, Measured, median, require_rate

SAMPLES = 100_000
SERIES = 1_000
"""Of each metric."""
MINUTES = 5
AN_EVENT = (1, 20)
"""Samples a message: as `nats pub` sends them, and as agents do."""
LEAST_RATE = 60_000

_METRICS = (
    "http_requests_total",
    "http_request_seconds",
    "cpu_seconds_total",
    "memory_bytes",
    "queue_depth",
    "temperature_celsius",
)


def main() -> None:
    """Print rates; raise on a missed target."""
    logs.configure(LogSettings(level="warning"))
    rules = Path(__file__).with_name("metrics_rules.yaml").read_text("utf-8")
    missed: list[str] = []
    for size in AN_EVENT:
        events = list(_events(size))
        runs = [_fold(rules, events) for _ in range(ROUNDS)]
        middle = median(runs)
        say(
            f"  {size:>3} samples a message: {middle.rate:>9,.0f}/s"
            f"   CPU s per 100k: {middle.cpu_each(100_000):.2f}"
            f"   rounds: {' '.join(f'{one.rate:,.0f}' for one in runs)}"
        )
        # Nothing here waits, so the CPU that it takes is its time on a core of its own.
        missed.append(require_rate("samples a CPU second", middle.count / middle.cpu, LEAST_RATE))
    if any(missed):
        raise AssertionError("; ".join(filter(None, missed)))


def _fold(rules: str, events: Sequence[Event]) -> Measured:
    fold = MetricsFold(rules)
    outputs = 0
    gc.collect()
    began, cpu = time.perf_counter(), time.process_time()
    for event in events:
        outputs += len(fold.apply(event))
    measured = Measured(SAMPLES, time.perf_counter() - began, time.process_time() - cpu, 0.0)
    assert outputs
    assert not fold.skipped
    return measured


def _events(size: int) -> Iterator[Event]:
    """Yield messages of `size` samples of one metric each, their times a little out of order."""
    chance = random.Random(1)
    counted: dict[tuple[str, int], float] = {}
    for number, start in enumerate(range(0, SAMPLES, size)):
        metric = _METRICS[number % len(_METRICS)]
        samples = []
        for n in range(start, start + size):
            series = chance.randrange(SERIES)
            time_ms = BEGIN_MS + n * MINUTES * 60_000 // SAMPLES - chance.randrange(500)
            value = round(chance.expovariate(4), 4)
            if metric.endswith("_total"):
                value = counted[metric, series] = counted.get((metric, series), 0.0) + value
            samples.append(
                {"value": value, "labels": _labels(series), "time": max(BEGIN_MS, time_ms) / 1000}
            )
        data = msgspec.json.encode(samples if size > 1 else samples[0])
        arrival_ns = (BEGIN_MS + start * MINUTES * 60_000 // SAMPLES) * 1_000_000
        yield Event(number + 1, arrival_ns, f"sample.{metric}", data, None)


def _labels(series: int) -> dict[str, str]:
    return {
        "job": f"job-{series % 5}",
        "env": ("prod", "prod", "stage", "test")[series % 4],
        "instance": f"host-{series % 50}",
        "pod": f"pod-{series}",
        "route": f"/r/{series % 20}",
        "code": str((200, 200, 204, 404, 500)[series % 5]),
    }
