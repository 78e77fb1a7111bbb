"""What a large state costs: an event among a million keys, memory, restoring; and a replay.

Run as `python -m tests.bench log_state`. Keys are in the bodies, on a thousand subjects, so that
what is measured is the engine and not how the server finds its way among a million subjects.
A replay is the same log folded again without a snapshot, its outputs known and held back.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from shared import jetstream, logs
from shared.log_stream.fold import Event
from shared.settings import LogSettings
from tests.bench import log_state_run
from tests.bench.__main__ import say
from tests.bench.log_stage import (
    BEGIN_MS,
    Reading,
    ReadingsFold,
    client_of,
    fill,
    prepare,
    readings,
    stage_of,
)
from tests.bench.log_state_run import Run
from tests.bench.rig import (
    ROUNDS,
    Measured,
    compare,
    contend_for,
    cpu_ratio,
    ratio,
    require,
    require_below,
    row,
)
from tests.server import Server

FEW = 1_000
MANY = 1_000_000
MORE = 200_000
"""Events that are measured, once every key has one."""
PARTITIONS = 16
MINUTES = 10
MOST_COST = 1.5
MOST_RESTORE_SECONDS = 3.0
REPLAY_TO_LIVE = 1.0


async def main() -> None:
    """Print costs, memory, times; raise on a missed target."""
    logs.configure(LogSettings(level="warning"))
    costs: dict[int, float] = {}
    seconds = 0.0
    for keys in (FEW, MANY):
        with tempfile.TemporaryDirectory() as folder, Server(Path(folder)) as server:
            costs[keys], seconds = await _measure(server, keys)
    missed = [
        require_below(
            f"an event among {MANY:,} keys to one among {FEW:,}, by CPU",
            costs[MANY] / costs[FEW],
            MOST_COST,
        ),
        require_below(
            f"seconds until {MANY:,} keys are restored and read on", seconds, MOST_RESTORE_SECONDS
        ),
        await _replay(),
    ]
    if any(missed):
        raise AssertionError("; ".join(filter(None, missed)))


async def _measure(server: Server, keys: int) -> tuple[float, float]:
    """Return CPU seconds an event, and seconds to restore."""
    stage = stage_of("state", PARTITIONS)
    async with client_of(server.url) as client:
        await prepare(client, stage)
        count = await fill(client, _readings(keys), ids=False, subjects=FEW)
        live = await _run(server, stage.group, count, keys)
        assert live.keys == keys
        restored = await _run(server, stage.group, 0, 0)
        assert restored.keys == keys
        info = await jetstream.call(client, f"STREAM.INFO.{stage.snapshots.name}")
    say(
        f"  {keys:>9,} keys: own CPU s per 100k {live.last.cpu_each(100_000):.2f}"
        f"   {live.whole.rate:,.0f}/s   restored in {restored.ready_seconds:.2f} s"
    )
    if keys == MANY:
        say(
            f"  bytes a key and its window: in memory {_bytes_a_key(keys):.0f},"
            f" in a snapshot {info['state']['bytes'] / keys:.0f}"
        )
    return live.last.cpu_each(1), restored.ready_seconds


async def _replay() -> str:
    lives: list[Measured] = []
    agains: list[Measured] = []
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder)) as server:
        async with client_of(server.url) as client:
            await prepare(client, stage_of("fill", PARTITIONS))
            count = await fill(client, readings(MORE, FEW, MINUTES))
            for turn in range(ROUNDS):
                stage = stage_of(f"replay-{turn}", PARTITIONS)
                await prepare(client, stage)
                lives.append((await _run(server, stage.group, count, 0)).whole)
                await jetstream.call(client, f"STREAM.PURGE.{stage.snapshots.name}", {})
                agains.append((await _run(server, stage.group, count, 0)).whole)
    row("live", lives, 100_000)
    row("replay", agains, 100_000)
    compare("  by CPU to live", cpu_ratio(agains, lives))
    return require("replay to live", ratio(agains, lives), REPLAY_TO_LIVE)


def _bytes_a_key(keys: int) -> float:
    """Return what a key and its open window take in a fold."""
    fold = ReadingsFold("out")
    gc.collect()
    before = _resident_bytes()
    for reading in itertools.islice(_readings(keys), keys):
        fold.apply(Event(1, 1, "event", msgspec.json.encode(reading), None))
    return (_resident_bytes() - before) / keys


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * resource.getpagesize()


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
