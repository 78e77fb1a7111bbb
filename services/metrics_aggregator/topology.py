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
from shared.contracts import headers
from shared.log_stream.stage import Stage
from shared.topology import DEAD_LETTERS, LEASES, Log, PartitionedLog, Source, Topology

SERVICE = "metrics_aggregator"
MERGER = "metrics_merger"
DEAD_PREFIX = "metrics-dead"
LATE_PREFIX = "late.metrics"
LATEST_PREFIX = "latest"
MERGE_PREFIX = "metrics-merge"
PARTIALS_KEPT = "168h"
"""How long partial results stay in `METRICS`; their copies as long as samples do."""
SAMPLE_PREFIX = "sample."
FEED_POSITION = "telemetry-feed"
FEED_DEAD = "telemetry-dead"
FEED_SNAPSHOT = "metrics-feed-snapshot"
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
    beside=(f"{FEED_POSITION}.>", f"{FEED_DEAD}.*"),
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

LATEST = Log(
    name="METRICS_LATEST",
    subjects=(f"{LATEST_PREFIX}.>", "latest-position.*"),
    description="The latest final result of each series: latest.<rule>.<metric>.<labels>",
    latest_only=True,
    atomic=True,
    ttl=True,
    max_age_days=7,
)

SNAPSHOTS = Log(
    name="METRICS_SNAPSHOTS",
    subjects=(
        "metrics-snapshot.>",
        "metrics-merger-snapshot.>",
        f"{FEED_SNAPSHOT}.>",
        "latest-snapshot.>",
    ),
    description="Chunks of the aggregator's snapshots, named by the position records",
    atomic=True,
    keep=True,
)

DEAD = replace(
    DEAD_LETTERS,
    sources=tuple(
        Source(stream, f"{prefix}.*", f"dead.{SERVICE}.{{{{wildcard(1)}}}}")
        for stream, prefix in ((METRICS.name, DEAD_PREFIX), (TELEMETRY.name, FEED_DEAD))
    ),
)


def merge_subject(merge: int, kind: str, partition: int, source: str = "") -> str:
    """Return where a partition of the first stage tells one of the second something.

    Marks have a subject for each source, so that the newest of each can be looked up.
    """
    subject = f"{MERGE_PREFIX}.{merge}.{kind}.{partition}"
    return f"{subject}.{source}" if source else subject


def merges(settings: PartitionSettings) -> int:
    """Return how many partitions the second stage has: it has far less to do."""
    return max(1, settings.partitions // _SAMPLE_PARTITIONS_A_MERGE)


def sample_stage(settings: PartitionSettings) -> Stage:
    """Return the first stage: samples to partial results."""
    return Stage(
        group=SERVICE,
        source=_telemetry(settings),
        target=METRICS,
        positions="metrics-position",
        snapshots=SNAPSHOTS,
        snapshot_prefix="metrics-snapshot",
    )


def feed_stage(settings: PartitionSettings, key: str, stream: str, subject: str) -> Stage:
    """Return the stage that maps another log to samples; `key` stands for the mapping.

    It writes into `TELEMETRY`, which drops what is old, but not its position records.
    """
    return Stage(
        group=f"metrics_feed-{key}",
        source=PartitionedLog(
            name=stream,
            subjects=subject,
            prefix="",
            stored_as=subject,
            description="what another service writes",
            partitions=1,
        ),
        target=_telemetry(settings),
        positions=f"{FEED_POSITION}.{key}",
        snapshots=SNAPSHOTS,
        snapshot_prefix=f"{FEED_SNAPSHOT}.{key}",
        told=False,
        stateless=True,
        record_headers={headers.TTL: "never"},
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


def latest_stage() -> Stage:
    """Return the stage that keeps the latest result of each series at hand."""
    return Stage(
        group="metrics_latest",
        source=PartitionedLog(
            name=METRICS.name,
            subjects="metrics.>",
            prefix="",
            stored_as="metrics.>",
            description=METRICS.description,
            partitions=1,
        ),
        target=LATEST,
        positions="latest-position",
        snapshots=SNAPSHOTS,
        snapshot_prefix="latest-snapshot",
        told=False,
        record_headers={headers.TTL: "never", **headers.IN_PLACE},
    )


def topology(settings: PartitionSettings) -> Topology:
    """Return all that the service needs on the server."""
    return Topology((_telemetry(settings), METRICS, PARTIALS, LATEST, SNAPSHOTS, LEASES, DEAD))


def _telemetry(settings: PartitionSettings) -> PartitionedLog:
    return replace(TELEMETRY, partitions=settings.partitions)
