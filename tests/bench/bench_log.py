"""Windows by key from JetStream to JetStream: our engine, nats-py's fetch, FastStream's batches.

Run as `python -m tests.bench log`. The contenders are in `log_contenders.py`.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from shared import logs
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
                    runs[name].append(await _run(server, name, stage.group, count))
                    await discard(client, stage.target.name, stage.snapshots.name)
    for name, measured in runs.items():
        row(name, measured, 100_000)
    ours = runs["engine"]
    missed = [
        require("engine to fetch and ack by hand", ratio(ours, runs["by-hand"]), OF_BY_HAND),
        require("engine to FastStream", ratio(ours, runs["faststream-batch"]), OF_FASTSTREAM),
    ]
    compare("  by CPU to fetch and ack by hand", cpu_ratio(ours, runs["by-hand"]))
    compare("  by CPU to FastStream", cpu_ratio(ours, runs["faststream-batch"]))
    return missed


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
