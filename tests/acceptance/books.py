"""The judge: reads all that the invoice worker has left on the server, and audits it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig

from shared import jetstream
from shared.contracts.invoices import InvoiceDone, InvoiceIssued, InvoiceRendered, SeriesCounter
from shared.dead_letters import Selection, read
from shared.letters import DeadLetter
from tests.eventually import eventually

_PAGE = 500
_BUCKET = "INVOICE_DOCUMENTS"

Order = tuple[str, str, str]
"""Seller, type and order id: what makes two jobs the same."""


class Books(Struct, frozen=True):
    """Everything on `INVOICES` and in the bucket; facts are in stream order.

    `rendered` counts the events of each number, `documents` maps object names to their sizes.
    """

    facts: list[InvoiceIssued]
    done: list[str]
    counters: dict[str, int]
    rendered: Counter[str]
    documents: dict[str, int]

    @property
    def orders(self) -> Counter[Order]:
        """How many invoices each order has."""
        return Counter((fact.seller, fact.type, fact.order_id) for fact in self.facts)


async def read_books(client: Client) -> Books:
    """Read it all."""
    facts = await _read_all(client, "INVOICES", "invoices.issued.>")
    done = await _read_all(client, "INVOICES", "invoices-done.*")
    counters = await _read_all(client, "INVOICES", "invoices-counter.*")
    rendered = await _read_all(client, "INVOICES", "invoices.rendered.>")
    return Books(
        facts=[msgspec.json.decode(data, type=InvoiceIssued) for _, data in facts],
        done=[msgspec.json.decode(data, type=InvoiceDone).number for _, data in done],
        counters={
            subject.partition(".")[2]: msgspec.json.decode(data, type=SeriesCounter).last
            for subject, data in counters
        },
        rendered=Counter(
            msgspec.json.decode(data, type=InvoiceRendered).number for _, data in rendered
        ),
        documents=await _documents(client),
    )


def assert_each_order_once(books: Books, expected: Collection[Order]) -> None:
    """Audit: one invoice for each expected order, none for another."""
    orders = books.orders
    assert {order: n for order, n in orders.items() if n != 1} == {}
    assert set(orders) == set(expected)


def assert_numbers_without_gap(books: Books) -> None:
    """Audit: in each series the numbers are 1, 2, ... N in the order of issue."""
    series: dict[str, list[str]] = defaultdict(list)
    for fact in books.facts:
        series[f"{fact.seller}-{fact.issue_date.year}"].append(fact.number)
    for name, numbers in series.items():
        assert [int(number.rpartition("-")[2]) for number in numbers] == list(
            range(1, len(numbers) + 1)
        ), name
        assert len({number.rpartition("-")[0] for number in numbers}) == 1
    assert books.counters == {name: len(numbers) for name, numbers in series.items()}


def assert_records_agree(books: Books) -> None:
    """Audit: one done record an invoice, and no two invoices share a number."""
    numbers = [fact.number for fact in books.facts]
    assert len(set(numbers)) == len(numbers)
    assert sorted(books.done) == sorted(numbers)


def assert_documents_of_all(books: Books) -> None:
    """Audit: both documents of each invoice, whole, no others; told once each."""
    numbers = [fact.number for fact in books.facts]
    names = {f"{number}.{kind}" for number in numbers for kind in ("pdf", "xml")}
    assert set(books.documents) == names
    assert all(size > 1_000 for size in books.documents.values())
    assert books.rendered == Counter(numbers)


async def assert_audited(client: Client, expected: Collection[Order]) -> Books:
    """All audits above, of a server where nothing is left to do; return the books."""
    assert await left(client, "INVOICE_JOBS") == 0
    books = await read_books(client)
    assert_each_order_once(books, expected)
    assert_numbers_without_gap(books)
    assert_records_agree(books)
    assert_documents_of_all(books)
    return books


async def assert_parked_once(client: Client, bad: Mapping[bytes, tuple[str, str]]) -> None:
    """Audit: each bad body is one dead letter, its reason and the start of its error as given."""
    letters = await dead(client)
    assert {body: n for body, n in Counter(one.body for one in letters).items() if n != 1} == {}
    assert {one.body for one in letters} == set(bad)
    for letter in letters:
        reason, path = bad[letter.body]
        assert letter.reason == reason, letter
        assert letter.error.startswith(path), letter
        assert letter.origin_stream == "INVOICE_JOBS"


async def dead(client: Client) -> list[DeadLetter]:
    """Return the dead letters of the invoice worker, oldest first."""
    return [letter async for letter in read(client, Selection(service="invoice_worker"))]


async def left(client: Client, stream: str) -> int:
    """Return how many messages the stream holds."""
    info = await jetstream.call(client, f"STREAM.INFO.{stream}")
    return int(info["state"]["messages"])


async def issued(client: Client) -> int:
    """Return how many invoices exist."""
    return await _stored(client, "invoices.issued.>")


async def rendered(client: Client) -> int:
    """Return for how many invoices the documents are stored."""
    return await _stored(client, "invoices-rendered.*")


async def all_done(client: Client, invoices: int, seconds: float = 60) -> None:
    """Wait until the queue is empty and the documents of so many invoices are stored."""
    await eventually(lambda: _empty(client), seconds)
    await eventually(lambda: _rendered_at_least(client, invoices), seconds)


async def document(client: Client, name: str) -> bytes:
    """Return a document from the bucket."""
    bucket = await client.jetstream().object_store(_BUCKET)
    return (await bucket.get(name)).data or b""


async def _empty(client: Client) -> bool:
    return await left(client, "INVOICE_JOBS") == 0


async def _rendered_at_least(client: Client, invoices: int) -> bool:
    return await rendered(client) >= invoices


async def _stored(client: Client, subject: str) -> int:
    counts = await _counts(client, "INVOICES", subject)
    return sum(counts.values())


async def _counts(client: Client, stream: str, subject: str) -> dict[str, int]:
    info = await jetstream.call(client, f"STREAM.INFO.{stream}", {"subjects_filter": subject})
    return info["state"].get("subjects") or {}


async def _documents(client: Client) -> dict[str, int]:
    """Return the sizes of the bucket's objects. Fails for an object that lacks a chunk."""
    metas: dict[str, dict[str, Any]] = {}
    for subject, data in await _read_all(client, f"OBJ_{_BUCKET}", f"$O.{_BUCKET}.M.>"):
        metas[subject] = json.loads(data)
    chunks = await _counts(client, f"OBJ_{_BUCKET}", f"$O.{_BUCKET}.C.>")
    for meta in metas.values():
        assert not meta.get("deleted"), meta
        assert chunks.get(f"$O.{_BUCKET}.C.{meta['nuid']}") == meta["chunks"], meta
    return {meta["name"]: meta["size"] for meta in metas.values()}


async def _read_all(client: Client, stream: str, subject: str) -> list[tuple[str, bytes]]:
    reader = await client.jetstream().pull_subscribe(
        subject, stream=stream, config=ConsumerConfig(ack_policy=AckPolicy.NONE, mem_storage=True)
    )
    try:
        pending = (await reader.consumer_info()).num_pending or 0
        found: list[tuple[str, bytes]] = []
        while len(found) < pending:
            page = await reader.fetch(min(_PAGE, pending - len(found)), timeout=10)
            found += [(message.subject, message.data) for message in page]
    finally:
        await reader.unsubscribe()
    return found
