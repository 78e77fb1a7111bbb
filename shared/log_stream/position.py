"""The position record: how far a partition's outputs are out, and the one fence of its owner.

The record is the newest message under one subject of the target stream. Every commit replaces it,
fenced on its own sequence. Who claims a partition writes it with the next epoch; from then on
whatever an older owner sends is refused. Leases only decide who tries.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Mapping

import msgspec
import nats.errors
from msgspec import Struct
from msgspec.structs import replace
from nats.aio.client import Client

from shared import jetstream
from shared.atomic_batch import follows
from shared.contracts import headers
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
    partial: bool = False
    """Whether more outputs of that event are still to come out."""
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
    begin: int = 0
    """First event that counts; 0: the log's beginning. A generation may begin later."""
    since: int = 0
    """Up to this event the outputs are those of the generation before: it was promoted here."""
    generation: str = ""
    """Which generation that was, by its name."""
    promotion: str = ""
    """And by an id of its own, since names may be used again."""
    base: Manifest | None = None
    """The state at `since`, where it cannot be folded anew; kept as long as it is named."""
    held: str = ""
    """Which promotion holds the partition; nobody else may claim it."""


class FencedError(Exception):
    """Another owner has claimed the partition; what we hold of it is void."""


class HeldError(Exception):
    """A promotion holds the partition; names it, and what ends that."""


_decoder = msgspec.json.Decoder(Position)


async def read(client: Client, stream: str, subject: str) -> tuple[int, Position]:
    """Return sequence and content of a record from the leader; 0 and an empty one if none is."""
    stored = await jetstream.last_message(client, stream, subject)
    if stored is None:
        return 0, Position()
    return stored.sequence, _decoder.decode(stored.data)


async def see_that_it_is(client: Client, stream: str, subject: str, record: Position) -> None:
    """Raise `FencedError` where another has claimed the partition since this record was written."""
    _, stored = await read(client, stream, subject)
    if (stored.epoch, stored.owner) != (record.epoch, record.owner):
        raise FencedError(f"epoch {record.epoch} ended, {stored.epoch} is {stored.owner}'s")


async def claim(
    client: Client,
    stream: str,
    subject: str,
    owner: str,
    *,
    seed: str = "",
    about: Mapping[str, str] = headers.IN_PLACE,
    promotion: str = "",
) -> tuple[int, Position]:
    """Take the partition: write its record with the next epoch; return what is now stored.

    `seed` counts if nobody has claimed the partition before; `about` are the record's headers.
    Raises `HeldError` where another promotion than `promotion` holds it, and broker errors.
    """

    def claimed(record: Position) -> Position:
        if record.held not in {"", promotion}:
            raise HeldError(
                f"held by the promotion of {record.held}: `headrace promote` with that name "
                "completes it, with --abort it ends it"
            )
        return replace(record, owner=owner, seed=record.seed if record.epoch else seed)

    return await _next_epoch(client, stream, subject, claimed, about)


async def hold(client: Client, stream: str, subject: str, promotion: str) -> tuple[int, Position]:
    """Let nobody claim the partition but this promotion; whoever owns it is fenced."""

    def held(record: Position) -> Position:
        if record.held not in {"", promotion}:
            raise HeldError(f"held by the promotion of {record.held}, which is not done")
        return replace(record, owner=f"promotion of {promotion}", held=promotion)

    return await _next_epoch(client, stream, subject, held)


async def let_go(client: Client, stream: str, subject: str) -> tuple[int, Position]:
    """End the hold: the partition goes on with the state that it had."""
    return await _next_epoch(client, stream, subject, lambda record: replace(record, held=""))


async def _next_epoch(
    client: Client,
    stream: str,
    subject: str,
    change: Callable[[Position], Position],
    about: Mapping[str, str] = headers.IN_PLACE,
) -> tuple[int, Position]:
    """Replace the record, whoever writes it meanwhile; return what is now stored.

    On a lost answer the record is read again: our commit id in it means done.
    """
    commit = ""
    while True:
        sequence, record = await read(client, stream, subject)
        if commit and record.commit == commit:
            return sequence, record
        commit = uuid.uuid4().hex
        changed = replace(change(record), epoch=record.epoch + 1, commit=commit)
        try:
            ack = await jetstream.publish(
                client,
                subject,
                msgspec.json.encode(changed),
                {**follows(sequence), **about},
                timeout=2.0,
            )
        except JetStreamError as error:
            if error.err_code not in jetstream.WRONG_LAST_SEQUENCE:
                raise
        except nats.errors.TimeoutError:
            pass
        else:
            return ack.sequence, changed
        await asyncio.sleep(random.random() * _RETRY_SECONDS)  # noqa: S311 - spreads rivals
