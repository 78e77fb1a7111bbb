"""Where a stage's partitions stand, as the server knows it: their position records, their lag."""

from __future__ import annotations

import asyncio

from nats.aio.client import Client

from shared import jetstream
from shared.jetstream import JetStreamError
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


async def pending(client: Client, stage: Stage, number: int) -> int | None:
    """Return how many events of a partition were not read yet; None where nobody has ever read."""
    durable = f"CONSUMER.INFO.{stage.source.name}.{stage.durable(number)}"
    try:
        return int((await jetstream.call(client, durable))["num_pending"])
    except JetStreamError as error:
        if error.err_code not in jetstream.NOT_FOUND:
            raise
        return None
