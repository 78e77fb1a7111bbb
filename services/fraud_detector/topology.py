"""Streams of the fraud detector: the log of payments in, alerts and scores out.

Three stages read `PAYMENTS`, each with a position of its own, and write to `FRAUD`:

    fraud_detector   rules grouped by card (and more): a partition of cards each
    fraud_keyed      rules grouped by anything but the card
    fraud_model      the model, and the rules that ask for its score

Payments of one terminal lie in many partitions. The second and third stage therefore read the
log as a whole, in its own order, rather than copies that were sorted anew: see the decision
record on that.
"""

from __future__ import annotations

from msgspec.structs import replace

from services.fraud_detector.settings import PartitionSettings
from shared.buckets import KeyValueBucket
from shared.log_stream.stage import Stage
from shared.topology import (
    DEAD_LETTERS,
    LEASES,
    Log,
    PartitionedLog,
    Source,
    Topology,
)

SERVICE = "fraud_detector"
KEYED = "fraud_keyed"
MODEL = "fraud_model"
DEAD_PREFIX = "fraud-dead"
EVENT_PREFIX = "event."
"""What events begin with, so that nobody's `payments.control.rules` is a control message."""

PAYMENTS = PartitionedLog(
    name="PAYMENTS",
    subjects="payments.*.*",
    prefix="payments-log",
    stored_as=f"{EVENT_PREFIX}{{{{wildcard(1)}}}}.{{{{wildcard(2)}}}}",
    description="Payments and labels: payments.<made or labeled>.<card>, stored by partition",
    key_tokens=(2,),
    max_age_days=120,
)

FRAUD = Log(
    name="FRAUD",
    subjects=("fraud.>", f"{DEAD_PREFIX}.*", "fraud-position.*.*"),
    description="Alerts, shadow alerts and scores: fraud.<alerts, shadow or scores>.<card>",
    atomic=True,
    ttl=True,
    keep=True,
)

SNAPSHOTS = Log(
    name="FRAUD_SNAPSHOTS",
    subjects=("fraud-snapshot.>",),
    description="Chunks of the detector's snapshots, named by the position records",
    atomic=True,
    keep=True,
)

RULES = KeyValueBucket(
    name="FRAUD_RULES",
    description="Rules in force: the key is the rule's id, the value its JSON",
    history=16,
)

DEAD = replace(
    DEAD_LETTERS,
    sources=(Source(FRAUD.name, f"{DEAD_PREFIX}.*", f"dead.{SERVICE}.{{{{wildcard(1)}}}}"),),
)


def card_stage(settings: PartitionSettings) -> Stage:
    """Return the stage whose rules look at one card's payments at a time."""
    return _stage(SERVICE, "cards", _payments(settings))


def keyed_stage() -> Stage:
    """Return the stage whose rules gather payments of several cards."""
    return _whole_stage(KEYED, "keyed")


def model_stage() -> Stage:
    """Return the stage that scores payments and runs the rules that ask for the score."""
    return _whole_stage(MODEL, "model")


def topology(settings: PartitionSettings) -> Topology:
    """Return all that the service needs on the server."""
    return Topology((_payments(settings), FRAUD, SNAPSHOTS, RULES, LEASES, DEAD))


def _whole_stage(group: str, name: str) -> Stage:
    whole = replace(PAYMENTS, partitions=1)
    return replace(_stage(group, name, whole), whole=name, label=name)


def _stage(group: str, name: str, source: PartitionedLog) -> Stage:
    return Stage(
        group=group,
        source=source,
        target=FRAUD,
        positions=f"fraud-position.{name}",
        snapshots=SNAPSHOTS,
        snapshot_prefix=f"fraud-snapshot.{name}",
    )


def _payments(settings: PartitionSettings) -> PartitionedLog:
    return replace(PAYMENTS, partitions=settings.partitions)
