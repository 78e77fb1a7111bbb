"""One hand-out of a job to this worker."""

from __future__ import annotations

import datetime as dt
from typing import Generic, TypeVar

from nats.aio.msg import Msg

from shared import reply
from shared.contracts import headers
from shared.jetstream import NANOSECONDS

T_co = TypeVar("T_co", covariant=True)


class Held:
    """A message that this worker must settle, with what the server says of it."""

    __slots__ = ("_tokens", "attempt", "counts", "delivered", "message", "progress_at")

    def __init__(self, message: Msg, now: float) -> None:
        self._tokens = reply.tokens_of(message.reply)
        self.message = message
        self.delivered = int(self._tokens[reply.DELIVERED])
        """How often the server has handed it out, this time included."""
        self.progress_at = now
        """When the server last heard that we work on it, on our monotonic clock."""
        self.attempt = 1
        self.counts = True
        """Whether it takes up some of the worker's capacity."""

    @property
    def stream(self) -> str:
        """Stream that holds the message."""
        return self._tokens[reply.STREAM]

    @property
    def sequence(self) -> int:
        """Place of the message in its stream."""
        return int(self._tokens[reply.SEQUENCE])

    @property
    def arrival_ns(self) -> int:
        """When the stream stored the message, nanoseconds since the epoch."""
        return int(self._tokens[reply.TIME_NS])

    @property
    def arrival(self) -> dt.datetime:
        """When the stream stored the message, UTC."""
        return dt.datetime.fromtimestamp(self.arrival_ns / NANOSECONDS, dt.UTC)


class Delivery(Generic[T_co]):
    """A job as its handler sees it."""

    __slots__ = ("_held", "body")

    def __init__(self, held: Held, body: T_co) -> None:
        self._held = held
        self.body = body

    @property
    def subject(self) -> str:
        """Subject that the job was published to."""
        return self._held.message.subject

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the message, empty where it has none."""
        return self._held.message.headers or {}

    @property
    def stream(self) -> str:
        """Stream that holds the job."""
        return self._held.stream

    @property
    def sequence(self) -> int:
        """Place of the job in its stream."""
        return self._held.sequence

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1."""
        return self._held.attempt

    @property
    def arrival(self) -> dt.datetime:
        """When the stream stored the job, UTC."""
        return self._held.arrival

    @property
    def source(self) -> str:
        """`<stream>:<sequence>`, what outputs carry as `Headrace-Source`."""
        return f"{self._held.stream}:{self._held.sequence}"

    @property
    def id(self) -> str:
        """Identity of the message: its `Nats-Msg-Id`, else `<stream>:<sequence>`."""
        return self.headers.get(headers.MESSAGE_ID) or self.source
