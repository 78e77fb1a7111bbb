"""The metrics aggregator as the operators' CLI sees it."""

from __future__ import annotations

from services.metrics_aggregator.demo import make_sample
from services.metrics_aggregator.settings import PartitionSettings
from services.metrics_aggregator.topology import (
    SERVICE,
    merge_stage,
    merges,
    sample_stage,
    topology,
)
from shared.contracts.telemetry import Measurement, MetricResult
from shared.log_stream.fold import Fold
from shared.log_stream.stage import StageEntry
from shared.registry import MessageType, ServiceEntry
from shared.settings import load


def _stages() -> tuple[StageEntry, ...]:
    settings = load(PartitionSettings)

    # Imported late, since most commands need neither YAML nor regexes.
    def sample_fold(seed: str, partition: int) -> Fold:
        from services.metrics_aggregator.fold import MetricsFold  # noqa: PLC0415 - as said

        return MetricsFold(seed, partition, merges(settings))

    def merge_fold(_seed: str, _partition: int) -> Fold:
        from services.metrics_aggregator.merge_fold import MergeFold  # noqa: PLC0415 - as said

        return MergeFold(settings.partitions)

    return (
        StageEntry(sample_stage(settings), sample_fold),
        StageEntry(merge_stage(settings), merge_fold),
    )


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
    stages=_stages,
    demo=make_sample,
    try_it=(
        """nats pub -J telemetry.latency '{"value": 12.5, "labels": {"host": "a"}}'""",
        "nats sub 'metrics.>'    # results come when their window ends",
    ),
)
