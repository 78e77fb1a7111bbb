"""Streams of the metrics aggregator: a partitioned log in, a log of results out.

Two stages, since the series of one group may lie in several partitions:

    TELEMETRY --metrics_aggregator--> METRICS ..> METRICS_PARTIALS --metrics_merger--> METRICS

The first folds samples to partial results, the second merges them, each group in one place. A
commit is one batch of one stream, so the first stage writes all to `METRICS`, results for
readers and partial results alike; the server copies the latter to a log of their own.
"""

from __future__ import annotations

from msgspec.structs import replace

from services.metrics_aggregator.settings import PartitionSettings
from shared.log_stream.stage import Stage
from shared.topology import DEAD_LETTERS, LEASES, Log, PartitionedLog, Source, Topology

SERVICE = "metrics_aggregator"
MERGER = "metrics_merger"
DEAD_PREFIX = "metrics-dead"
LATE_PREFIX = "late.metrics"
MERGE_PREFIX = "metrics-merge"
PARTIALS_KEPT = "168h"
"""How long partial results stay in `METRICS`; their copies as long as samples do."""
SAMPLE_PREFIX = "sample."
FEED = "Headrace-Feed"
"""Header of samples that were mapped from another log: which source they are of."""

_PARTIALS = f"{MERGE_PREFIX}.>"
_SAMPLE_PARTITIONS_A_MERGE = 4

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
    subjects=(
        "metrics.>",
        f"{LATE_PREFIX}.>",
        f"{DEAD_PREFIX}.*",
        _PARTIALS,
        "metrics-position.*",
        "metrics-merger-position.*",
    ),
    description="Results: metrics.<rule>.<metric>; late samples; what the two stages pass on",
    atomic=True,
    ttl=True,
    keep=True,
)

PARTIALS = Log(
    name="METRICS_PARTIALS",
    subjects=(),
    description="Partial results, taken over: metrics-merge.<merger>.<kind>.<partition>",
    sources=(Source(METRICS.name, _PARTIALS, _PARTIALS),),
    max_age_days=7,
)

SNAPSHOTS = Log(
    name="METRICS_SNAPSHOTS",
    subjects=("metrics-snapshot.>", "metrics-merger-snapshot.>"),
    description="Chunks of the aggregator's snapshots, named by the position records",
    atomic=True,
    keep=True,
)

DEAD = replace(
    DEAD_LETTERS,
    sources=(Source(METRICS.name, f"{DEAD_PREFIX}.*", f"dead.{SERVICE}.{{{{wildcard(1)}}}}"),),
)


def merges(settings: PartitionSettings) -> int:
    """Return how many partitions the second stage has: it has far less to do."""
    return max(1, settings.partitions // _SAMPLE_PARTITIONS_A_MERGE)


def sample_stage(settings: PartitionSettings) -> Stage:
    """Return the first stage: samples to partial results."""
    return Stage(
        group=SERVICE,
        source=replace(TELEMETRY, partitions=settings.partitions),
        target=METRICS,
        positions="metrics-position",
        snapshots=SNAPSHOTS,
        snapshot_prefix="metrics-snapshot",
    )


def merge_stage(settings: PartitionSettings) -> Stage:
    """Return the second stage: partial results to results."""
    partials = PartitionedLog(
        name=PARTIALS.name,
        subjects=_PARTIALS,
        prefix=MERGE_PREFIX,
        stored_as=">",
        description=PARTIALS.description,
        partitions=merges(settings),
    )
    return Stage(
        group=MERGER,
        source=partials,
        target=METRICS,
        positions="metrics-merger-position",
        snapshots=SNAPSHOTS,
        snapshot_prefix="metrics-merger-snapshot",
        told=False,
    )


def topology(settings: PartitionSettings) -> Topology:
    """Return all that the service needs on the server."""
    return Topology((sample_stage(settings).source, METRICS, PARTIALS, SNAPSHOTS, LEASES, DEAD))
