"""Read one partition in order: continuous pull, no `await` for a single event.

The durable is replaced whenever reading begins (delete, create at the wanted sequence, a new
inbox), which cuts off the pulls of whoever read before; a mere reset would leave them, and
they would steal. What arrives is checked against the consumer's own count. Whatever does not
fit is a disturbance: the reader stops, and who reads must find out if the partition is still
his. A gap shows a loss; it does not prove that nothing was lost, only the fence does.

The driver uses `open`, `batch`, `lag` and `close` only. Behind these messages come either as
nats-py hands them out, one by one, or in whole lists past it (`frames`), which is faster by far.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Mapping

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from shared import jetstream, reply
from shared.broker import Broker
from shared.jetstream import NANOSECONDS, JetStreamError
from shared.log_stream import frames
from shared.log_stream.fold import Event
from shared.log_stream.frames import Frame
from shared.log_stream.stage import Stage
from shared.logs import logger

_log = logger("reader")

_PULL = 500
_OUTSTANDING = 2 * _PULL
_EXPIRES_SECONDS = 10
_HEARTBEAT_SECONDS = 1
_SILENCE_SECONDS = 3.5
_REQUEST = msgspec.json.encode(
    {
        "batch": _PULL,
        "expires": _EXPIRES_SECONDS * NANOSECONDS,
        "idle_heartbeat": _HEARTBEAT_SECONDS * NANOSECONDS,
    }
)


class DisturbedError(Exception):
    """What the durable delivers is not what must come next; says why."""


class Reader:
    """Delivers the events of one partition from a sequence on.

    `batch_parser=False` reads by nats-py's public API, which is done as well where the other
    way is not possible.
    """

    def __init__(
        self, broker: Broker, stage: Stage, partition: int, *, batch_parser: bool = True
    ) -> None:
        self._broker = broker
        unusable = frames.unusable(broker.client)
        if batch_parser and unusable:
            _say_once(unusable)
        self._diverts = batch_parser and not unusable
        self._stage = stage
        self._partition = partition
        self._cut = stage.cut(partition)
        self._durable = stage.durable(partition)
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stage.source.name}.{self._durable}"
        self._subscription: Subscription | None = None
        self._inbox = ""
        self._arrived: list[Frame] = []
        self._some = asyncio.Event()
        self._outstanding = 0
        self._count = 0
        self._last = 0
        self._heard = 0.0
        self._disturbance = ""
        self.lag = 0
        """Events of the partition that were stored and not delivered when last heard."""
        self._forget = broker.on_reconnect(self._reconnected)
        self._undivert: Callable[[], None] = _nothing

    async def open(self, after: int) -> None:
        """Begin (again) with the first event above sequence `after`. Raises broker errors."""
        await self._unsubscribe()
        source = self._stage.source.name
        try:
            await jetstream.call(
                self._broker.client, f"CONSUMER.DELETE.{source}.{self._durable}", timeout=2
            )
        except JetStreamError as error:
            if error.err_code not in jetstream.NOT_FOUND:
                raise
        config = {
            "durable_name": self._durable,
            "description": f"partition {self._partition} of {self._stage.group}",
            "ack_policy": "none",
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": after + 1,
            "filter_subject": self._stage.events(self._partition),
            "max_waiting": 8,
        }
        made = await jetstream.call(
            self._broker.client,
            f"CONSUMER.CREATE.{source}.{self._durable}",
            {"stream_name": source, "config": config, "action": "create"},
            timeout=3,
        )
        self.lag = int(made.get("num_pending", 0))
        self._arrived, self._count, self._last = [], 0, after
        self._outstanding, self._disturbance = 0, ""
        self._heard = time.monotonic()
        self._inbox = self._broker.client.new_inbox()
        self._subscription = await self._broker.client.subscribe(
            self._inbox, cb=self._receive, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        if self._diverts:
            self._undivert = frames.divert(self._broker.client, self._subscription, self._take)
        await self._pull()

    async def batch(self, seconds: float) -> list[Event]:
        """Return the events that have arrived, after at most so long; maybe none.

        Raises `DisturbedError` once all that came before the disturbance has been returned.
        """
        if not self._arrived and not self._disturbance:
            self._some.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._some.wait()
            except TimeoutError:
                if time.monotonic() - self._heard > _SILENCE_SECONDS:
                    self._disturbance = "silence: no event and no heartbeat"
        arrived, self._arrived = self._arrived, []
        events = self._checked(arrived) if arrived else []
        if self._disturbance and not events:
            raise DisturbedError(self._disturbance)
        await self._pull()
        return events

    async def close(self) -> None:
        """Listen no more. The durable stays, for those who look at its lag."""
        self._forget()
        self._forget = _nothing
        await self._unsubscribe()

    async def _unsubscribe(self) -> None:
        self._undivert()
        self._undivert = _nothing
        subscription, self._subscription = self._subscription, None
        if subscription is not None and not self._broker.client.is_closed:
            await subscription.unsubscribe()

    async def _receive(self, msg: Msg) -> None:
        # A status is known by its want of a reply: the hot loop then need not look for it.
        reply_to = "" if reply.status_of(msg) else msg.reply
        self._take([(msg.subject, reply_to, msg.headers, msg.data)])

    def _take(self, arrived: list[Frame]) -> None:
        self._arrived += arrived
        self._some.set()

    def _checked(self, arrived: list[Frame]) -> list[Event]:
        events: list[Event] = []
        self._heard = time.monotonic()
        cut = self._cut
        last, pending = self._last, ""
        for subject, reply_to, headers, data in arrived:
            if not reply_to:
                if not self._status(headers or {}):
                    break
                continue
            _, stored, delivered, arrival_ns, pending = reply.last_tokens_of(reply_to)
            sequence, count = int(stored), int(delivered)
            if count != self._count + 1 or sequence <= last:
                self._disturbance = f"gap: {count} ({sequence}) after {self._count} ({last})"
                break
            self._count, last = count, sequence
            events.append(Event(sequence, int(arrival_ns), subject[cut:], data, headers))
        if events:
            self._last = last
            self._outstanding -= len(events)
            self.lag = int(pending)
        return events

    def _status(self, headers: Mapping[str, str]) -> bool:
        """Take in a status; tell whether reading may go on."""
        status, words = headers.get("Status", ""), headers.get("Description", "")
        if status == "100":
            delivered = headers.get("Nats-Last-Consumer")
            if delivered and int(delivered) > self._count:
                self._disturbance = f"heartbeat at delivery {delivered}, we are at {self._count}"
                return False
        elif status == "408" or "Batch Completed" in words:
            self._outstanding -= int(headers.get("Nats-Pending-Messages", _PULL))
        else:
            self._disturbance = f"status {status} {words}".strip()
            return False
        return True

    async def _pull(self) -> None:
        while self._outstanding <= _OUTSTANDING - _PULL and not self._disturbance:
            self._outstanding += _PULL
            await self._broker.client.publish(self._next, _REQUEST, reply=self._inbox)

    def _reconnected(self) -> None:
        self._disturbance = self._disturbance or "reconnected"
        self._some.set()


def _nothing() -> None:
    pass


@functools.cache
def _say_once(why: str) -> None:
    _log.warning("batch parser not used, reading costs twice as much", why=why)
