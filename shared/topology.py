"""Streams and durables as typed values: where a reader sees queue or log semantics.

A service declares its part in one file; `provision` makes the server match. Subjects,
stream names and limits are written nowhere else. Here are the logs and the durables, what
a topology is, and the streams of the engines' own; work queues are in `queue_streams`,
buckets in `buckets`.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from shared.buckets import KeyValueBucket, ObjectBucket
from shared.jetstream import NANOSECONDS
from shared.queue_streams import Schedules, WorkQueue


class Source(Struct, frozen=True):
    """Messages that a log takes over from another stream, by themselves and once each."""

    stream: str
    subject: str
    """Which of them, with wildcards."""
    renamed: str
    """Their subject here, with `{{wildcard(n)}}` for what the wildcards stood for."""

    def clause(self) -> dict[str, Any]:
        """Return the clause of the stream configuration."""
        transform = {"src": self.subject, "dest": self.renamed}
        return {"name": self.stream, "subject_transforms": [transform]}


class Log(Struct, frozen=True):
    """A stream that keeps its history: many readers, each with a position of its own."""

    name: str
    subjects: tuple[str, ...]
    description: str
    max_age_days: float = 0
    """0 keeps messages for ever; `STREAM_MAX_AGE_DAYS` overrides where `keep` is false."""
    keep: bool = False
    """Never let age delete from this log, whatever the deployment sets."""
    latest_only: bool = False
    """Keep one message a subject: a table rather than a history."""
    atomic: bool = False
    """Take atomic batches and records that replace their predecessor."""
    ttl: bool = False
    """Take messages that expire by themselves."""
    sources: tuple[Source, ...] = ()
    """Added to those that the stream has: several services may each declare their own."""
    max_message_bytes: int = -1
    duplicate_window_seconds: float = 120

    def config(self) -> dict[str, Any]:
        """Return the fields of the stream configuration that this declaration decides."""
        return {
            "name": self.name,
            "description": self.description,
            "subjects": list(self.subjects),
            "retention": "limits",
            "discard": "old",
            "storage": "file",
            "max_age": int(self.max_age_days * 86_400 * NANOSECONDS),
            "max_msg_size": self.max_message_bytes,
            "max_msgs_per_subject": 1 if self.latest_only else -1,
            "duplicate_window": int(self.duplicate_window_seconds * NANOSECONDS),
            "allow_atomic": self.atomic,
            "allow_rollup_hdrs": self.atomic,
            "allow_msg_ttl": self.ttl,
            "sources": [source.clause() for source in self.sources] or None,
            "allow_direct": True,
        }


class PartitionedLog(Struct, frozen=True):
    """A log whose messages are stored under their partition, computed by the server.

    `telemetry.cpu` is stored as `telemetry-log.<partition>.sample.cpu`; all that a partition
    must see, control messages too, lies under `<prefix>.<partition>.`, so that its durable has
    one filter (two were measured 10 to 60 times slower).
    """

    name: str
    subjects: str
    """What publishers use, with the wildcards that `stored_as` refers to."""
    prefix: str
    """Empty in a stage that reads what another service writes: all of it is one partition."""
    stored_as: str
    """What follows `<prefix>.<partition>.`, for example `sample.>`."""
    description: str
    partitions: int = 16
    """Fixed when the stream is made: another number would scatter the keys."""
    key_tokens: tuple[int, ...] = ()
    """Wildcards whose tokens are the key, from 1; none: the whole subject is."""
    max_age_days: float = 0
    keep: bool = False
    duplicate_window_seconds: float = 120
    beside: tuple[str, ...] = ()
    """Subjects of what stages that write into it store beside: positions, dead letters."""

    def config(self) -> dict[str, Any]:
        """Return the fields of the stream configuration that this declaration decides."""
        chosen = "".join(f",{token}" for token in self.key_tokens)
        partition = f"{{{{partition({self.partitions}{chosen})}}}}"
        return {
            "name": self.name,
            "description": self.description,
            "subjects": [self.subjects, f"{self.prefix}.*.control.>", *self.beside],
            "subject_transform": {
                "src": self.subjects,
                "dest": f"{self.prefix}.{partition}.{self.stored_as}",
            },
            "retention": "limits",
            "discard": "old",
            "storage": "file",
            "max_age": int(self.max_age_days * 86_400 * NANOSECONDS),
            "duplicate_window": int(self.duplicate_window_seconds * NANOSECONDS),
            "allow_atomic": True,
            # A publisher's roll-up would clear what others have sent.
            "allow_rollup_hdrs": False,
            "allow_msg_ttl": bool(self.beside),
            "allow_direct": True,
        }


class Durable(Struct, frozen=True):
    """A named cursor on a stream, shared by the workers that compete for its messages."""

    stream: str
    name: str
    description: str
    filter_subject: str
    ack_wait_seconds: float = 30
    max_ack_pending: int = 10_000

    def config(self) -> dict[str, Any]:
        """Return the fields of the consumer configuration that this declaration decides.

        `max_deliver` is unlimited: workers count attempts and park what fails
        (see docs/decisions), so no message is ever stranded in the stream.
        """
        return {
            "durable_name": self.name,
            "description": self.description,
            "filter_subject": self.filter_subject,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": int(self.ack_wait_seconds * NANOSECONDS),
            "max_ack_pending": self.max_ack_pending,
            "max_deliver": -1,
            "max_waiting": 512,
        }


Stream = WorkQueue | Schedules | Log | PartitionedLog | ObjectBucket | KeyValueBucket


class Topology(Struct, frozen=True):
    """All that one service needs on the server."""

    streams: tuple[Stream, ...]
    durables: tuple[Durable, ...] = ()


DEAD_LETTERS = Log(
    name="DEAD_LETTERS",
    subjects=("dead.>",),
    description="Messages set aside, with reason and origin: dead.<service>.<reason>",
    max_age_days=90,
    duplicate_window_seconds=600,
)

ATTEMPTS = Log(
    name="ATTEMPTS",
    subjects=("attempts.*.*.*",),
    description="How often a job was tried: attempts.<stream>.<durable>.<sequence>",
    max_age_days=14,
    keep=True,
    latest_only=True,
)

LEASES = Log(
    name="LEASES",
    subjects=("leases.*.*",),
    description="Who is alive in a group: leases.<group>.<member>, expiring",
    keep=True,
    latest_only=True,
    ttl=True,
    atomic=True,
)
