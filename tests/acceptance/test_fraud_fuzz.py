"""2,000 mutilated payments, labels and rules each: taken or refused with a reason; nobody stops."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from nats.aio.client import Client

from services.fraud_detector.domain.starter import starter_rules
from services.fraud_detector.topology import RULES
from shared import jetstream
from shared.contracts import headers
from shared.log_stream.history import Stored
from tests.eventually import eventually
from tests.fraud_rig import (
    as_the_log_demands,
    folded,
    in_force,
    members,
    messages,
    pay,
    publish_all,
    put,
)
from tests.integration.test_metrics_fuzz import mutilated
from tests.server import Server

EACH = 2000
PAYMENT = (
    b'{"payment_id": "p-1", "amount": "12.50", "currency": "EUR", "time": "2026-11-23T08:00:00Z",'
    b' "terminal": "t-9", "merchant": "m-3", "mcc": "5411", "country": "DE", "latitude": 52.5,'
    b' "longitude": 13.4, "channel": "pos", "ip": "192.0.2.7", "declined": false}'
)
LABEL = b'{"payment_id": "p-1", "fraud": true, "time": "2026-11-23T08:00:00Z"}'
WORST = {
    "id": "worst",
    "where": "(" * 18 + "amount * amount > 1" + " and amount + 1 > 0)" * 18,
    "aggregate": {"function": "count"},
    "window": "1h",
    "limit": {"operator": ">=", "value": 1},
}


def nonsense(chance: random.Random) -> Iterator[tuple[str, bytes]]:
    for number in range(EACH):
        card = f"card-{number % 50}"
        yield f"payments.made.{card}", mutilated(PAYMENT, chance)
        yield f"payments.labeled.{card}", mutilated(LABEL, chance)
    yield "payments.lost.card-1", PAYMENT
    yield "payments.control.rules", b'{"entries": []}'


async def test_whatever_comes_is_taken_or_a_dead_letter_and_nobody_stops(
    own_server: Server, own_client: Client
) -> None:
    chance = random.Random(5)
    texts = [text.encode() for text in starter_rules().values()]
    async with members(2, own_server.url) as running:
        await publish_all(own_client, nonsense(chance), "fuzz")
        refused, rules, subjects = 0, 0, set[str]()
        for number in range(EACH):
            subject = RULES.subject(f"fuzz-{number % 40}")
            text = mutilated(chance.choice(texts), chance)
            await jetstream.publish(own_client, subject, text)
        revision = await put(own_client, WORST)
        await in_force(own_client, revision)
        await pay(own_client, "the-last")
        await folded(own_client)
        assert all(member.alive for member in running)
        assert not [line for one in running for line in one.events("partition broken")]
        letters = await eventually(lambda: all_letters(own_client))
        for one in letters:
            given = one.headers or {}
            assert given[headers.DEAD_REASON] in {"malformed", "invalid", "future"}
            assert given[headers.DEAD_ERROR]
            refused += given[headers.DEAD_STREAM] == "PAYMENTS"
            subjects.add(given[headers.DEAD_SUBJECT])
            rules += given[headers.DEAD_STREAM] == RULES.stream
        assert refused > EACH / 2
        assert {"payments.lost.card-1", "payments.control.rules"} <= subjects
        assert rules
        worst = await messages(own_client, "FRAUD", "fraud.alerts.the-last")
        assert [json.loads(one.data)["rule"] for one in worst] == ["worst"]
    assert await as_the_log_demands(own_client)


async def all_letters(client: Client) -> list[Stored]:
    """Return the dead letters once all that `FRAUD` holds have been taken over."""
    there = await messages(client, "FRAUD", "fraud-dead.*")
    taken = await messages(client, "DEAD_LETTERS", "dead.fraud_detector.*")
    return taken if len(taken) == len(there) else []
