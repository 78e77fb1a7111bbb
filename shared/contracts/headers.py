"""Header names: those of JetStream that we use, and our own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

MESSAGE_ID = "Nats-Msg-Id"
EXPECTED_LAST_SUBJECT_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject"
ROLLUP = "Nats-Rollup"
IN_PLACE: Final[Mapping[str, str]] = MappingProxyType({ROLLUP: "sub"})
"""The message takes the place of all that its subject has."""
TTL = "Nats-TTL"
BATCH_ID = "Nats-Batch-Id"
BATCH_SEQUENCE = "Nats-Batch-Sequence"
BATCH_COMMIT = "Nats-Batch-Commit"
TRACE_PARENT = "traceparent"

SOURCE = "Headrace-Source"
"""`<stream>:<sequence>` of the message that caused this one."""

STAGE = "Headrace-Stage"
"""Which stage made this one, where several read one log and write into one stream."""

DEAD_REASON = "Headrace-Dead-Reason"
DEAD_ERROR = "Headrace-Dead-Error"
DEAD_ATTEMPTS = "Headrace-Dead-Attempts"
DEAD_STREAM = "Headrace-Dead-Stream"
DEAD_SUBJECT = "Headrace-Dead-Subject"
DEAD_SEQUENCE = "Headrace-Dead-Sequence"
DEAD_TIME = "Headrace-Dead-Time"
DEAD_ID = "Headrace-Dead-Id"
"""The `Nats-Msg-Id` of the original: a dead letter has an id of its own."""

REDRIVEN_FROM = "Headrace-Redriven-From"
"""`<stream>:<sequence>` of the dead letter that a job was redriven from."""

_INSTRUCTIONS = ("nats-batch-", "nats-expected-", "nats-schedule")
_INSTRUCTION_NAMES = frozenset(
    name.lower()
    for name in (
        MESSAGE_ID,
        ROLLUP,
        TTL,
        "Nats-Stream-Source",
        "Nats-Incr",
        "Nats-Marker-Reason",
        "Nats-Required-Api-Level",
    )
)


def without_instructions(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return the headers less those that tell the server what to do with the message.

    JetStream stores such headers with the message. Sent along with a copy they would act
    again: join a batch that is closed, fail a fence, be swallowed as a duplicate.
    """
    return {
        name: value
        for name, value in (headers or {}).items()
        if name.lower() not in _INSTRUCTION_NAMES and not name.lower().startswith(_INSTRUCTIONS)
    }
