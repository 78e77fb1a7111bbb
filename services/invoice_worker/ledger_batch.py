"""One batch of the ledger: the facts, the done records and the counters of one commit."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid

import msgspec
from msgspec import Struct
from nats.aio.client import Client

from services.invoice_worker.domain import PreparedInvoice
from services.invoice_worker.topology import INVOICES
from shared import jetstream
from shared.atomic_batch import BatchMessage, must_not_exist, replaces
from shared.contracts import headers
from shared.contracts.invoices import InvoiceDone, JobOrigin, SeriesCounter

_MOST_BYTES = 4_000_000

_counter = msgspec.json.Decoder(SeriesCounter)


class Entry(Struct, frozen=True):
    """What the ledger says of a job: its number, whether it had one before, if of this content."""

    number: str
    existed: bool
    same_content: bool


class Order(Struct, frozen=True):
    """An invoice that wants a number, and the message that asks for it."""

    prepared: PreparedInvoice
    origin: JobOrigin
    trace: str


class Waiting:
    """An order in line, and where its answer goes."""

    __slots__ = ("answer", "order")

    def __init__(self, order: Order) -> None:
        self.order = order
        self.answer: asyncio.Future[Entry] = asyncio.get_running_loop().create_future()

    @property
    def open(self) -> bool:
        """Whether somebody still waits for the answer."""
        return not self.answer.done()

    def give(self, entry: Entry) -> None:
        """Answer, unless nobody waits any more."""
        if self.open:
            self.answer.set_result(entry)

    def refuse(self, error: Exception) -> None:
        """Answer with an error, unless nobody waits any more."""
        if self.open:
            self.answer.set_exception(error)


class Counters:
    """The number counters of the series, cached: fence and last number of each."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, tuple[int, int]] = {}

    async def get(self, series: str) -> tuple[int, int]:
        """Return sequence and last number of the series, 0 and 0 for a new one."""
        if series not in self._known:
            await self.read(series)
        return self._known[series]

    async def read(self, series: str) -> SeriesCounter | None:
        """Read the counter from the stream's leader into the cache."""
        self._known.pop(series, None)
        subject = counter_subject(series)
        stored = await jetstream.last_message(self._client, INVOICES.name, subject)
        record = None if stored is None else _counter.decode(stored.data)
        self._known[series] = (stored.sequence, record.last) if stored and record else (0, 0)
        return record

    async def claim(self, batch: Batch) -> None:
        """Store the counters of the batch's series again, unchanged, if nobody was quicker.

        Whoever has numbered a batch by now is refused. A series without a counter is left alone.
        """
        for series in batch.last:
            sequence, last = await self.get(series)
            if not sequence:
                continue
            body = msgspec.json.encode(SeriesCounter(last, batch.commit + "-claim"))
            fence = replaces(sequence)
            try:
                ack = await jetstream.publish(self._client, counter_subject(series), body, fence)
            except jetstream.JetStreamError as error:
                if error.err_code not in jetstream.WRONG_LAST_SEQUENCE:
                    raise
                await self.read(series)
            else:
                self._known[series] = (ack.sequence, last)

    def stored(self, batch: Batch, last_sequence: int) -> None:
        """Note what `batch` has stored; its counters are the last messages in it."""
        first = last_sequence - len(batch.last) + 1
        for place, (series, last) in enumerate(batch.last.items()):
            self._known[series] = (first + place, last)


class Batch:
    """Collects orders until it is full; numbers follow in the order of adding."""

    def __init__(self, issued_at: dt.datetime, most_bytes_a_message: int) -> None:
        self.commit = uuid.uuid4().hex
        self.orders: list[tuple[Waiting, str]] = []
        self.last: dict[str, int] = {}
        self._fences: dict[str, int] = {}
        self._messages: list[BatchMessage] = []
        self._issued_at = issued_at
        self._room = most_bytes_a_message
        self._bytes = 0

    @property
    def full(self) -> bool:
        """Whether it holds as many bytes as a batch should."""
        return self._bytes >= _MOST_BYTES

    async def add(self, waiting: Waiting, counters: Counters) -> int:
        """Add an order with the next number of its series.

        Returns 0, or the size of the fact if that is more than a message may have: then
        nothing was added and no number was used.
        """
        order = waiting.order
        series = order.prepared.series
        if series not in self.last:
            self._fences[series], self.last[series] = await counters.get(series)
        number = self.last[series] + 1
        fact = order.prepared.issue(number, order.origin, self._issued_at)
        body = msgspec.json.encode(fact)
        if len(body) > self._room:
            return len(body)
        origin = f"{order.origin.stream}:{order.origin.sequence}"
        about = {headers.SOURCE: origin, headers.TRACE_PARENT: order.trace}
        done = InvoiceDone(fact.number, order.prepared.content)
        self._messages += (
            BatchMessage(f"invoices.issued.{order.prepared.seller}", body, about),
            BatchMessage(
                done_subject(order.prepared.identity), msgspec.json.encode(done), must_not_exist()
            ),
        )
        self.last[series] = number
        self.orders.append((waiting, fact.number))
        self._bytes += len(body)
        return 0

    def messages(self) -> list[BatchMessage]:
        """Return all messages, the counters last."""
        return self._messages + [
            BatchMessage(
                counter_subject(series),
                msgspec.json.encode(SeriesCounter(last, self.commit)),
                replaces(self._fences[series]),
            )
            for series, last in self.last.items()
        ]


def done_subject(identity: str) -> str:
    """Return the subject of a job's done record."""
    return f"invoices-done.{identity}"


def counter_subject(series: str) -> str:
    """Return the subject of a series' counter."""
    return f"invoices-counter.{series}"
