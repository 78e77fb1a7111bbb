"""Settings of the metrics aggregator: its environment variables, their bounds and defaults."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from shared.settings import ProcessSettings


class PartitionSettings(Struct, frozen=True):
    """What settings decide of the streams."""

    partitions: Annotated[int, Meta(ge=1, le=256)] = field(default=16, name="METRICS_PARTITIONS")
    """Fixed when `TELEMETRY` is made: another number would scatter the series."""


class MetricsSettings(Struct, frozen=True):
    """All settings of the service."""

    process: ProcessSettings
    partitions: PartitionSettings
    rules: str | None = field(default=None, name="METRICS_RULES")
    """File of aggregation rules; without one there are the demo's. Read again when it changes."""
    member: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,64}$")] = field(
        default="", name="METRICS_MEMBER"
    )
    """Name of this member, the same after a restart and no other's; by default one by chance."""
    lease_seconds: Annotated[float, Meta(ge=1, le=60)] = field(
        default=2.0, name="METRICS_LEASE_SECONDS"
    )
    idle_seconds: Annotated[float, Meta(gt=0)] = field(default=30.0, name="METRICS_IDLE_SECONDS")
    """After so long without a sample, a partition's open windows are moved on."""
    snapshot_events: Annotated[int, Meta(ge=1)] = field(
        default=20_000, name="METRICS_SNAPSHOT_EVENTS"
    )
    stop_deadline_seconds: Annotated[float, Meta(ge=3, le=600)] = field(
        default=25.0, name="METRICS_STOP_DEADLINE_SECONDS"
    )
