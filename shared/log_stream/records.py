"""The position records of a stage's partitions, all of them or one."""

from __future__ import annotations

import asyncio

from nats.aio.client import Client

from shared.log_stream import position
from shared.log_stream.position import Position
from shared.log_stream.stage import Stage


async def read_record(client: Client, stage: Stage, number: int) -> tuple[int, Position]:
    """Return sequence and content of one record."""
    return await position.read(client, stage.target.name, stage.position(number))


async def records_of(client: Client, stage: Stage) -> dict[int, tuple[int, Position]]:
    """Return sequence and content of the records of all partitions."""
    numbers = range(stage.source.partitions)
    found = await asyncio.gather(*(read_record(client, stage, number) for number in numbers))
    return dict(zip(numbers, found, strict=True))
