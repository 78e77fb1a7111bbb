"""Streams of the metrics aggregator: a partitioned log in, a log of results out."""

from __future__ import annotations

from msgspec.structs import replace

from services.metrics_aggregator.settings import PartitionSettings
from shared.log_stream.stage import Stage
from shared.topology import DEAD_LETTERS, LEASES, Log, PartitionedLog, Source, Topology

SERVICE = "metrics_aggregator"
DEAD_PREFIX = "metrics-dead"
SAMPLE_PREFIX = "sample."

TELEMETRY = PartitionedLog(
    name="TELEMETRY",
    subjects="telemetry.>",
    prefix="telemetry-log",
    stored_as=f"{SAMPLE_PREFIX}>",
    description="Samples: telemetry.<metric>, stored under their partition",
    max_age_days=7,
)

METRICS = Log(
    name="METRICS",
    subjects=("metrics.>", "late.metrics.>", f"{DEAD_PREFIX}.*", "metrics-position.*"),
    description="Results: metrics.<rule>.<metric>; late samples; positions of the partitions",
    atomic=True,
    keep=True,
)

SNAPSHOTS = Log(
    name="METRICS_SNAPSHOTS",
    subjects=("metrics-snapshot.>",),
    description="Chunks of the aggregator's snapshots, named by the position records",
    atomic=True,
    keep=True,
)

DEAD = replace(
    DEAD_LETTERS,
    sources=(Source(METRICS.name, f"{DEAD_PREFIX}.*", f"dead.{SERVICE}.{{{{wildcard(1)}}}}"),),
)


def stage(settings: PartitionSettings) -> Stage:
    """Return the one stage of the service."""
    return Stage(
        group=SERVICE,
        source=replace(TELEMETRY, partitions=settings.partitions),
        target=METRICS,
        positions="metrics-position",
        snapshots=SNAPSHOTS,
        snapshot_prefix="metrics-snapshot",
    )


def topology(settings: PartitionSettings) -> Topology:
    """Return all that the service needs on the server."""
    return Topology((stage(settings).source, METRICS, SNAPSHOTS, LEASES, DEAD))
