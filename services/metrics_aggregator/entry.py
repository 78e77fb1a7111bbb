"""The metrics aggregator as the operators' CLI sees it."""

from __future__ import annotations

from pathlib import Path

from services.metrics_aggregator.demo import make_sample
from services.metrics_aggregator.fixed_seed import fixed_seed
from services.metrics_aggregator.settings import MetricsSettings, PartitionSettings
from services.metrics_aggregator.topology import (
    SERVICE,
    feed_stage,
    latest_stage,
    merge_stage,
    merges,
    sample_stage,
    topology,
)
from shared.contracts.telemetry import Measurement, MetricResult
from shared.log_stream.fold import Fold
from shared.log_stream.stage import Stage, StageEntry
from shared.registry import MessageType, ServiceEntry
from shared.settings import SettingsError, load

_LAST = (1 << 63) - 1
"""The longest sequence that a seed may have to name."""


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


def _beside() -> tuple[Stage, ...]:
    """Return the projection of latest results, and the feeds of the rules that are set here."""
    from services.metrics_aggregator.program import MetricsProgram  # noqa: PLC0415 - as said

    settings = load(MetricsSettings)
    try:
        sources = MetricsProgram(Path(settings.rules) if settings.rules else None).sources()
    except ValueError as error:
        raise SettingsError(f"METRICS_RULES: {error}") from None
    feeds = (
        feed_stage(settings.partitions, key, source.stream, source.subject)
        for key, source in sources.items()
    )
    return (latest_stage(), *feeds)


def _fixed_seed(rules: str, until: int | None) -> str:
    """Return a seed whose rules stand, whatever the log says; raise `RuleError` for bad ones."""
    from services.metrics_aggregator.fold import checked_rules  # noqa: PLC0415 - as said

    checked_rules(fixed_seed(rules, _LAST))
    return fixed_seed(rules, until)


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
            emitted=True,
        ),
    ),
    stages=_stages,
    beside=_beside,
    fixed_seed=_fixed_seed,
    demo=make_sample,
    try_it=(
        """nats pub -J telemetry.latency '{"value": 12.5, "labels": {"host": "a"}}'""",
        "nats sub 'metrics.>'    # results come when their window ends",
    ),
)
