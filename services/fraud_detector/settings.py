"""Settings of the fraud detector: its environment variables, their bounds and defaults."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from shared.settings import ProcessSettings


class PartitionSettings(Struct, frozen=True):
    """What settings decide of the streams."""

    partitions: Annotated[int, Meta(ge=1, le=256)] = field(default=16, name="FRAUD_PARTITIONS")
    """Fixed when `PAYMENTS` is made: another number would scatter the cards."""


class FraudSettings(Struct, frozen=True):
    """All settings of the service."""

    process: ProcessSettings
    partitions: PartitionSettings
    scores: bool = field(default=True, name="FRAUD_SCORES")
    """Whether the model scores payments. Rules that ask for a score are silent without."""
    member: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,64}$")] = field(
        default="", name="FRAUD_MEMBER"
    )
    """Name of this member, the same after a restart and no other's; by default one by chance."""
    lease_seconds: Annotated[float, Meta(ge=1, le=60)] = field(
        default=2.0, name="FRAUD_LEASE_SECONDS"
    )
    snapshot_events: Annotated[int, Meta(ge=1)] = field(
        default=20_000, name="FRAUD_SNAPSHOT_EVENTS"
    )
    stop_deadline_seconds: Annotated[float, Meta(ge=3, le=600)] = field(
        default=25.0, name="FRAUD_STOP_DEADLINE_SECONDS"
    )
