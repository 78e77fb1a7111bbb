"""One event that closes 200,000 windows, its member killed while they are being committed."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from nats.aio.client import Client

from shared.log_stream.partitions import partition_of
from tests.eventually import eventually
from tests.log_members import MemberProcess, Members
from tests.log_rig import (
    PARTITIONS,
    by_subject,
    complete,
    messages,
    prepare,
    publish,
    records,
    results,
)
from tests.log_windows import SIZE_MS, Windowing
from tests.server import Server

WINDOWS = 200_000
AN_EVENT = 1000
KILLS_AT = (30_000, 100_000)
KEY = "w"
MOST_MEMORY_KB = 600_000
SECONDS = 120


async def test_an_event_that_closes_very_many_windows_is_out_once_whatever_dies(
    own_server: Server, own_client: Client, unique: str, tmp_path: Path
) -> None:
    client = own_client
    stage = await prepare(client, unique)
    number = partition_of(PARTITIONS, KEY)
    members = Members(own_server.url, unique, tmp_path, "windowing", lease_seconds=4)
    await members.spawn()
    end = time.monotonic() + SECONDS
    for first in range(0, WINDOWS, AN_EVENT):
        await publish(client, unique, [KEY], {"at": 1, "first": first, "count": AN_EVENT})

    async def out() -> int:
        """How many outputs of the closing event are committed."""
        record = (await records(client, stage))[number]
        return record.outputs if record.outputs > 1 else 0

    await publish(client, unique, [KEY], {"at": 1 + SIZE_MS, "first": 0, "count": 1})
    for least in KILLS_AT:
        while await out() < least:
            assert time.monotonic() < end
        await members.end(members.running[0], signal.SIGKILL)
        assert 0 < await out() < WINDOWS
        await members.spawn()
    # Other partitions do not wait for this one.
    others = [key for key in map(str, range(12)) if partition_of(PARTITIONS, key) != number]
    await publish(client, unique, others, {"echo": True})
    while len(await messages(client, stage.target.name, f"out.{unique}.echo.*")) < len(others):
        assert time.monotonic() < end
    assert await out() < WINDOWS
    while await out() < WINDOWS:
        assert time.monotonic() < end
    peak_kb = _peak_kb(members.running[0])
    print("peak memory of a member, kB:", peak_kb)  # noqa: T201
    assert peak_kb < MOST_MEMORY_KB
    assert await complete(client, unique, Windowing)
    assert len(await messages(client, stage.target.name, f"out.{unique}.window")) == WINDOWS
    assert await members.end_all() == [0]


@pytest.mark.parametrize("count", [1, 2])
async def test_an_event_that_takes_longer_than_a_lease_is_folded_all_the_same(
    own_server: Server, own_client: Client, unique: str, tmp_path: Path, count: int
) -> None:
    await prepare(own_client, unique)
    members = Members(own_server.url, unique, tmp_path, "windowing", lease_seconds=1)
    for _ in range(count):
        await members.spawn()
    await publish(own_client, unique, [KEY], {"work": 1.4})
    others = [KEY, *map(str, range(12))]
    await publish(own_client, unique, others, {"echo": True})
    await eventually(lambda: _all_out(own_client, unique, 1 + len(others)), 100)
    assert set(await members.end_all()) == {0}
    found = by_subject(await results(own_client, unique))
    assert [len(bodies) for bodies in found.values()] == [1] * (1 + len(others))


async def _all_out(client: Client, name: str, count: int) -> bool:
    return len(await results(client, name)) >= count


def _peak_kb(member: MemberProcess) -> int:
    status = Path(f"/proc/{member.process.pid}/status").read_text("utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
