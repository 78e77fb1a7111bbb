"""Steady mixed traffic with ids: jobs, samples, payments, each sent until it is acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct
from nats.aio.client import Client

from shared import jetstream
from shared.jetstream import BROKER_ERRORS
from tests.acceptance.books import Order
from tests.acceptance.traffic import Publication, body, job, spelled_otherwise
from tests.fraud_rig import BEGIN_S, shopping

Kind = Literal["jobs", "samples", "payments"]

METRICS = ("latency", "latency.search", "requests_total", "errors_total", "page_view", "unused")
BAD_JOB = ("invalid", "lines: ")

_PAUSE_SECONDS = 0.05
_ANSWER_SECONDS = 2.0
_UNDER_WAY = 400
_CARDS = 300
_ENDLESS = 1 << 40


class Rates(Struct, frozen=True):
    """How many of each are published a second."""

    jobs: float = 4.0
    samples: float = 30.0
    payments: float = 30.0
    payments_apart_seconds: float = 1.0
    """How far a payment is from the next, in event time."""
    payments_begin_s: float = BEGIN_S


class Traffic:
    """Publishes at a pace of its own, whoever may be down; an outage is caught up with."""

    def __init__(self, client: Client, rates: Rates, seed: int = 1) -> None:
        self.rates = rates
        self.copies = 1
        """How often each message is sent at once, under the same id: a publishers' storm."""
        self.acknowledged: dict[Kind, set[str]] = {
            "jobs": set(),
            "samples": set(),
            "payments": set(),
        }
        self.orders: set[Order] = set()
        self.bad: dict[bytes, tuple[str, str]] = {}
        self.refused = 0
        self._client = client
        self._ended = asyncio.Event()
        self._room = asyncio.Semaphore(_UNDER_WAY)
        chance = random.Random(seed)
        self._sources: dict[Kind, Iterator[Publication]] = {
            "jobs": self._jobs(),
            "samples": _samples(chance),
            "payments": _payments(chance, rates),
        }

    @property
    def total(self) -> int:
        """How many messages are stored."""
        return sum(map(len, self.acknowledged.values()))

    async def flow(self) -> None:
        """Publish until `end`; return when all that was begun is acknowledged."""
        async with asyncio.TaskGroup() as group:
            for kind in self._sources:
                group.create_task(self._pace(kind, group))

    def end(self) -> None:
        """Begin nothing new."""
        self._ended.set()

    async def burst(self, kind: Kind, count: int) -> None:
        """Publish so many at once, beside the steady ones; return when all are acknowledged."""
        async with asyncio.TaskGroup() as group:
            for one in itertools.islice(self._sources[kind], count):
                await self._room.acquire()
                group.create_task(self._stored(kind, one))

    async def _pace(self, kind: Kind, group: asyncio.TaskGroup) -> None:
        last, owed = time.monotonic(), 0.0
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _PAUSE_SECONDS)
            now = time.monotonic()
            owed += (now - last) * float(getattr(self.rates, kind))
            last = now
            while owed >= 1 and not self._ended.is_set():
                owed -= 1
                await self._room.acquire()
                group.create_task(self._stored(kind, next(self._sources[kind])))

    async def _stored(self, kind: Kind, one: Publication) -> None:
        try:
            await asyncio.gather(*(self._acknowledged(one) for _ in range(self.copies)))
            self.acknowledged[kind].add(one.message_id)
        finally:
            self._room.release()

    async def _acknowledged(self, one: Publication) -> None:
        about = {"Nats-Msg-Id": one.message_id}
        while True:
            try:
                await jetstream.publish(self._client, one.subject, one.body, about, _ANSWER_SECONDS)
            except BROKER_ERRORS:
                self.refused += 1
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return

    def _jobs(self) -> Iterator[Publication]:
        """Yield jobs of two years; some come twice, spelled otherwise, some are bad."""
        for number in itertools.count():
            one = job(f"SO-{number}", issue_date=f"{2025 + number % 2}-06-17")
            subject = "jobs.invoice.demo"
            if number % 50 == 49:
                spoiled = body(one | {"lines": []})
                self.bad[spoiled] = BAD_JOB
                yield Publication(subject, spoiled, f"job-{number}")
                continue
            self.orders.add(("demo", "invoice", f"SO-{number}"))
            yield Publication(subject, body(one), f"job-{number}")
            if number % 10 == 0:
                yield Publication(subject, spelled_otherwise(one), f"again-{number}")


def _samples(chance: random.Random) -> Iterator[Publication]:
    """Yield samples of now; some are late, some are no samples."""
    for number in itertools.count():
        metric, host = chance.choice(METRICS), chance.choice("abc")
        sample = {
            "name": metric,
            "value": number if metric.endswith("_total") else round(chance.random() * 100, 3),
            "labels": {"host": host},
            "time": time.time() - chance.choice((0, 0, 0, 0, 1, 4, 12, 30)),
        }
        data = json.dumps(sample).encode() if number % 97 else b"\xfe"
        yield Publication(f"telemetry.{metric}.of.{host}", data, f"sample-{number}")


def _payments(chance: random.Random, rates: Rates) -> Iterator[Publication]:
    apart, begin = rates.payments_apart_seconds, rates.payments_begin_s
    made = shopping(chance, _ENDLESS, _CARDS, apart, begin=begin)
    for number, (subject, data) in enumerate(made):
        yield Publication(subject, data, f"payment-{number}")
