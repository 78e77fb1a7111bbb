"""A server with a work queue and its dead letters, for tests that read and redrive them."""

from __future__ import annotations

from typing import Any

from nats.aio.client import Client

from shared import jetstream
from shared.contracts import headers
from shared.provision import provision
from shared.queue_streams import WorkQueue
from shared.settings import StreamSettings
from shared.topology import DEAD_LETTERS, Topology

QUEUE = "JOBS"
BODY = b'{"order_id": "SO-1",  "spaced":   true}'


async def prepare(client: Client, *, max_messages: int = -1) -> None:
    """Make the queue JOBS (subjects `jobs.>`) and DEAD_LETTERS."""
    queue = WorkQueue(QUEUE, ("jobs.>",), "jobs", max_messages=max_messages)
    await provision(client, Topology((queue, DEAD_LETTERS)), StreamSettings())


async def park(client: Client, sequence: int, **other: Any) -> int:
    """Store the dead letter of job `sequence`, as a service would; return its sequence."""
    service, reason = other.get("service", "mailer"), other.get("reason", "invalid")
    letter = {
        "traceparent": f"00-{sequence:032x}-{1:016x}-01",
        "X-Mine": "kept",
        headers.MESSAGE_ID: f"{QUEUE}:{sequence}",
        headers.DEAD_REASON: reason,
        headers.DEAD_ERROR: other.get("error", "lines[3].quantity: must be positive"),
        headers.DEAD_ATTEMPTS: "2",
        headers.DEAD_STREAM: other.get("stream", QUEUE),
        headers.DEAD_SUBJECT: other.get("subject", "jobs.mail.a"),
        headers.DEAD_SEQUENCE: str(sequence),
        headers.DEAD_TIME: "2026-11-23T08:00:00Z",
        headers.DEAD_ID: f"job-{sequence}",
    }
    body = other.get("body", BODY)
    ack = await jetstream.publish(client, f"dead.{service}.{reason}", body, letter)
    return ack.sequence


async def state(client: Client, stream: str) -> dict[str, Any]:
    """Return the state of a stream: `messages`, `last_seq` and so on."""
    found: dict[str, Any] = (await jetstream.call(client, f"STREAM.INFO.{stream}"))["state"]
    return found


async def counts(client: Client) -> tuple[int, int]:
    """Return how many jobs are queued and how many dead letters are stored."""
    jobs, letters = await state(client, QUEUE), await state(client, DEAD_LETTERS.name)
    return jobs["messages"], letters["messages"]
