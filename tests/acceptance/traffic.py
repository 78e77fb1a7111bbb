"""Invoice jobs in numbers, and a publisher that does not rest before each is acknowledged."""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import nats.errors
from msgspec import Struct
from nats.aio.client import Client

from shared import jetstream
from tests.acceptance.books import Order
from tests.eventually import eventually

Job = dict[str, Any]

SELLERS = """
[north]
name = "North Mill GmbH"
street = "Am Wehr 1"
postal_code = "24103"
city = "Kiel"
country = "DE"
vat_id = "DE136695976"
prefix = "NORTH"
currency = "EUR"
standard_rate = 19

[south]
name = "South Mill AG"
street = "Seestraße 2"
postal_code = "6900"
city = "Bregenz"
country = "AT"
vat_id = "ATU13585627"
prefix = "SOUTH"
currency = "EUR"
standard_rate = 20
iban = "DE89370400440532013000"
"""

_PUBLISHERS = 24
_ANSWER_SECONDS = 2.0


class Publication(Struct, frozen=True):
    """One message to publish, again and again under the same id until it is acknowledged."""

    subject: str
    body: bytes
    message_id: str


class Traffic(Struct, frozen=True):
    """Messages to publish; what must become an invoice, and what a dead letter, and why."""

    publications: list[Publication]
    orders: set[Order]
    bad: dict[bytes, tuple[str, str]]


def sellers_file(folder: Path) -> str:
    """Write the profiles of `north` and `south`; return the path."""
    path = folder / "sellers.toml"
    path.write_text(SELLERS, "utf-8")
    return str(path)


def job(order_id: str, **other: Any) -> Job:
    """Return a good job of one or more lines."""
    return {
        "order_id": order_id,
        "buyer": {"name": "Blue GmbH", "country": "DE", "vat_id": "DE136695976"},
        "lines": [
            {"description": "Consulting", "quantity": 2.5, "unit": "HUR", "unit_price": 80},
            {"description": "Handbook", "quantity": 3, "unit_price": 9.99, "vat_rate": 7},
        ],
    } | other


def body(one: Job) -> bytes:
    """Return the job as JSON."""
    return json.dumps(one).encode()


def spelled_otherwise(one: Job) -> bytes:
    """Return the same job with other line breaks, key order and spelling of numbers."""
    respelled = json.loads(json.dumps(one), parse_int=lambda n: f"{n}.00", parse_float=str)
    return json.dumps(dict(reversed(respelled.items())), indent=3).encode()


def simple_jobs(count: int, seller: str = "demo") -> Traffic:
    """Return so many good jobs."""
    ids = [f"SO-{n}" for n in range(count)]
    return Traffic(
        [Publication(f"jobs.invoice.{seller}", body(job(one)), f"id-{one}") for one in ids],
        {(seller, "invoice", one) for one in ids},
        {},
    )


def mixed_jobs(count: int, seed: int) -> Traffic:
    """Return `count` jobs of two sellers and two years.

    One in ten is published a second time, under an id of its own and spelled otherwise; one
    in fifty is bad, each in one of seven ways.
    """
    chance = random.Random(seed)
    publications: list[Publication] = []
    orders: set[Order] = set()
    bad: dict[bytes, tuple[str, str]] = {}
    for n in range(count):
        seller = chance.choice(["north", "south"])
        day = f"{chance.choice([2025, 2026])}-{chance.randint(1, 12):02d}-17"
        one = job(f"SO-{n}", issue_date=day)
        subject = f"jobs.invoice.{seller}"
        if n % 50 == 49:
            spoiled, reason, path = _BAD[n // 50 % len(_BAD)](one)
            publications.append(Publication(subject, spoiled, f"id-{n}"))
            bad[spoiled] = (reason, path)
            continue
        orders.add((seller, "invoice", f"SO-{n}"))
        publications.append(Publication(subject, body(one), f"id-{n}"))
        if n % 10 == 0:
            publications.append(Publication(subject, spelled_otherwise(one), f"again-{n}"))
    return Traffic(_shuffled_nearby(publications, chance), orders, bad)


async def publish_all(client: Client, publications: Sequence[Publication]) -> None:
    """Publish each until the server has acknowledged it, whatever becomes of the server."""
    waiting = list(reversed(publications))

    async def publish_some() -> None:
        while waiting:
            await eventually(partial(_stored, client, waiting.pop()), math.inf)

    async with asyncio.TaskGroup() as group:
        for _ in range(_PUBLISHERS):
            group.create_task(publish_some())


async def _stored(client: Client, one: Publication) -> bool:
    """Publish it; tell whether the server has acknowledged it."""
    about = {"Nats-Msg-Id": one.message_id}
    try:
        await jetstream.publish(client, one.subject, one.body, about, _ANSWER_SECONDS)
    except (nats.errors.Error, TimeoutError):
        return False
    return True


def _shuffled_nearby(publications: list[Publication], chance: random.Random) -> list[Publication]:
    places = [(place + chance.uniform(0, 100), one) for place, one in enumerate(publications)]
    return [one for _, one in sorted(places, key=lambda pair: pair[0])]


def _with_line(one: Job, **fields: Any) -> bytes:
    return body(one | {"lines": [one["lines"][0], one["lines"][1] | fields]})


_BAD: list[Callable[[Job], tuple[bytes, str, str]]] = [
    lambda one: (body(one)[:-1], "malformed", "body: "),
    lambda one: (_with_line(one, quantity="many"), "invalid", "lines[1].quantity: "),
    lambda one: (_with_line(one, vat_category="X"), "invalid", "lines[1].vat_category: "),
    lambda one: (body(one | {"buyer": {"name": "B"}}), "invalid", "buyer.country: "),
    lambda one: (body(one | {"lines": []}), "invalid", "lines: "),
    lambda one: (body(one | {"currency": "KWD"}), "invalid", "currency: "),
    lambda one: (body(one | {"issue_date": "2026-02-30"}), "invalid", "issue_date: "),
]
