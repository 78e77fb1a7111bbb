"""Jobs, samples and payments that flow while a test disturbs the containers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import nats
from nats.aio.client import Client

from tests.acceptance import books
from tests.acceptance.traffic import Publication, body, job, publish_all
from tests.eventually import eventually

CARDS = 5
HOSTS = ("a", "b", "c")

_BEGIN_S = 1_795_420_800
_PAUSE_SECONDS = {"jobs": 0.2, "samples": 0.02, "payments": 0.1}
_WAIT_SECONDS = 120


class Traffic:
    """What is published, each again until it is stored: the ids of what is, by kind."""

    def __init__(self, client: Client) -> None:
        self.stored: dict[str, list[str]] = {kind: [] for kind in _PAUSE_SECONDS}
        self._client = client

    async def goes_on(self, jobs: int = 20, samples: int = 100) -> None:
        """Wait until so many more invoices are issued, and so many more samples stored."""
        invoices = await books.issued(self._client) + jobs
        enough = len(self.stored["samples"]) + samples
        await eventually(lambda: self._issued(invoices), _WAIT_SECONDS)
        await eventually(lambda: len(self.stored["samples"]) >= enough, _WAIT_SECONDS)

    async def flow(
        self, kind: str, make: Callable[[int], Publication], stop: asyncio.Event
    ) -> None:
        """Publish one after the other, with a pause between, until told to stop."""
        while not stop.is_set():
            one = make(len(self.stored[kind]))
            await publish_all(self._client, [one])
            self.stored[kind].append(one.message_id)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _PAUSE_SECONDS[kind])

    async def _issued(self, invoices: int) -> bool:
        return await books.issued(self._client) >= invoices


@asynccontextmanager
async def flowing(url: str) -> AsyncIterator[Traffic]:
    """Let traffic of all kinds flow while the context is open."""
    client = await nats.connect(url, max_reconnect_attempts=-1)
    traffic = Traffic(client)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for kind, make in (("jobs", _job), ("samples", _sample), ("payments", _payment)):
            group.create_task(traffic.flow(kind, make, stop))
        try:
            yield traffic
        finally:
            stop.set()
    await client.close()


def sample(host: str, value: float) -> bytes:
    """Return a sample whose time is that of its arrival, so that none comes late."""
    return json.dumps({"name": "latency", "value": value, "labels": {"host": host}}).encode()


def payment(name: str, seconds: float, **other: object) -> bytes:
    """Return a payment so many seconds after a fixed hour."""
    made = {"payment_id": name, "amount": "9.90", "currency": "EUR", "time": _BEGIN_S + seconds}
    return json.dumps(made | other).encode()


def eighth_and_later(payments: list[str]) -> list[str]:
    """Return the payments which the starter rule `velocity-1h` must tell of."""
    return [name for place, name in enumerate(payments) if place >= 7 * CARDS]


def _job(number: int) -> Publication:
    name = f"FLOW-{number}"
    return Publication("jobs.invoice.demo", body(job(name)), name)


def _sample(number: int) -> Publication:
    host = HOSTS[number % len(HOSTS)]
    return Publication(f"telemetry.latency.{host}", sample(host, number), f"sample-{number}")


def _payment(number: int) -> Publication:
    name = f"payment-{number}"
    return Publication(f"payments.made.card-{number % CARDS}", payment(name, number), name)
