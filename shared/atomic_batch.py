"""Atomic batches (ADR-50): several messages of one stream stored together or not at all.

Protocol: every message carries `Nats-Batch-Id` and `Nats-Batch-Sequence` 1..n, the last one
`Nats-Batch-Commit: 1`. Only the last is a request; its answer speaks for the whole batch.
A fence is an ordinary `Nats-Expected-Last-Subject-Sequence` header of any message in it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from msgspec import Struct
from nats.aio.client import Client

from shared.contracts import headers
from shared.jetstream import PubAck, parse_publish_reply, request
from shared.publishing import publish_all

MAX_MESSAGES = 1000


class BatchMessage(Struct, frozen=True):
    """One message of a batch."""

    subject: str
    data: bytes
    headers: Mapping[str, str] = {}


def must_not_exist() -> dict[str, str]:
    """Fence: nothing is stored under this message's subject."""
    return {headers.EXPECTED_LAST_SUBJECT_SEQUENCE: "0"}


def follows(sequence: int) -> dict[str, str]:
    """Fence: the newest message under this subject has `sequence`; 0: there is none."""
    return {headers.EXPECTED_LAST_SUBJECT_SEQUENCE: str(sequence)}


def replaces(sequence: int) -> dict[str, str]:
    """Fence: the newest message under this subject has `sequence`; it goes, this one stays."""
    return {**follows(sequence), **headers.IN_PLACE}


async def commit(client: Client, messages: Sequence[BatchMessage], timeout: float = 3.0) -> PubAck:
    """Store all messages or none; the ack's sequence is that of the last one.

    Raises `JetStreamError` when refused (nothing is stored), `TimeoutError` or another of
    nats-py's errors when the answer was lost (the batch is stored whole, or not at all: look).
    Each call is a batch of its own, so a caller may resend the same messages.
    """
    if not 0 < len(messages) <= MAX_MESSAGES:
        raise ValueError(f"a batch of {len(messages)} messages; 1 to {MAX_MESSAGES} are possible")
    batch_id = uuid.uuid4().hex
    *leading, last = messages
    await publish_all(
        client,
        (
            BatchMessage(
                message.subject,
                message.data,
                {
                    **message.headers,
                    headers.BATCH_ID: batch_id,
                    headers.BATCH_SEQUENCE: str(place),
                },
            )
            for place, message in enumerate(leading, 1)
        ),
    )
    reply = await request(
        client,
        last.subject,
        last.data,
        timeout=timeout,
        headers={
            **last.headers,
            headers.BATCH_ID: batch_id,
            headers.BATCH_SEQUENCE: str(len(messages)),
            headers.BATCH_COMMIT: "1",
        },
    )
    return parse_publish_reply(reply.data)
