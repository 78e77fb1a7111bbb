"""One member and its state, in a process of its own, so that its CPU can be read.

Arguments: `URL SERVER_PID STAGE PARTITIONS COUNT FIRST`. It runs until `COUNT` events are in the
state, however they got there, and stops softly. Printed is one `Run` as JSON.
"""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec
import uvloop
from msgspec import Struct

from shared import logs
from shared.deadline import Deadline
from shared.log_stream.member import Member
from shared.settings import LogSettings
from tests.bench.log_stage import member_of, stage_of
from tests.bench.rig import Measured, Meter

_PAUSE_SECONDS = 0.005


class Run(Struct, frozen=True):
    """What a member did until all was in its state."""

    ready_seconds: float
    """From its start until every partition was restored and read."""
    keys: int
    whole: Measured
    """From its first event to the last."""
    last: Measured
    """From event `FIRST` to the last."""


async def _run(url: str, pid: int, name: str, partitions: int, count: int, first: int) -> Run:
    logs.configure(LogSettings(level="warning"))
    async with member_of(url, stage_of(name, partitions)) as member:
        stop = asyncio.Event()
        started = time.perf_counter()
        running = asyncio.create_task(member.run(stop, Deadline(60)))
        while not _ready(member, partitions):  # noqa: ASYNC110  partitions tell nobody
            await asyncio.sleep(_PAUSE_SECONDS)
        ready_seconds = time.perf_counter() - started
        whole = Meter(pid)
        begun = _events(member)
        last, already = None, 0
        while (events := _events(member)) < count:
            if last is None and events >= first:
                last, already = Meter(pid), events
            await asyncio.sleep(_PAUSE_SECONDS)
        measured = whole.stop(max(1, events - begun))
        rest = last.stop(events - already) if last else measured
        keys = sum(one.fold.keys() for one in member.partitions.values())
        stop.set()
        await running
        return Run(ready_seconds, keys, measured, rest)


def _ready(member: Member, partitions: int) -> bool:
    running = member.partitions.values()
    return len(running) == partitions and all(one.stats.restore_seconds for one in running)


def _events(member: Member) -> int:
    return sum(one.stats.events for one in member.partitions.values())


if __name__ == "__main__":
    _url, _pid, _stage, *_counts = sys.argv[1:]
    _partitions, _count, _first = map(int, _counts)
    _done = uvloop.run(_run(_url, int(_pid), _stage, _partitions, _count, _first))
    sys.stdout.buffer.write(msgspec.json.encode(_done))
