"""Who dies or freezes is replaced: soon, and by one that goes on where the other stopped."""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from pathlib import Path

from nats.aio.client import Client

from shared import jetstream
from shared.log_stream.partitions import owner_of
from shared.log_stream.policy import LogPolicy
from shared.log_stream.stage import Stage
from tests.eventually import eventually
from tests.log_members import MemberProcess, Members
from tests.log_rig import complete, prepare, records
from tests.server import Server

TAKEOVER_SECONDS = 3.0
TRIES = 3


async def publish_on(client: Client, name: str, stop: asyncio.Event) -> None:
    """Publish events of many keys, so of all partitions, until `stop`."""
    for n in itertools.count():
        if stop.is_set():
            return
        await jetstream.publish(client, f"in.{name}.k{n % 40}", b"{}")


async def test_another_member_commits_for_a_killed_one_within_three_seconds(
    own_server: Server, own_client: Client, unique: str, tmp_path: Path
) -> None:
    stage = await prepare(own_client, unique)
    members = Members(own_server.url, unique, tmp_path, lease_seconds=LogPolicy().lease_seconds)
    await members.spawn()
    stop, took = asyncio.Event(), []
    async with asyncio.TaskGroup() as group:
        group.create_task(publish_on(own_client, unique, stop))
        for _ in range(TRIES):
            await members.spawn()
            await eventually(lambda: _settled(own_client, stage, members), 30)
            victim = members.named((await records(own_client, stage))[0].owner)
            took.append(await _takeover(own_client, stage, members, victim))
        stop.set()
    print("takeover, seconds from the kill to another's first commit:", took)  # noqa: T201
    await eventually(lambda: complete(own_client, unique), 60)
    assert set(await members.end_all()) == {0}
    # The machine is shared and noisy; the law is what the engine can do.
    assert min(took) < TAKEOVER_SECONDS, took


async def _settled(client: Client, stage: Stage, members: Members) -> bool:
    """Whether every partition has the owner that it shall have."""
    names = [member.name for member in members.running]
    found = await records(client, stage)
    return all(one.owner == owner_of(number, names) for number, one in found.items())


async def _takeover(client: Client, stage: Stage, members: Members, victim: MemberProcess) -> float:
    await members.end(victim, signal.SIGKILL)
    killed = time.monotonic()
    left = {n: one for n, one in (await records(client, stage)).items() if one.owner == victim.name}
    assert left
    claimed: dict[int, int] = {}
    while True:
        now = await records(client, stage)
        for number in left:
            if now[number].owner != victim.name:
                claimed.setdefault(number, now[number].sequence)
                if now[number].sequence > claimed[number]:  # a claim left it where it stood
                    return round(time.monotonic() - killed, 2)
        assert time.monotonic() < killed + 30, "nobody took over"


async def test_a_member_frozen_past_its_lease_is_replaced_and_writes_nothing_when_it_wakes(
    own_server: Server, own_client: Client, unique: str, tmp_path: Path
) -> None:
    stage = await prepare(own_client, unique)
    members = Members(own_server.url, unique, tmp_path)
    await members.spawn()
    await members.spawn()
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(publish_on(own_client, unique, stop))
        await eventually(lambda: _settled(own_client, stage, members), 30)
        frozen = members.named((await records(own_client, stage))[0].owner)
        frozen.send(signal.SIGSTOP)
        await eventually(lambda: _owns_nothing(own_client, stage, frozen), 30)
        frozen.send(signal.SIGCONT)
        await eventually(lambda: _gave_up(frozen), 30)
        await eventually(lambda: _settled(own_client, stage, members), 30)
        stop.set()
    await eventually(lambda: complete(own_client, unique), 60)
    assert await members.end_all() == [0, 0]


async def _owns_nothing(client: Client, stage: Stage, member: MemberProcess) -> bool:
    return all(one.owner != member.name for one in (await records(client, stage)).values())


def _gave_up(member: MemberProcess) -> bool:
    return bool(member.events("partition stopped") + member.events("partition fenced"))
