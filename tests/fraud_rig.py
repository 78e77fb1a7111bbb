"""The fraud detector on a server: members as processes, payments by the thousand, alerts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any

from nats.aio.client import Client

from services.fraud_detector.entry import ENTRY
from services.fraud_detector.topology import RULES
from shared import jetstream
from shared.jetstream import BROKER_ERRORS
from shared.log_stream import history, records
from shared.log_stream.history import Span, Stored
from shared.log_stream.verify import verify
from tests.eventually import eventually
from tests.processes import Process, end_all

PARTITIONS = 16
BEGIN_S = 1_793_692_800
"""2026-11-03T08:00:00Z: so far back that no payment of a test lies ahead of its arrival."""
_UNDER_WAY = 200


def fraud_detector(url: str, **variables: str) -> Process:
    """Start a member."""
    return Process("services.fraud_detector", url, **variables)


@contextlib.asynccontextmanager
async def members(count: int, url: str, **variables: str) -> AsyncIterator[list[Process]]:
    """Run so many members; those that the test leaves in the list are ended with it."""
    running = [fraud_detector(url, **variables) for _ in range(count)]
    try:
        for member in running:
            await member.started()
        yield running
    finally:
        end_all(running)


async def made(url: str, **variables: str) -> None:
    """Let a member make the streams, and stop it."""
    with fraud_detector(url, **variables) as first:
        await first.started()
        first.terminate()
        assert await first.exit_code() == 0, (first.log, first.words)


async def only_rules(client: Client, *rules: dict[str, Any]) -> None:
    """Put these rules into the bucket, and nothing else."""
    info = await jetstream.call(
        client, f"STREAM.INFO.{RULES.stream}", {"subjects_filter": RULES.subject(">")}
    )
    for subject in info["state"].get("subjects") or {}:
        await jetstream.publish(client, subject, b"", {"KV-Operation": "DEL"})
    for rule in rules:
        await put(client, rule)


async def put(client: Client, rule: dict[str, Any]) -> int:
    """Put a rule into the bucket; return its revision."""
    subject = RULES.subject(rule["id"])
    return (await jetstream.publish(client, subject, json.dumps(rule).encode())).sequence


async def in_force(client: Client, revision: int) -> None:
    """Wait until the rule of that revision has entered the log of every partition."""

    async def told() -> bool:
        places: set[str] = set()
        span = Span("payments-log.*.control.rules")
        async for page in history.pages(client, "PAYMENTS", span):
            for one in page:
                entries = json.loads(one.data)["entries"]
                if any(entry["revision"] >= revision for entry in entries):
                    places.add(one.subject)
        return len(places) >= PARTITIONS + 2

    await eventually(told, 30)


async def pay(client: Client, card: str, **body: Any) -> int:
    """Publish one payment; return its sequence."""
    data = json.dumps({"amount": "10.00", "currency": "EUR", **body}).encode()
    return (await jetstream.publish(client, f"payments.made.{card}", data)).sequence


async def publish_all(client: Client, messages: Iterable[tuple[str, bytes]], name: str) -> None:
    """Publish each once, whatever the server does: repeats carry the same id."""
    waiting = enumerate(messages)

    async def publish_some() -> None:
        for number, (subject, body) in waiting:
            await stored(client, subject, body, f"{name}-{number}")

    await asyncio.gather(*(publish_some() for _ in range(_UNDER_WAY)))


async def stored(client: Client, subject: str, body: bytes, message_id: str) -> None:
    """Publish until it is acknowledged."""
    while True:
        try:
            await jetstream.publish(client, subject, body, {"Nats-Msg-Id": message_id}, timeout=3)
        except BROKER_ERRORS:
            await eventually(lambda: client.is_connected, 30)
        else:
            return


def shopping(
    chance: random.Random,
    count: int,
    cards: int = 2000,
    seconds: float = 1.0,
    *,
    begin: float = BEGIN_S,
) -> Iterator[tuple[str, bytes]]:
    """Yield payments, so many seconds of event time apart, and labels of some of them later.

    Some are late, some are no payments at all.
    """
    suspects: list[tuple[int, str, str]] = []
    for number in range(count):
        card = f"card-{min(chance.randrange(cards), chance.randrange(cards))}"
        when = begin + number * seconds - chance.choice((0, 0, 0, 0, 0, 5, 300, 3000))
        body = {
            "payment_id": f"p-{number}",
            "amount": f"{chance.lognormvariate(3, 1):.2f}",
            "currency": "EUR",
            "time": when,
            "terminal": f"t-{min(chance.randrange(cards), chance.randrange(cards))}",
            "merchant": f"m-{chance.randrange(200)}",
            "country": chance.choice(("DE", "DE", "DE", "FR", "US")),
            "channel": chance.choice(("pos", "ecom")),
            "declined": chance.random() < 0.05,
        }
        data = json.dumps(body).encode()
        yield f"payments.made.{card}", data if number % 997 else data[:-9]
        if chance.random() < 0.01:
            suspects.append((number, card, str(body["payment_id"])))
        if suspects and suspects[0][0] < number - 500:
            _, its_card, payment = suspects.pop(0)
            label = {"payment_id": payment, "fraud": chance.random() < 0.5, "time": when}
            yield f"payments.labeled.{its_card}", json.dumps(label).encode()


async def alerts(client: Client, subject: str = "fraud.alerts.>") -> list[dict[str, Any]]:
    """Return the alerts, oldest first."""
    return [json.loads(one.data) for one in await messages(client, "FRAUD", subject)]


async def messages(client: Client, stream: str, subject: str) -> list[Stored]:
    """Return what a stream holds of a subject, oldest first."""
    return [one async for page in history.pages(client, stream, Span(subject)) for one in page]


async def all_folded(client: Client) -> bool:
    """Tell whether every stage has committed up to the end of what concerns it."""
    for entry in ENTRY.stages():
        stage = entry.stage
        found = await records.records_of(client, stage)
        for number, (_, record) in found.items():
            last = await jetstream.last_message(client, stage.source.name, stage.events(number))
            if last is not None and record.sequence < last.sequence:
                return False
    return True


async def folded(client: Client, seconds: float = 60) -> None:
    """Wait until all is folded."""
    await eventually(_patient(lambda: all_folded(client)), seconds)


def _patient(ask: Callable[[], Awaitable[bool]]) -> Callable[[], Awaitable[bool]]:
    async def asked() -> bool:
        try:
            return await ask()
        except BROKER_ERRORS:  # asked of a server that was killed just then
            return False

    return asked


async def as_the_log_demands(client: Client) -> int:
    """See that what was emitted is what an undisturbed fold gives; return how much that is."""
    outputs = 0
    for entry in ENTRY.stages():
        for verdict in await verify(client, entry, lambda _: None):
            assert verdict.difference == "", (entry.stage.group, verdict)
            outputs += verdict.outputs
    return outputs
