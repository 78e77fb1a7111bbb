"""A log that lost events: the operator sees which partitions stand still, why, and what to type."""

from __future__ import annotations

import asyncio
import re
import urllib.error
import urllib.request
from pathlib import Path

from nats.aio.client import Client

from shared import jetstream
from tests.eventually import eventually
from tests.mending import mend
from tests.processes import Process, free_ports
from tests.server import Server

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "rolling_average.py"
SYMBOLS = [f"S{number}" for number in range(20)]
PARTITIONS = 8


async def publish(client: Client) -> None:
    for symbol in SYMBOLS:
        await jetstream.publish(client, f"prices.{symbol}", b'{"price": 1}')


async def get(port: int, path: str) -> tuple[int, str]:
    """Return status and body; status 0 while nobody listens."""

    def ask() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    return await asyncio.to_thread(ask)


async def broken(port: int) -> int:
    """Return how many partitions stand still by the metrics."""
    _, said = await get(port, "metrics")
    found = re.search(r'^headrace_broken_partitions\{group="averages"\} (\d+)', said, re.MULTILINE)
    return int(found[1]) if found else -1


async def ready(port: int) -> bool:
    return (await get(port, "readyz"))[0] == 200


async def averages(client: Client) -> int:
    info = await jetstream.call(client, "STREAM.INFO.AVERAGES", {"subjects_filter": "averages.*"})
    return sum((info["state"].get("subjects") or {}).values())


async def all_out(client: Client, count: int) -> bool:
    return await averages(client) == count


async def test_the_operator_sees_what_is_broken_and_mends_it_by_what_is_said(
    own_server: Server, own_client: Client, nats_cli: str
) -> None:
    count = len(SYMBOLS)
    (port,) = free_ports(1)
    with Process(str(EXAMPLE), own_server.url, HTTP_PORT=str(port)) as first:
        await first.started()
        await publish(own_client)
        await eventually(lambda: all_out(own_client, count))
        await eventually(lambda: ready(port))
        first.terminate()
        await first.stopped()
    await publish(own_client)  # nobody reads these
    await jetstream.call(own_client, "STREAM.PURGE.PRICES", {"keep": 3})
    with Process(str(EXAMPLE), own_server.url, HTTP_PORT=str(port)) as second:
        await second.started()
        await eventually(lambda: _all_broken(port), 30)
        status, said = await get(port, "readyz")
        assert status == 503
        reasons = said.splitlines()
        assert all("purged or have aged out" in reason for reason in reasons)
        lines = second.events("partition broken")
        assert {line["why"] for line in lines} == {reason.partition(": ")[2] for reason in reasons}
        await mend(nats_cli, own_server.url, *reasons)
        await eventually(lambda: ready(port), 30)
        assert await broken(port) == 0
        await eventually(lambda: all_out(own_client, count + 3))
        await publish(own_client)
        await eventually(lambda: all_out(own_client, 2 * count + 3))


async def _all_broken(port: int) -> bool:
    return await broken(port) == PARTITIONS
