"""Read what a stream holds, from its beginning to where it ends now; for replays and audits."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared import jetstream, reply
from shared.log_stream import frames
from shared.log_stream.frames import Frame

_PULL = 1000
_PULL_SECONDS = 10.0
_CONSUMER_LIFE_SECONDS = 60
_NO_MORE = frozenset({"404", "408"})
_NO_RESPONDERS = "503"
_UNHEARD_TIMES = 100
_UNHEARD_SECONDS = 0.05


class Stored(Struct, frozen=True, gc=False):
    """A message as it stands in the stream; `arrival_ns` is when the server stored it."""

    sequence: int
    arrival_ns: int
    subject: str
    data: bytes
    headers: Mapping[str, str] | None


class Span(Struct, frozen=True):
    """A part of a stream: the messages of some subjects, from some place on."""

    subject: str = ""
    """With wildcards; empty: all."""
    since_ns: int = 0
    """The earliest arrival, in nanoseconds since the epoch."""
    first: int = 0
    """The first sequence; counts where `since_ns` is 0."""


ALL: Final = Span()


async def pages(client: Client, stream: str, span: Span = ALL) -> AsyncIterator[list[Stored]]:
    """Yield the messages that are stored now, in order, some at a time.

    Raises `JetStreamError`, nats-py's errors, and `TimeoutError` where the server stops to
    answer: then a part was read, and the caller begins again.
    """
    config: dict[str, object] = {
        "ack_policy": "none",
        "mem_storage": True,
        "inactive_threshold": _CONSUMER_LIFE_SECONDS * jetstream.NANOSECONDS,
    }
    if span.subject:
        config["filter_subject"] = span.subject
    if span.since_ns > 0:
        config |= {"deliver_policy": "by_start_time", "opt_start_time": _time(span.since_ns)}
    elif span.first > 0:
        config |= {"deliver_policy": "by_start_sequence", "opt_start_seq": span.first}
    made = await jetstream.call(
        client, f"CONSUMER.CREATE.{stream}", {"stream_name": stream, "config": config}
    )
    left = int(made["num_pending"])
    page = _Page()
    subscription = await client.subscribe(
        client.new_inbox(), cb=page.take, pending_msgs_limit=-1, pending_bytes_limit=-1
    )
    divert_ended = _nothing
    if not frames.unusable(client):
        divert_ended = frames.divert(client, subscription, page.take_all)
    try:
        while left:
            count = min(_PULL, left)
            # Messages may be replaced or deleted meanwhile: then there are fewer, and no more come.
            ask = msgspec.json.encode({"batch": count, "no_wait": True})
            subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{made['name']}"
            async with asyncio.timeout(_PULL_SECONDS):
                while True:
                    arrived = page.expect(count)
                    await client.publish(subject, ask, reply=subscription.subject)
                    if await arrived:
                        break
                    await asyncio.sleep(_UNHEARD_SECONDS)
            left = 0 if page.ended else left - count
            yield page.messages
    finally:
        divert_ended()
        await subscription.unsubscribe()
        await jetstream.call(client, f"CONSUMER.DELETE.{stream}.{made['name']}")


class _Page:
    """Gathers the messages of one pull."""

    def __init__(self) -> None:
        self.messages: list[Stored] = []
        self.ended = False
        """Whether the stream held no more."""
        self._unheard = 0
        self._count = 0
        self._arrived: asyncio.Future[bool] | None = None

    def expect(self, count: int) -> asyncio.Future[bool]:
        """Begin a new page; the future is done when all of it is there.

        False: nobody heard the pull. In a cluster, a consumer that was made just now may not be
        known yet to the server that we are connected to.
        """
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
            arrived.set_result(True)
            return
        if status and status["Status"] == _NO_RESPONDERS and self._unheard < _UNHEARD_TIMES:
            self._unheard += 1
            arrived.set_result(False)
            return
        if status:
            arrived.set_exception(
                jetstream.JetStreamError(int(status["Status"]), 0, status.get("Description", ""))
            )
            return
        self.take_all([(msg.subject, msg.reply, msg.headers, msg.data)])

    def take_all(self, some: Sequence[Frame]) -> None:
        """Take in messages."""
        arrived = self._arrived
        if arrived is None or arrived.done():
            return
        for subject, reply_to, headers, data in some:
            _, sequence, _, arrival_ns, _ = reply.last_tokens_of(reply_to)
            self.messages.append(Stored(int(sequence), int(arrival_ns), subject, data, headers))
        if self.messages:
            self._unheard = _UNHEARD_TIMES  # it is known; a later silence is another trouble
        if len(self.messages) >= self._count:
            arrived.set_result(True)


def _nothing() -> None:
    pass


def _time(arrival_ns: int) -> str:
    """Return an arrival time as the server reads it, with all its nanoseconds."""
    seconds, rest = divmod(arrival_ns, jetstream.NANOSECONDS)
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
