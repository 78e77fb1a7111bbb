"""From publishing a job to hearing of its invoice, at an idle worker. `... tests.bench latency`.

Jobs go out on a fixed schedule, whether or not the worker keeps up, so a slow answer does not
hide the ones behind it. What is measured is what another service would see: the time from the
publisher's call to the arrival of `invoices.issued` at a plain subscriber.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

import msgspec
import uvloop
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared import logs
from shared.broker import connected
from shared.contracts.invoices import InvoiceIssued
from shared.settings import BrokerSettings, LogSettings
from tests.bench.__main__ import say
from tests.bench.rig import two_line_job
from tests.eventually import eventually
from tests.processes import invoice_worker
from tests.server import Server

A_SECOND = 50
COUNT = 750
WARM_UP = 50
MEDIAN_SECONDS = 0.010

_fact = msgspec.json.Decoder(InvoiceIssued)


def main() -> None:
    """Print the percentiles; raise if the median is too long."""
    logs.configure(LogSettings(level="warning"))
    seconds = sorted(uvloop.run(_latencies()))
    say(f"  {len(seconds)} invoices at {A_SECOND} a second, from publishing to the fact's arrival")
    for share in (0.5, 0.9, 0.99):
        say(f"  p{share * 100:.0f} {_percentile(seconds, share) * 1000:7.2f} ms")
    say(f"  max {seconds[-1] * 1000:6.2f} ms")
    if (median := _percentile(seconds, 0.5)) > MEDIAN_SECONDS:
        raise AssertionError(f"p50 is {median * 1000:.1f} ms, {MEDIAN_SECONDS * 1000:.0f} allowed")


async def _latencies() -> list[float]:
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(Path(folder)) as server,
        invoice_worker(server.url, INVOICE_RENDER_PROCESSES="0") as worker,
    ):
        await worker.started()
        async with connected(BrokerSettings(url=server.url), "bench") as broker:
            await _measured(broker.client, "warm-up", WARM_UP)
            return await _measured(broker.client, "SO", COUNT)


async def _measured(client: Client, prefix: str, count: int) -> list[float]:
    published: dict[str, float] = {}
    arrived: dict[str, float] = {}

    async def note(message: Msg) -> None:
        arrived[_fact.decode(message.data).order_id] = time.perf_counter()

    subscription = await client.subscribe("invoices.issued.*", cb=note)
    await client.flush()
    start = time.perf_counter()
    for n in range(count):
        await asyncio.sleep(max(0.0, start + n / A_SECOND - time.perf_counter()))
        order_id = f"{prefix}-{n}"
        published[order_id] = time.perf_counter()
        await client.publish("jobs.invoice.demo", two_line_job(order_id))
    await eventually(lambda: len(arrived) == count)
    await subscription.unsubscribe()
    return [arrived[order_id] - at for order_id, at in published.items()]


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
