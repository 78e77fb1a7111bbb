"""What users type: the real `nats` CLI publishes jobs, reads invoices, fetches documents."""

from __future__ import annotations

import asyncio
import base64
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from nats.aio.client import Client

from tests.acceptance import books
from tests.eventually import eventually
from tests.processes import free_ports, invoice_worker, invoice_workers
from tests.server import Server

# The example of docs/contract.md, and the part of its result that it shows.
EXAMPLE = """
{"order_id": "SO-1001",
 "type": "invoice",
 "issue_date": "2026-11-23", "due_date": "2026-12-23",
 "currency": "EUR",
 "buyer": {"name": "Blue GmbH", "street": "Hauptstr. 1", "postal_code": "10115", "city": "Berlin",
           "country": "DE", "vat_id": "DE136695976", "email": "ap@blue.example",
           "reference": "PO-77"},
 "lines": [{"description": "Consulting", "quantity": "2.5", "unit": "HUR", "unit_price": "80.00",
            "vat_category": "S", "vat_rate": "19"},
           {"description": "Handbook", "quantity": 3, "unit_price": "9.99", "vat_rate": "7",
            "discount_percent": "10"}],
 "allowances": [{"reason": "Loyalty", "percent": "5", "vat_rate": "19"}],
 "charges": [{"reason": "Freight", "amount": "7.90", "vat_rate": "19"}],
 "payment": {"iban": "DE89370400440532013000", "terms": "30 days net"},
 "note": "Thank you"}
"""
RESULT: dict[str, Any] = {
    "number": "DEMO-2026-000001",
    "seller": "demo",
    "order_id": "SO-1001",
    "type": "invoice",
    "issue_date": "2026-11-23",
    "due_date": "2026-12-23",
    "currency": "EUR",
    "vat": [
        {"category": "S", "rate": "19", "base": "197.90", "amount": "37.60"},
        {"category": "S", "rate": "7", "base": "26.97", "amount": "1.89"},
    ],
    "totals": {
        "lines": "226.97",
        "allowances": "10.00",
        "charges": "7.90",
        "net": "224.87",
        "vat": "39.49",
        "gross": "264.36",
        "due": "264.36",
    },
    "job": {"stream": "INVOICE_JOBS", "sequence": 1, "id": "INVOICE_JOBS:1"},
}
SMALL_JOB = (
    '{"order_id": "LATER", "buyer": {"name": "Blue GmbH", "country": "DE"},'
    ' "lines": [{"description": "Thing", "quantity": 1, "unit_price": 10}]}'
)

Cli = Callable[..., Any]


class Answer(Struct, frozen=True):
    """How a command ended, and what it wrote to both outputs."""

    code: int
    said: str


