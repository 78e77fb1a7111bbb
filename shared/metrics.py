"""Exposition of what workers count, in Prometheus' format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from shared.work_queue.stats import SECONDS_BUCKETS, QueueStats

_LABELS = ("stream", "durable")


class CountsDeliveries(Protocol):
    """What of a worker is exposed."""

    stats: QueueStats

    @property
    def held(self) -> int:
        """Jobs held now."""

    @property
    def ready(self) -> bool:
        """Whether jobs are flowing."""


class WorkerCollector:
    """Reads the counters of workers when Prometheus asks."""

    def __init__(self, workers: Sequence[CountsDeliveries]) -> None:
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family."""
        settled = CounterMetricFamily(
            "headrace_deliveries", "Deliveries by what became of them", labels=[*_LABELS, "outcome"]
        )
        dead = CounterMetricFamily(
            "headrace_dead_letters", "Jobs parked, by reason", labels=[*_LABELS, "reason"]
        )
        held = GaugeMetricFamily(
            "headrace_held_jobs", "Jobs taken from the server, not yet settled", labels=_LABELS
        )
        ready = GaugeMetricFamily(
            "headrace_ready", "1 while messages are flowing from the durable", labels=_LABELS
        )
        seconds = HistogramMetricFamily(
            "headrace_attempt_seconds", "Seconds from start to outcome of attempts", labels=_LABELS
        )
        for worker in self._workers:
            stats = worker.stats
            labels = [stats.stream, stats.durable]
            for outcome, count in stats.outcomes.items():
                settled.add_metric([*labels, outcome], count)
            for reason, count in stats.dead.items():
                dead.add_metric([*labels, reason], count)
            held.add_metric(labels, worker.held)
            ready.add_metric(labels, int(worker.ready))
            seconds.add_metric(labels, list(_cumulative(stats)), stats.seconds_sum)
        yield from (settled, dead, held, ready, seconds)


def registry_of(collectors: Iterable[Any]) -> CollectorRegistry:
    """Return a registry with the process's own metrics and those of `collectors`."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    for collector in collectors:
        registry.register(collector)
    return registry


def _cumulative(stats: QueueStats) -> Iterator[tuple[str, float]]:
    bounds = (*map(str, SECONDS_BUCKETS), "+Inf")
    return zip(bounds, accumulate(stats.seconds_counts), strict=True)
