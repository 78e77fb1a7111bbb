"""The metrics aggregator as the operators' CLI sees it."""

from __future__ import annotations

from services.metrics_aggregator.demo import make_sample
from services.metrics_aggregator.settings import PartitionSettings
from services.metrics_aggregator.topology import SERVICE, stage, topology
from shared.contracts.telemetry import Measurement, MetricResult
from shared.log_stream.fold import Fold
from shared.log_stream.stage import StageEntry
from shared.registry import MessageType, ServiceEntry
from shared.settings import load


def _fold(seed: str) -> Fold:
    """Return a fold; imported here, since most commands need neither YAML nor regexes."""
    from services.metrics_aggregator.fold import MetricsFold  # noqa: PLC0415 - as said

    return MetricsFold(seed)


ENTRY = ServiceEntry(
    name=SERVICE,
    description="Samples become aggregates by rules, by windows of event time",
    topology=lambda: topology(load(PartitionSettings)),
    messages=(
        MessageType(
            "measurement", "telemetry.<metric>", Measurement, "Event: a metric had a value"
        ),
        MessageType(
            "metric-result",
            "metrics.<rule id>.<metric>",
            MetricResult,
            "Result: an aggregate of a window",
        ),
    ),
    stages=lambda: (StageEntry(stage(load(PartitionSettings)), _fold),),
    demo=make_sample,
    try_it=(
        """nats pub -J telemetry.latency '{"value": 12.5, "labels": {"host": "a"}}'""",
        "nats sub 'metrics.>'    # results come when their window ends",
    ),
)
