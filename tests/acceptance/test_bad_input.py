"""Section D: whatever arrives is an invoice or one dead letter that says why; workers go on."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats
import nats.errors
import pytest
from msgspec import Struct
from nats.aio.client import Client

from shared import jetstream
from shared.jetstream import JetStreamError
from tests.acceptance import books
from tests.acceptance.traffic import Job, body, job
from tests.eventually import eventually
from tests.invoice_fuzz import fuzzed_jobs
from tests.processes import Process, invoice_workers
from tests.server import Server

FUZZED = 2_000
PATH = re.compile(r"[a-z_]+(\[\d+\])?(\.[a-z_]+(\[\d+\])?)*: .+")
MESSAGE_TOO_LARGE = 10054
MEGABYTE = 1_000_000


class Input(Struct, frozen=True):
    """What is published, and what must become of it: `invoice`, or reason and start of error."""

    name: str
    body: bytes
    becomes: str
    subject: str = "jobs.invoice.demo"
    headers: dict[str, str] | None = None


def _line(**fields: Any) -> Job:
    good = {"description": "Thing", "quantity": 1, "unit_price": 10}
    return {"lines": [good, good | fields]}


def _buyer(**fields: Any) -> Job:
    return {"buyer": {"name": "Blue GmbH", "country": "DE"} | fields}


def _input(name: str, becomes: str, fields: Job, **other: Any) -> Input:
    return Input(name, body(job(name) | fields), becomes, **other)


_EVIL = {
    "X-Note": "tab\tbell\x07delete\x7f",
    "traceparent": "not-a-trace",
    "Headrace-Dead-Reason": "conflict",
    "Headrace-Dead-Error": "forged",
    "Headrace-Source": "NOWHERE:1",
}

INPUTS = [
    Input("nothing", b"", "malformed body: "),
    Input("not JSON", b"invoice please", "malformed body: "),
    Input("not UTF-8", b"\xff\xfe\x00", "malformed body: "),
    Input("null", b"null", "invalid body: "),
    Input("array", b"[]", "invalid body: "),
    Input("NaN", b'{"order_id": NaN}', "malformed body: "),
    Input("infinite", body(job("x") | _line(quantity=float("inf"))), "malformed body: "),
    Input("deep arrays", b'{"order_id": ' + b"[" * 400_000, "malformed body: "),
    Input("deep objects", b'{"a":' * 150_000 + b"1" + b"}" * 150_000, "malformed body: "),
    Input("100,000 lines", body(job("x") | {"lines": [{}] * 100_000}), "invalid lines"),
    _input("one line too many", "invalid lines: ", {"lines": _line()["lines"] * 501}),
    _input("long text", "invalid note: ", {"note": "x" * 900_000}),
    _input("quantity NaN as text", "invalid lines[1].quantity: ", _line(quantity="NaN")),
    _input("quantity huge", "invalid lines[1].quantity: ", _line(quantity="1e999999")),
    _input("price negative", "invalid lines[1].unit_price: ", _line(unit_price=-1)),
    _input("category unknown", "invalid lines[1].vat_category: ", _line(vat_category="Q")),
    _input("no description", "invalid lines[1].description: ", _line(description=" ")),
    _input("currency unknown", "invalid currency: ", {"currency": "XXQ"}),
    _input("date out of range", "invalid issue_date: ", {"issue_date": "9999-12-31"}),
    _input("control characters", "invalid buyer.name: ", _buyer(name="a\u0000b")),
    _input("escape codes", "invalid note: ", {"note": "\u001b[31mred"}),
    _input("order id of controls", "invalid order_id: ", {"order_id": "a\nb"}),
    _input("seller unknown", "invalid seller: ", {}, subject="jobs.invoice.nobody"),
    _input("seller like a path", "invalid seller: ", {}, subject="jobs.invoice./etc/passwd"),
    _input("seller of two tokens", "invalid seller: ", {}, subject="jobs.invoice.demo.more"),
    _input("seller far too long", "invalid seller: ", {}, subject=f"jobs.invoice.{'x' * 2_000}"),
    _input("seller a wildcard", "invalid seller: ", {}, subject="jobs.invoice.*"),
    _input("seller all that follows", "invalid seller: ", {}, subject="jobs.invoice.>"),
    _input("bad job, forged headers", "invalid lines: ", {"lines": []}, headers=_EVIL),
    _input("good job, forged headers", "invoice", {}, headers=_EVIL),
    _input("order id like a path", "invoice", {"order_id": "../../etc/passwd"}),
    _input("order id of wildcards", "invoice", {"order_id": "jobs.*.>"}),
    _input("typst markup", "invoice", _line(description='#eval("1") $x$ */ /* @a <b>')),
    _input("XML markup", "invoice", _buyer(name="]]></cbc:Name>&amp;<!--")),
    _input("text right to left", "invoice", _buyer(name="שלום עולם")),
    _input("marks of direction", "invalid buyer.name: ", _buyer(name="a\u202eb")),
]


@pytest.fixture
async def worker(own_server: Server) -> AsyncIterator[Process]:
    """The one worker that must survive it all; two attempts tell a hang from patience."""
    quick = {"INVOICE_RENDER_PROCESSES": "2", "INVOICE_MAX_ATTEMPTS": "2"}
    async with invoice_workers(1, own_server.url, **quick) as [one]:
        yield one


async def test_each_input_gets_what_it_must(own_client: Client, worker: Process) -> None:
    sequences = {}
    for one in INPUTS:
        ack = await jetstream.publish(own_client, one.subject, one.body, one.headers)
        sequences[ack.sequence] = one
    becomes = await _what_becomes(own_client, worker, len(INPUTS))
    wrong = {
        one.name: (becomes[sequence], one.becomes)
        for sequence, one in sequences.items()
        if not becomes[sequence].startswith(one.becomes)
    }
    assert wrong == {}
    for letter in await books.dead(own_client):
        assert letter.body == sequences[letter.origin_sequence or 0].body
        assert letter.origin_subject == sequences[letter.origin_sequence or 0].subject


async def test_2000_fuzzed_jobs_are_each_an_invoice_or_one_dead_letter(
    own_client: Client, worker: Process
) -> None:
    bodies = fuzzed_jobs(20261123, FUZZED)
    await asyncio.gather(
        *(jetstream.publish(own_client, "jobs.invoice.demo", one, timeout=30) for one in bodies)
    )
    becomes = await _what_becomes(own_client, worker, FUZZED)
    kinds = Counter(what.partition(" ")[0] for what in becomes.values())
    assert set(kinds) <= {"invoice", "invalid", "malformed", "conflict"}
    assert min(kinds["invoice"], kinds["invalid"], kinds["malformed"]) > 200, kinds
    pathless = [
        what
        for what in becomes.values()
        if what != "invoice" and not PATH.fullmatch(what.partition(" ")[2])
    ]
    assert pathless == []


@pytest.mark.parametrize(
    ("max_payload", "size"), [("1MB", 1_030_000), ("1MB", 10 * MEGABYTE), ("16MB", 10 * MEGABYTE)]
)
async def test_a_message_of_absurd_size_is_refused_to_its_publisher(
    tmp_path: Path, max_payload: str, size: int
) -> None:
    with Server(tmp_path, config=f"max_payload: {max_payload}") as server:
        client = await nats.connect(server.url)
        async with invoice_workers(1, server.url):
            with pytest.raises((JetStreamError, nats.errors.MaxPayloadError)) as refused:
                await jetstream.publish(client, "jobs.invoice.demo", b"x" * size)
            if isinstance(refused.value, JetStreamError):
                assert refused.value.err_code == MESSAGE_TOO_LARGE
            assert await books.left(client, "INVOICE_JOBS") == 0
        await client.close()


async def _what_becomes(client: Client, worker: Process, count: int) -> dict[int, str]:
    """Wait until so many jobs are settled; return what each became, by sequence."""

    def settled() -> list[dict[str, Any]]:
        return worker.events("delivery settled", stream="INVOICE_JOBS")

    await eventually(lambda: len(settled()) >= count, seconds=90)
    assert worker.alive
    letters = await books.dead(client)
    becomes = {letter.origin_sequence or 0: f"{letter.reason} {letter.error}" for letter in letters}
    assert len(becomes) == len(letters)
    acked = {line["sequence"]: line["number"] for line in settled() if line["outcome"] == "ack"}
    assert not acked.keys() & becomes.keys()
    assert acked.keys() | becomes.keys() == set(range(1, count + 1))
    numbers = set(acked.values())
    await books.all_done(client, len(numbers), seconds=90)
    stored = await books.read_books(client)
    await books.assert_audited(client, set(stored.orders))
    assert {fact.number for fact in stored.facts} == numbers
    assert [words for words in worker.words if "Traceback" in words] == []
    return becomes | dict.fromkeys(acked, "invoice")
