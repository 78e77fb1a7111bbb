"""Positions in a stream to which publishers send: nothing there takes another's place."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
from nats.aio.client import Client

from shared import jetstream
from shared.broker import connected
from shared.deadline import Deadline
from shared.log_stream.member import Member
from shared.log_stream.policy import LogPolicy
from shared.log_stream.stage import Stage
from shared.provision import provision
from shared.settings import BrokerSettings, StreamSettings
from shared.topology import PartitionedLog
from tests.eventually import eventually
from tests.log_rig import POLICY, PlainProgram, complete, publish, records, stage_of, topology_of
from tests.server import Server

KEYS = [f"k{n % 13}" for n in range(130)]
TIDY = msgspec.structs.replace(POLICY, upkeep_seconds=0.2)
UNTIDY = msgspec.structs.replace(POLICY, upkeep_seconds=3600)


def stage_beside_publishers(name: str) -> Stage:
    """Return the rig's stage, whose target is a log that others publish to."""
    plain = stage_of(name)
    target = PartitionedLog(
        f"OUT_{name}", f"others-{name}.>", f"others-log-{name}", "sample.>", "of others too",
        beside=tuple(plain.target.subjects),
    )  # fmt: skip
    return msgspec.structs.replace(plain, target=target, record_headers={})


@contextlib.asynccontextmanager
async def folded(
    server: Server, stage: Stage, client: Client, policy: LogPolicy
) -> AsyncIterator[None]:
    """Fold what is published now, by a member that runs while the context is open."""
    async with connected(BrokerSettings(url=server.url), "a") as broker:
        one = Member(broker, stage, PlainProgram(stage.group), policy, "a")
        stop = asyncio.Event()
        task = asyncio.create_task(one.run(stop, Deadline(10)))
        for _ in range(3):
            await publish(client, stage.group, KEYS)
            await eventually(lambda: complete(client, stage.group))
        yield
        stop.set()
        await task


async def counts(client: Client, stage: Stage) -> dict[str, int]:
    """Return how many position records each partition has."""
    return await jetstream.subject_counts(client, stage.target.name, f"{stage.positions}.*")


async def only_newest(client: Client, stage: Stage) -> bool:
    return set((await counts(client, stage)).values()) == {1}


async def test_records_that_another_has_followed_are_purged_and_the_newest_stays(
    server: Server, client: Client, unique: str
) -> None:
    stage = stage_beside_publishers(unique)
    await provision(client, topology_of(stage), StreamSettings())
    async with folded(server, stage, client, UNTIDY):
        assert min((await counts(client, stage)).values()) > 1
        before = await records(client, stage)
    async with folded(server, stage, client, TIDY):
        await eventually(lambda: only_newest(client, stage))
        after = await records(client, stage)
    assert all(after[number].epoch > before[number].epoch for number in before)
    assert all(after[number].sequence > before[number].sequence for number in before)
