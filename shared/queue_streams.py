"""The streams of message processing as typed values: a work queue, and its jobs for later.

Parts of a service's topology (`shared/topology.py`). What a work queue takes fits a dead letter.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from shared.jetstream import NANOSECONDS

MAX_MESSAGE_BYTES = 1_000_000
"""A stored message may be this long; the rest of NATS' default 1 MiB is room for the headers
that a dead letter adds, so that whatever a queue accepts can be parked."""


class Schedules(Struct, frozen=True):
    """Jobs for later and recurring jobs of a work queue, by JetStream's message schedules.

    A stream of its own, since one that refuses publishers when full (discard new) takes no
    schedules. The server publishes what is due under `due`, and the work queue, which names
    this stream as its source, takes it over as `target` as soon as it has room.
    """

    name: str
    waiting: str
    """Subjects of schedules: one a schedule, the same again replaces it."""
    due: str
    """Subjects to name as `Nats-Schedule-Target`, with one wildcard `*` at the end."""
    target: str
    """Subjects in the work queue, the due subject's wildcard put in for `{{wildcard(1)}}`."""
    description: str

    def config(self) -> dict[str, Any]:
        """Return the fields of the stream configuration that this declaration decides."""
        return {
            "name": self.name,
            "description": self.description,
            "subjects": [self.waiting, self.due],
            "retention": "workqueue",
            "discard": "old",
            "storage": "file",
            "max_age": 0,
            "max_msg_size": MAX_MESSAGE_BYTES,
            "allow_msg_schedules": True,
            "allow_rollup_hdrs": True,
            "allow_direct": True,
        }

    def source(self) -> dict[str, Any]:
        """Return the work queue's source clause."""
        transform = {"src": self.due, "dest": self.target}
        return {"name": self.name, "subject_transforms": [transform]}


class WorkQueue(Struct, frozen=True):
    """A stream that hands each message to one worker and forgets it once acked.

    When `max_messages` or `max_bytes` is reached the publisher is refused (err_code 10077).
    """

    name: str
    subjects: tuple[str, ...]
    description: str
    max_messages: int = -1
    max_bytes: int = -1
    max_message_bytes: int = MAX_MESSAGE_BYTES
    duplicate_window_seconds: float = 120
    schedules: Schedules | None = None
    """Where jobs for later and recurring jobs wait; what is due moves here by itself."""

    def config(self) -> dict[str, Any]:
        """Return the fields of the stream configuration that this declaration decides."""
        return {
            "name": self.name,
            "description": self.description,
            "subjects": list(self.subjects),
            "retention": "workqueue",
            "discard": "new",
            "storage": "file",
            "max_msgs": self.max_messages,
            "max_bytes": self.max_bytes,
            "max_msg_size": self.max_message_bytes,
            "max_age": 0,
            "duplicate_window": int(self.duplicate_window_seconds * NANOSECONDS),
            "sources": [self.schedules.source()] if self.schedules else None,
            "allow_direct": True,
        }
