"""Windows by key from JetStream to JetStream: our engine, nats-py's fetch, FastStream's batches.

Run as `python -m tests.bench log`. The contenders are in `log_contenders.py`.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from nats.aio.client import Client

from shared import jetstream, logs
from shared.settings import LogSettings
from tests.bench import log_contenders
from tests.bench.__main__ import say
from tests.bench.log_contenders import CONTENDERS
from tests.bench.log_stage import client_of, discard, fill, prepare, readings, stage_of
from tests.bench.rig import ROUNDS, Measured, compare, contend, cpu_ratio, ratio, require, row
from tests.server import Server

COUNT = 100_000
KEYS = 1000
MINUTES = 5
PARTITIONS = 16
OF_BY_HAND = 3.0
OF_FASTSTREAM = 3.0
AIM = 6.0


async def main() -> None:
    """Print rates, CPU and ratios; raise on a missed target."""
    logs.configure(LogSettings(level="warning"))
    missed: list[str] = []
    for ids in (False, True):
        say(f" messages {'with' if ids else 'without'} Nats-Msg-Id")
        missed += await _compare(ids=ids)
    if any(missed):
        raise AssertionError("; ".join(filter(None, missed)))


async def _compare(*, ids: bool) -> list[str]:
    runs: dict[str, list[Measured]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder)) as server:
        async with client_of(server.url) as client:
            await prepare(client, stage_of("fill", PARTITIONS))
            count = await fill(client, readings(COUNT, KEYS, MINUTES), ids=ids)
            for turn in range(ROUNDS):
                for name in CONTENDERS:
                    stage = stage_of(f"{name}-{turn}", PARTITIONS)
                    await prepare(client, stage)
                    await _durable(client, stage.group)
                    runs[name].append(await _run(server, name, stage.group, count))
                    await discard(client, stage.target.name, stage.snapshots.name)
    for name, measured in runs.items():
        row(name, measured, 100_000)
    by_hand, faststream = runs["by-hand"], runs["faststream-batch"]
    ours, public = runs["engine"], runs["engine-public-api"]
    missed = [
        require("engine to fetch and ack by hand", ratio(ours, by_hand), OF_BY_HAND),
        require("engine to FastStream", ratio(ours, faststream), OF_FASTSTREAM),
    ]
    compare(f"  by CPU to fetch and ack by hand (aim {AIM:g})", cpu_ratio(ours, by_hand))
    compare(f"  by CPU to FastStream (aim {AIM:g})", cpu_ratio(ours, faststream))
    compare("engine by nats-py's public API to fetch and ack by hand", ratio(public, by_hand))
    compare("engine by nats-py's public API to FastStream", ratio(public, faststream))
    compare("engine to itself by nats-py's public API", ratio(ours, public))
    compare("  by CPU", cpu_ratio(ours, public))
    return missed


async def _durable(client: Client, name: str) -> None:
    """Make the durable of those who ack: unfiltered, for a filter costs the server fourfold."""
    config = {"durable_name": name, "ack_policy": "explicit", "max_ack_pending": 10_000}
    await jetstream.call(
        client, f"CONSUMER.CREATE.IN.{name}", {"stream_name": "IN", "config": config}
    )


async def _run(server: Server, name: str, stage: str, count: int) -> Measured:
    return await asyncio.to_thread(
        contend,
        log_contenders.__name__,
        name,
        server.url,
        str(server.pid),
        stage,
        str(PARTITIONS),
        str(count),
        str(KEYS * MINUTES),
        log=server.folder / "contender.log",
    )
