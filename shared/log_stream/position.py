"""The position record: how far a partition's outputs are out, and the one fence of its owner.

The record stands under one subject of the target stream and is replaced, fenced on its own
sequence, by every commit. Who claims a partition writes it with the next epoch; from then on
whatever an older owner sends is refused. Leases only decide who tries.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Mapping

import msgspec
import nats.errors
from msgspec import Struct
from msgspec.structs import replace
from nats.aio.client import Client

from shared import jetstream
from shared.atomic_batch import replaces
from shared.jetstream import JetStreamError

_RETRY_SECONDS = 0.1


class Manifest(Struct, frozen=True):
    """Names a snapshot: the event it contains last, its chunks in order, and how to check it."""

    sequence: int
    arrival_ns: int
    schema: int
    chunks: tuple[int, ...]
    crc: int
    size: int


class Position(Struct, frozen=True):
    """What is committed.

    `sequence` and `arrival_ns` name the last input event whose outputs are out, `outputs` how
    many of its outputs are (more than one batch holds are split). Sequence 0: none yet.
    """

    sequence: int = 0
    arrival_ns: int = 0
    outputs: int = 0
    epoch: int = 0
    commit: str = ""
    owner: str = ""
    snapshot: Manifest | None = None
    first: tuple[int, int] = (0, 0)
    """Sequence and arrival time of the event that the fold began with."""
    clear: tuple[int, int] = (0, 0)
    """Sequence and arrival time of a later message of the log, up to which there is no more of
    the partition. So an idle partition's position does not age out of the log."""
    seed: str = ""
    """What the fold began with (rules, say), settled at the first claim: a replay begins so too."""


class FencedError(Exception):
    """Another owner has claimed the partition; what we hold of it is void."""


_decoder = msgspec.json.Decoder(Position)


async def read(client: Client, stream: str, subject: str) -> tuple[int, Position]:
    """Return sequence and content of a record from the leader; 0 and an empty one if none is."""
    stored = await jetstream.last_message(client, stream, subject)
    if stored is None:
        return 0, Position()
    return stored.sequence, _decoder.decode(stored.data)


async def claim(
    client: Client,
    stream: str,
    subject: str,
    owner: str,
    *,
    seed: str = "",
    about: Mapping[str, str] | None = None,
) -> tuple[int, Position]:
    """Take the partition: write its record with the next epoch; return what is now stored.

    `seed` counts if nobody has claimed the partition before; `about` are headers to add. On a
    lost answer the record is read again: our commit id in it means done.
    """
    commit = ""
    while True:
        sequence, record = await read(client, stream, subject)
        if commit and record.commit == commit:
            return sequence, record
        commit = uuid.uuid4().hex
        claimed = replace(
            record,
            epoch=record.epoch + 1,
            commit=commit,
            owner=owner,
            seed=record.seed if record.epoch else seed,
        )
        try:
            ack = await jetstream.publish(
                client,
                subject,
                msgspec.json.encode(claimed),
                {**replaces(sequence), **(about or {})},
                timeout=2.0,
            )
        except JetStreamError as error:
            if error.err_code not in jetstream.WRONG_LAST_SEQUENCE:
                raise
        except nats.errors.TimeoutError:
            pass
        else:
            return ack.sequence, claimed
        await asyncio.sleep(random.random() * _RETRY_SECONDS)  # noqa: S311 - spreads rivals