@pytest.fixture
def cli(own_server: Server, nats_cli: str) -> Cli:
    """Run `nats` against the test's server."""

    async def run(*arguments: str) -> Answer:
        process = await asyncio.create_subprocess_exec(
            nats_cli,
            "-s",
            own_server.url,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(30):
            out, _ = await process.communicate()
        return Answer(process.returncode or 0, out.decode())

    return run


async def test_the_example_of_the_contract_becomes_the_invoice_that_it_shows(
    own_server: Server, own_client: Client, cli: Cli, tmp_path: Path
) -> None:
    async with invoice_workers(1, own_server.url):
        published = await cli("pub", "-J", "jobs.invoice.demo", EXAMPLE)
        assert published.code == 0
        assert "Stored in Stream: INVOICE_JOBS Sequence: 1" in published.said
        await books.all_done(own_client, 1)
    shown = await cli("stream", "get", "INVOICES", "-S", "invoices.issued.demo", "--json")
    fact = json.loads(base64.b64decode(json.loads(shown.said)["data"]))
    assert {name: fact[name] for name in RESULT} == RESULT
    assert [(line["line"], line["net"]) for line in fact["lines"]] == [(1, "200.00"), (2, "26.97")]
    assert fact["issued_at"].endswith("Z")
    told = await cli("stream", "get", "INVOICES", "-S", "invoices.rendered.demo", "--json")
    assert json.loads(base64.b64decode(json.loads(told.said)["data"])) == {
        "number": "DEMO-2026-000001",
        "objects": ["DEMO-2026-000001.pdf", "DEMO-2026-000001.xml"],
    }
    for kind in ("pdf", "xml"):
        name, path = f"DEMO-2026-000001.{kind}", tmp_path / kind
        got = await cli("object", "get", "INVOICE_DOCUMENTS", name, "-O", str(path), "-f")
        assert got.code == 0, got
    assert (tmp_path / "pdf").read_bytes().startswith(b"%PDF-1.7")
    assert b"urn:oasis:names:specification:ubl:schema:xsd:Invoice-2" in (
        (tmp_path / "xml").read_bytes()
    )


async def test_a_scheduled_job_becomes_an_invoice_when_it_is_due(
    own_server: Server, own_client: Client, cli: Cli
) -> None:
    async with invoice_workers(1, own_server.url):
        later = ("--schedule-after", "2s", "--schedule-dest", "scheduled.invoice.demo")
        published = await cli("pub", "-J", "schedules.invoice.one", SMALL_JOB, *later)
        assert published.code == 0, published
        assert await books.issued(own_client) == 0
        await eventually(lambda: _issued(own_client, 1), seconds=15)
        await books.all_done(own_client, 1)
        await books.assert_audited(own_client, {("demo", "invoice", "LATER")})
        await eventually(lambda: _nothing_scheduled(own_client))


async def test_each_instance_is_discovered(own_server: Server, cli: Cli) -> None:
    async with invoice_workers(2, own_server.url):
        listed = json.loads((await cli("micro", "ls", "--json")).said)
        ids = {one["id"] for one in listed if one["name"] == "invoice_worker"}
        assert len(ids) == 2
        for one in ids:
            assert one in (await cli("micro", "stats", "invoice_worker")).said
            assert "exactly once" in (await cli("micro", "info", "invoice_worker", one)).said
        status = await cli("request", "--raw", "headrace.status.invoice_worker", "")
        assert json.loads(status.said).keys() == {"issue", "render"}


async def test_health_readiness_and_metrics_are_served(own_server: Server, cli: Cli) -> None:
    (port,) = free_ports(1)
    with invoice_worker(own_server.url, HTTP_PORT=str(port)) as worker:
        await worker.started()
        assert await _get(port, "healthz") == (200, "ok\n")
        await eventually(lambda: _is_ready(port, (200, "ready\n")))
        await cli("pub", "-J", "jobs.invoice.demo", SMALL_JOB)
        await cli("pub", "-J", "jobs.invoice.demo", "not JSON")
        labels = 'durable="invoice_worker",outcome="ack",stream="INVOICE_JOBS"'
        await eventually(lambda: _shows(port, f"headrace_deliveries_total{{{labels}}} 1.0"))
        labels = 'durable="invoice_worker",reason="malformed",stream="INVOICE_JOBS"'
        await eventually(lambda: _shows(port, f"headrace_dead_letters_total{{{labels}}} 1.0"))
        await asyncio.to_thread(own_server.kill)
        missing = "issue: not ready\nrender: not ready\n"
        await eventually(lambda: _is_ready(port, (503, missing)))
        assert await _get(port, "healthz") == (200, "ok\n")  # a lost server is no reason to restart
        await asyncio.to_thread(own_server.start)
        await eventually(lambda: _is_ready(port, (200, "ready\n")))


async def _issued(client: Client, count: int) -> bool:
    return await books.issued(client) >= count


async def _nothing_scheduled(client: Client) -> bool:
    return await books.left(client, "INVOICE_SCHEDULES") == 0


async def _is_ready(port: int, answer: tuple[int, str]) -> bool:
    return await _get(port, "readyz") == answer


async def _shows(port: int, line: str) -> bool:
    return _parts(line) in map(_parts, (await _get(port, "metrics"))[1].splitlines())


def _parts(line: str) -> tuple[str, frozenset[str], str]:
    """Return name, labels in any order, and value of a sample."""
    name, _, rest = line.partition("{")
    labels, _, value = rest.partition("}")
    return name, frozenset(labels.split(",")), value


async def _get(port: int, path: str) -> tuple[int, str]:
    def get() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(get)
