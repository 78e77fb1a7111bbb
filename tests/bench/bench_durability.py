"""What durability costs: publishing to one server, to one that syncs always, to three servers.

Run as `python -m tests.bench durability`. All on one machine and one disk, so the cluster pays for
three servers on two cores; ratios tell about this machine only.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import nats
from nats.aio.client import Client

from shared import atomic_batch, jetstream
from shared.atomic_batch import BatchMessage
from tests.bench.__main__ import say
from tests.bench.rig import ROUNDS, compare
from tests.cluster import cluster
from tests.eventually import eventually
from tests.server import Server

_SECONDS = 1.5
_IN_FLIGHT = 200
_BATCH = 100
_BODY = b"x" * 200

Opened = Callable[[], AbstractAsyncContextManager[Client]]


async def main() -> None:
    """Print rates of each profile, and what they are of the first one's."""
    profiles: dict[str, Opened] = {
        "one server": _one_server,
        "one server, sync always": lambda: _one_server("sync_interval: always"),
        "three servers, R3": _three_servers,
    }
    rates: dict[str, dict[str, list[float]]] = {}
    for _ in range(ROUNDS):
        for name, opened in profiles.items():
            async with opened() as client:
                for way, rate in (await _measure(client)).items():
                    rates.setdefault(way, {}).setdefault(name, []).append(rate)
    for way, by_profile in rates.items():
        base = by_profile["one server"]
        for name, found in by_profile.items():
            say(f"  {way:<22} {name:<24} {statistics.median(found):>9,.0f}/s")
            if found is not base:
                ratios = [one / other for one, other in zip(found, base, strict=True)]
                compare(f"{way}: {name} to one server", statistics.median(ratios))


async def _measure(client: Client) -> dict[str, float]:
    """Return messages a second: one after another, many in flight, in atomic batches."""

    async def one() -> int:
        await jetstream.publish(client, "d.one", _BODY)
        return 1

    async def many() -> int:
        await asyncio.gather(*(one() for _ in range(_IN_FLIGHT)))
        return _IN_FLIGHT

    async def batch() -> int:
        await atomic_batch.commit(client, [BatchMessage("d.batch", _BODY)] * _BATCH)
        return _BATCH

    ways = {
        "one after another": one,
        f"{_IN_FLIGHT} in flight": many,
        f"batches of {_BATCH}": batch,
    }
    found: dict[str, float] = {}
    for way, act in ways.items():
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < _SECONDS:
            count += await act()
        found[way] = count / (time.perf_counter() - began)
    return found


@contextlib.asynccontextmanager
async def _one_server(settings: str = "") -> AsyncIterator[Client]:
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder), jetstream=settings) as one:
        async with _stream(one.url, 1) as client:
            yield client


@contextlib.asynccontextmanager
async def _three_servers() -> AsyncIterator[Client]:
    with tempfile.TemporaryDirectory() as folder:
        async with cluster(Path(folder)) as servers, _stream(servers.url, 3) as client:
            yield client


@contextlib.asynccontextmanager
async def _stream(url: str, replicas: int) -> AsyncIterator[Client]:
    client = await nats.connect(url.split(","))
    config = {"name": "D", "subjects": ["d.*"], "num_replicas": replicas, "allow_atomic": True}
    try:
        await jetstream.call(client, "STREAM.CREATE.D", config, timeout=10)
        await eventually(lambda: _led(client), 30)
        yield client
    finally:
        await client.close()


async def _led(client: Client) -> bool:
    try:
        await jetstream.publish(client, "d.first", b"", timeout=1)
    except jetstream.BROKER_ERRORS:
        return False
    return True
