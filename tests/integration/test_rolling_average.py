"""The log service of `docs/`: started as its page says, one member of two killed."""

from __future__ import annotations

import json
from pathlib import Path

import nats
from nats.aio.client import Client

from shared import jetstream
from tests.eventually import eventually
from tests.metrics_rig import messages
from tests.processes import Process
from tests.server import Server

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "rolling_average.py"
SYMBOLS = [f"S{number}" for number in range(12)]


async def averages(client: Client) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {}
    for msg in await messages(client, "AVERAGES"):
        if msg.subject.startswith("averages."):
            found.setdefault(msg.subject.partition(".")[2], []).append(json.loads(msg.data))
    return found


async def publish(client: Client, price: float) -> None:
    for symbol in SYMBOLS:
        await jetstream.publish(client, f"prices.{symbol}", json.dumps({"price": price}).encode())


async def has(client: Client, count: int) -> bool:
    found = await averages(client)
    return len(found) == len(SYMBOLS) and all(len(of) == count for of in found.values())


async def test_a_member_may_die_and_the_averages_go_on(
    own_server: Server, own_client: Client
) -> None:
    with (
        Process(str(EXAMPLE), own_server.url) as doomed,
        Process(str(EXAMPLE), own_server.url) as other,
    ):
        await doomed.started()
        await other.started()
        watching = await nats.connect(own_server.url)
        seen = await watching.subscribe("averages.S0")
        await publish(own_client, 10)
        assert json.loads((await seen.next_msg(10)).data) == {"average": 10.0, "count": 1}
        await eventually(lambda: has(own_client, 1))
        assert doomed.events("partition claimed")
        doomed.kill()
        await publish(own_client, 20)
        await eventually(lambda: has(own_client, 2), 20)
        await jetstream.publish(own_client, "prices.S0", b"free")
        await publish(own_client, 60)
        await eventually(lambda: has(own_client, 3), 20)
        other.terminate()
        assert await other.exit_code() == 0
        await watching.close()
    for found in (await averages(own_client)).values():
        assert [(one["average"], one["count"]) for one in found] == [(10, 1), (15, 2), (30, 3)]
