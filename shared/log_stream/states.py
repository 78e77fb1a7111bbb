"""Hand the state of a generation's partition over to the live one: a copy of its snapshot."""

from __future__ import annotations

import asyncio
import zlib
from functools import reduce

from msgspec import Struct
from msgspec.structs import replace
from nats.aio.client import Client

from shared import jetstream
from shared.log_stream import snapshots
from shared.log_stream.generation import GenerationError
from shared.log_stream.position import Manifest, Position
from shared.log_stream.snapshots import Snapshots
from shared.log_stream.stage import Stage, StageEntry

_BASE = "base"


class State(Struct, frozen=True):
    """What a live partition is to go on with: its new record, instead of that at `fence`."""

    stage: Stage
    number: int
    fence: int
    record: Position


async def handed_over(
    client: Client, pair: tuple[StageEntry, StageEntry], number: int, live: Position, new: Position
) -> Manifest:
    """Store the state of the new one as a snapshot of the live one, where that stands.

    It is kept out of the way of the live one's own snapshots, whose older ones are removed.
    Raises `GenerationError` where there is no state to be had, and broker errors.
    """
    stage, copy = pair[0].stage, pair[1].stage
    fold = pair[1].fold(new.seed, number)
    if new.sequence:
        found = new.snapshot
        if found is None or found.sequence != new.sequence:
            raise GenerationError(f"partition {number} of {copy.group} has no snapshot: run again")
        chunks = [await _chunk(client, copy, sequence) for sequence in found.chunks]
        if reduce(lambda crc, chunk: zlib.crc32(chunk, crc), chunks, 0) != found.crc:
            raise GenerationError(f"the snapshot of partition {number} of {copy.group} is damaged")
        schema = found.schema
    else:  # nothing was to be folded: it is the state of the beginning
        chunks = await snapshots.encode(fold.snapshot())
        schema = fold.schema
    apart = Snapshots(client, replace(stage, snapshot_prefix=_prefix(stage)), number)
    sequences, crc = await apart.store(f"{live.epoch}-{live.sequence}", chunks)
    size = sum(map(len, chunks))
    return Manifest(live.sequence, live.arrival_ns, schema, sequences, crc, size)


async def remove_older(client: Client, state: State) -> None:
    """Remove what an earlier promotion handed over. Raises broker errors."""
    base = state.record.base or state.record.snapshot
    if base is not None:
        stage = replace(state.stage, snapshot_prefix=_prefix(state.stage))
        await Snapshots(client, stage, state.number).remove_older(base)


def _prefix(stage: Stage) -> str:
    return f"{stage.snapshot_prefix}.{_BASE}"


async def _chunk(client: Client, stage: Stage, sequence: int) -> bytes:
    stored = await jetstream.message_at(client, stage.snapshots.name, sequence)
    if stored is None:
        raise GenerationError(f"chunk {sequence} of a snapshot of {stage.group} is gone: run again")
    await asyncio.sleep(0)
    return stored.data
