"""What a large state costs: an event among a million keys, memory, restoring, folding again.

Run as `python -m tests.bench log_state`. Keys are in the bodies, on a thousand subjects, so that
what is measured is the engine and not how the server finds its way among a million subjects.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from shared import jetstream, logs
from shared.settings import LogSettings
from tests.bench import log_state_run
from tests.bench.__main__ import say
from tests.bench.log_stage import BEGIN_MS, Reading, client_of, fill, prepare, stage_of
from tests.bench.log_state_run import Run
from tests.bench.rig import compare, contend_for, require, require_below
from tests.server import Server

FEW = 1_000
MANY = 1_000_000
MORE = 200_000
"""Events that are measured, once every key has one."""
PARTITIONS = 16
MOST_COST = 1.5
MOST_RESTORE_SECONDS = 3.0
REPLAY_TO_LIVE = 1.0


async def main() -> None:
    """Print costs, memory, times; raise on a missed target."""
    logs.configure(LogSettings(level="warning"))
    costs: dict[int, float] = {}
    missed: list[str] = []
    for keys in (FEW, MANY):
        with tempfile.TemporaryDirectory() as folder, Server(Path(folder)) as server:
            costs[keys], words = await _measure(server, keys)
            missed += words if keys == MANY else []
    missed.append(
        require_below(
            f"an event among {MANY:,} keys to one among {FEW:,}, by CPU",
            costs[MANY] / costs[FEW],
            MOST_COST,
        )
    )
    if any(missed):
        raise AssertionError("; ".join(filter(None, missed)))


async def _measure(server: Server, keys: int) -> tuple[float, list[str]]:
    stage = stage_of("state", PARTITIONS)
    async with client_of(server.url) as client:
        await prepare(client, stage)
        count = await fill(client, _readings(keys), ids=False, subjects=FEW)
        live = await _run(server, stage.group, count, keys)
        assert live.keys == keys
        restored = await _run(server, stage.group, 0, 0)
        assert restored.keys == keys
        await jetstream.call(client, f"STREAM.PURGE.{stage.snapshots.name}", {})
        again = await _run(server, stage.group, count, keys)
        assert again.keys == keys
    say(
        f"  {keys:>9,} keys: own CPU s per 100k {live.last.cpu_each(100_000):.2f}"
        f"   live {live.whole.rate:,.0f}/s, again {again.whole.rate:,.0f}/s"
        f"   restored in {restored.ready_seconds:.2f} s"
    )
    words = [
        require_below(
            f"seconds until {keys:,} keys are restored and read on",
            restored.ready_seconds,
            MOST_RESTORE_SECONDS,
        ),
        require("folding again to live", again.whole.rate / live.whole.rate, REPLAY_TO_LIVE),
    ]
    compare("  by CPU", live.whole.cpu_each(1) / again.whole.cpu_each(1))
    return live.last.cpu_each(1), words


async def _run(server: Server, stage: str, count: int, first: int) -> Run:
    return await asyncio.to_thread(
        contend_for,
        Run,
        log_state_run.__name__,
        server.url,
        str(server.pid),
        stage,
        str(PARTITIONS),
        str(count),
        str(first),
        log=server.folder / "member.log",
    )


def _readings(keys: int) -> Iterator[Reading]:
    """Yield one reading of every key, then some of keys by chance, all in one minute."""
    chance = random.Random(keys)
    for n in range(keys):
        yield Reading(f"key-{n}", n / 8, BEGIN_MS + 1)
    for n in range(MORE):
        yield Reading(f"key-{chance.randrange(keys)}", n / 8, BEGIN_MS + 2)
