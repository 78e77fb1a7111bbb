"""Read what a stream holds, from its beginning to where it ends now; for replays and audits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared import jetstream, reply
from shared.topology import NANOSECONDS

_PULL = 1000
_PULL_SECONDS = 10.0
_CONSUMER_LIFE_SECONDS = 60
_NO_MORE = frozenset({"404", "408"})


class Stored(Struct, frozen=True, gc=False):
    """A message as it stands in the stream; `arrival_ns` is when the server stored it."""

    sequence: int
    arrival_ns: int
    subject: str
    data: bytes
    headers: Mapping[str, str] | None


async def pages(client: Client, stream: str) -> AsyncIterator[list[Stored]]:
    """Yield the messages that are stored now, in order, some at a time.

    Raises `JetStreamError`, nats-py's errors, and `TimeoutError` where the server stops to
    answer: then a part was read, and the caller begins again.
    """
    config = {
        "ack_policy": "none",
        "mem_storage": True,
        "inactive_threshold": _CONSUMER_LIFE_SECONDS * NANOSECONDS,
    }
    made = await jetstream.call(
        client, f"CONSUMER.CREATE.{stream}", {"stream_name": stream, "config": config}
    )
    left = int(made["num_pending"])
    page = _Page()
    subscription = await client.subscribe(
        client.new_inbox(), cb=page.take, pending_msgs_limit=-1, pending_bytes_limit=-1
    )
    try:
        while left:
            count = min(_PULL, left)
            # Messages may be replaced or deleted meanwhile: then there are fewer, and no more come.
            ask = {"batch": count, "no_wait": True}
            arrived = page.expect(count)
            await client.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{made['name']}",
                msgspec.json.encode(ask),
                reply=subscription.subject,
            )
            async with asyncio.timeout(_PULL_SECONDS):
                await arrived
            left = 0 if page.ended else left - count
            yield page.messages
    finally:
        await subscription.unsubscribe()
        await jetstream.call(client, f"CONSUMER.DELETE.{stream}.{made['name']}")


class _Page:
    """Gathers the messages of one pull."""

    def __init__(self) -> None:
        self.messages: list[Stored] = []
        self.ended = False
        """Whether the stream held no more."""
        self._count = 0
        self._arrived: asyncio.Future[None] | None = None

    def expect(self, count: int) -> asyncio.Future[None]:
        """Begin a new page; the future is done when all of it is there."""
        self.messages, self._count = [], count
        self._arrived = asyncio.get_running_loop().create_future()
        return self._arrived

    async def take(self, msg: Msg) -> None:
        """Take in one message, or a status, which ends the page."""
        arrived = self._arrived
        if arrived is None or arrived.done():
            return
        status = reply.status_of(msg)
        if status and status["Status"] in _NO_MORE:
            self.ended = True
            arrived.set_result(None)
            return
        if status:
            arrived.set_exception(
                jetstream.JetStreamError(int(status["Status"]), 0, status.get("Description", ""))
            )
            return
        tokens = reply.tokens_of(msg.reply)
        sequence, arrival_ns = int(tokens[reply.SEQUENCE]), int(tokens[reply.TIME_NS])
        self.messages.append(Stored(sequence, arrival_ns, msg.subject, msg.data, msg.headers))
        if len(self.messages) == self._count:
            arrived.set_result(None)
