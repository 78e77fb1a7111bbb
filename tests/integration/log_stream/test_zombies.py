"""Who lost a partition and does not know it gets nothing in: no output, no snapshot, no tick."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
from nats.aio.client import Client

from shared import jetstream
from shared.broker import connected
from shared.log_stream import position
from shared.log_stream.partition import Partition
from shared.log_stream.partitions import partition_of
from shared.log_stream.policy import Ownership
from shared.log_stream.position import FencedError
from shared.log_stream.stage import Stage
from shared.settings import BrokerSettings
from tests.eventually import eventually
from tests.log_rig import (
    PARTITIONS,
    POLICY,
    PlainProgram,
    complete,
    member,
    messages,
    prepare,
    publish,
    records,
    results,
)
from tests.server import Server

KEY = "k0"
NUMBER = partition_of(PARTITIONS, KEY)
FOREVER = "2099-01-01T00:00:00Z"


@contextlib.asynccontextmanager
async def zombie(url: str, stage: Stage, **policy: float) -> AsyncIterator[Partition]:
    """Own the partition, and believe for ever that the lease holds: as after a paused machine.

    At the end it must find out by itself that it is fenced.
    """
    async with connected(BrokerSettings(url=url), "zombie") as broker:
        partition = Partition(
            broker,
            stage,
            NUMBER,
            PlainProgram(stage.group),
            msgspec.structs.replace(POLICY, **policy),
            Ownership("zombie", lambda: True),
        )
        running = asyncio.create_task(partition.run())
        yield partition
        await eventually(running.done, 20)
        ended = running.exception()
        assert isinstance(ended, BaseExceptionGroup)
        assert ended.subgroup(FencedError)


async def skip_unseen(client: Client, stage: Stage, count: int) -> None:
    """Let the zombie's durable skip the next events of the partition, with no gap in its count.

    So it is when a new owner has read them and then replaced the durable (prototype
    `refold_steal`): what the zombie gets next has just the consumer sequence that it expects.
    """
    durable = f"{stage.source.name}.{stage.durable(NUMBER)}"
    await jetstream.call(client, f"CONSUMER.PAUSE.{durable}", {"pause_until": FOREVER})
    await publish(client, stage.group, [KEY] * count)
    last = (await jetstream.call(client, f"STREAM.INFO.{stage.source.name}"))["state"]["last_seq"]
    await jetstream.call(client, f"CONSUMER.RESET.{durable}", {"seq": last + 1})
    await jetstream.call(client, f"CONSUMER.PAUSE.{durable}", {})


async def folded_by_a_member(server: Server, client: Client, name: str) -> Stage:
    """Return a stage with a snapshot and no open window: its durable has delivered nothing yet."""
    stage = await prepare(client, name)
    async with member(server.url, name, "a") as a:
        await publish(client, name, [KEY] * 20)
        await eventually(lambda: complete(client, name))
        await eventually(lambda: not a.partitions[NUMBER].fold.open_windows())
    return stage


async def test_a_zombie_that_skipped_events_unseen_gets_no_output_in(
    server: Server, client: Client, unique: str
) -> None:
    stage = await folded_by_a_member(server, client, unique)
    async with zombie(server.url, stage) as lost:
        await eventually(lambda: lost.reading)
        before = await results(client, unique)
        await position.claim(client, stage.target.name, stage.position(NUMBER), "b")
        await skip_unseen(client, stage, 10)
        await publish(client, unique, [KEY])
        await eventually(lambda: lost.stats.events == 1)
        assert lost.stats.disturbances == 0  # it noticed nothing, and folded a wrong count
    assert await results(client, unique) == before
    async with member(server.url, unique, "b"):
        await eventually(lambda: complete(client, unique))


async def test_a_zombie_that_skipped_events_unseen_gets_no_snapshot_in(
    server: Server, client: Client, unique: str
) -> None:
    stage = await folded_by_a_member(server, client, unique)
    async with zombie(server.url, stage, snapshot_least_events=1) as lost:
        await eventually(lambda: lost.reading)
        _, record = await position.claim(client, stage.target.name, stage.position(NUMBER), "b")
        await skip_unseen(client, stage, 10)
        # An event that emits nothing: there is no commit that would be refused first.
        await jetstream.publish(client, stage.control(NUMBER, "silence"), b"")
        await eventually(lambda: lost.stats.events == 1)
        assert lost.stats.disturbances == 0
    assert (await records(client, stage))[NUMBER] == record
    async with member(server.url, unique, "b"):
        await eventually(lambda: complete(client, unique))


async def test_a_zombie_that_skipped_events_unseen_gets_no_tick_in(
    server: Server, client: Client, unique: str
) -> None:
    stage = await folded_by_a_member(server, client, unique)
    ticks = stage.control(NUMBER, "tick")
    before = await messages(client, stage.source.name, ticks)
    async with zombie(server.url, stage, idle_seconds=2) as lost:
        await eventually(lambda: lost.reading)
        await skip_unseen(client, stage, 10)
        await publish(client, unique, [KEY])
        # It still owns the partition, so this is out, and nothing but a tick is left to try.
        await eventually(lambda: lost.stats.outputs == 1)
        await position.claim(client, stage.target.name, stage.position(NUMBER), "b")
        assert lost.fold.open_windows() == 1
    assert await messages(client, stage.source.name, ticks) == before
