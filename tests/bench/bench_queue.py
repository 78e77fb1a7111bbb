"""Jobs that do nothing: our engine beside FastStream's pull subscriber and a loop by hand.

Run as `python -m tests.bench queue`. The contenders are in `queue_contenders.py`.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import msgspec

from shared import jetstream, logs
from shared.settings import LogSettings
from tests.bench import queue_contenders
from tests.bench.queue_contenders import CONTENDERS, Job
from tests.bench.rig import (
    ROUNDS,
    Measured,
    compare,
    contend,
    cpu_ratio,
    fill,
    ratio,
    require,
    row,
)
from tests.queue_rig import rig
from tests.server import Server

COUNT = 15_000
OF_FASTSTREAM = 8.0
OF_BY_HAND = 0.6


async def main() -> None:
    """Print rates, CPU and ratios; raise on a missed target."""
    logs.configure(LogSettings(level="warning"))
    runs: dict[str, list[Measured]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder)) as server:
        for turn in range(ROUNDS):
            for place, name in enumerate(CONTENDERS):
                queue = f"b{turn}{place}"
                runs[name].append(await _run(server, name, queue))
    for name, measured in runs.items():
        row(name, measured, 100_000)
    ours, faststream, by_hand = runs["engine"], runs["faststream"], runs["by-hand"]
    missed = [
        require("engine to FastStream", ratio(ours, faststream), OF_FASTSTREAM),
        require("engine to a loop by hand", ratio(ours, by_hand), OF_BY_HAND),
    ]
    compare("  by CPU to FastStream", cpu_ratio(ours, faststream))
    compare("  by CPU to a loop by hand", cpu_ratio(ours, by_hand))
    if any(missed):
        raise AssertionError("; ".join(filter(None, missed)))


async def _run(server: Server, name: str, queue: str) -> Measured:
    async with rig(server.url, queue) as made:
        client = made.broker.client
        await fill(client, made.subject, (_body(n) for n in range(COUNT)))
        measured = await asyncio.to_thread(
            contend,
            queue_contenders.__name__,
            name,
            server.url,
            str(server.pid),
            queue,
            str(COUNT),
            log=server.folder / "contender.log",
        )
        await jetstream.call(client, f"STREAM.DELETE.{made.durable.stream}")
    return measured


def _body(n: int) -> bytes:
    return msgspec.json.encode(
        Job(
            f"job-{n:08d}",
            f"account-{n % 1000}",
            n / 100,
            "EUR",
            "2026-11-23T08:00:00Z",
            1,
            ["a", "b"],
        )
    )
