"""`/metrics/results`: the latest final result of each series as Prometheus exposition."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Final

import msgspec
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import CollectorRegistry

from services.metrics_aggregator.topology import LATEST, LATEST_PREFIX
from shared.broker import Broker
from shared.contracts.telemetry import MetricResult
from shared.log_stream import history

RULE: Final = "headrace_rule"
"""The label that tells results of two rules apart, should they have the same name."""

_decoder: Final = msgspec.json.Decoder(MetricResult)


async def results_page(broker: Broker) -> bytes:
    """Return all latest results, with the end of their windows as time. Raises broker errors.

    Whichever member is asked, it has those of all: scrape one.
    """
    families: dict[str, GaugeMetricFamily] = {}
    async for page in history.pages(broker.client, LATEST.name):
        for stored in page:
            if stored.subject.startswith(f"{LATEST_PREFIX}."):
                _add(families, _decoder.decode(stored.data))
    registry = CollectorRegistry()
    registry.register(_Families(list(families.values())))
    return generate_latest(registry)


class _Families:
    """A collector of what has been collected."""

    def __init__(self, families: list[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _add(families: dict[str, GaugeMetricFamily], result: MetricResult) -> None:
    family = families.get(result.metric)
    if family is None:
        words = f"Output {result.output} of rule {result.rule}"
        family = families[result.metric] = GaugeMetricFamily(result.metric or "unnamed", words)
    labels = {**result.labels, RULE: result.rule}
    end = dt.datetime.fromisoformat(result.end).timestamp()
    family.add_sample(family.name, labels, result.value, timestamp=end)
