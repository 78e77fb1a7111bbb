"""Results are a pure function of the log: members killed, frozen, added, stopped; servers too.

Every result that the log demands is there once, and in the order of its key, byte for byte as
an undisturbed fold makes them. `make chaos-seeds SEEDS=100` tries more seeds than CI.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from shared.broker import connected
from shared.settings import BrokerSettings
from tests.cluster import SERVERS, cluster, leader_of
from tests.eventually import eventually
from tests.log_chaos import assert_what_the_log_demands, disturb, publish_all, seeds
from tests.log_members import Members
from tests.log_rig import prepare
from tests.server import Server

EVENTS = 5000
CLUSTER_EVENTS = 3000


@pytest.mark.parametrize("seed", seeds(10))
async def test_a_disturbed_run_gives_byte_for_byte_what_the_log_demands(
    tmp_path: Path, unique: str, seed: int
) -> None:
    chance = random.Random(seed)
    with Server(tmp_path) as server:

        async def kill_the_server(_: random.Random) -> None:
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)

        async with connected(BrokerSettings(url=server.url), "test") as broker:
            await prepare(broker.client, unique)
            members = Members(server.url, unique, tmp_path)
            for _ in range(3):
                await members.spawn()
            ended = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                harm = group.create_task(disturb(members, chance, ended, kill_the_server))
                await publish_all(broker, unique, chance, EVENTS)
                ended.set()
                await harm
            await assert_what_the_log_demands(broker.client, unique, members, EVENTS, 60)


@pytest.mark.parametrize("seed", seeds(2))
async def test_so_does_one_on_three_servers_whose_leaders_are_killed(
    tmp_path: Path, unique: str, seed: int
) -> None:
    chance = random.Random(seed)
    async with (
        cluster(tmp_path) as servers,
        connected(BrokerSettings(url=servers.url), "test") as broker,
    ):
        stage = await prepare(broker.client, unique, replicas=SERVERS)
        one_at_a_time = asyncio.Lock()

        async def kill_a_leader(chance: random.Random) -> None:
            stream = chance.choice((stage.source.name, stage.target.name))
            async with one_at_a_time:
                leader = await eventually(lambda: leader_of(broker.client, stream), 60)
                await servers.kill(leader)
                await eventually(lambda: leader_of(broker.client, stream), 60)
                await servers.start(leader)

        members = Members(servers.url, unique, tmp_path)
        for _ in range(3):
            await members.spawn()
        ended = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            harm = group.create_task(disturb(members, chance, ended, kill_a_leader))
            await publish_all(broker, unique, chance, CLUSTER_EVENTS)
            await kill_a_leader(chance)  # whatever chance did: once at least
            ended.set()
            await harm
        await assert_what_the_log_demands(broker.client, unique, members, CLUSTER_EVENTS, 120)
