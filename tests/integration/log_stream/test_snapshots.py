"""Snapshots on the real server: used when they fit, done without when they do not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec
import pytest
from nats.aio.client import Client
from structlog.testing import capture_logs

from shared import jetstream
from shared.log_stream import snapshots
from shared.log_stream.fold import Fold
from shared.log_stream.position import Position
from shared.log_stream.stage import Stage
from shared.provision import provision
from shared.settings import StreamSettings
from tests.eventually import eventually
from tests.log_rig import (
    PARTITIONS,
    POLICY,
    Counting,
    complete,
    member,
    prepare,
    publish,
    records,
    topology_of,
)
from tests.server import Server

KEYS = [f"k{n % 40}" for n in range(1200)]
EAGER = msgspec.structs.replace(POLICY, snapshot_least_events=50)


class NextCounting(Counting):
    """The same with another form of its snapshot."""

    schema = 2


class ForgetfulCounting(Counting):
    """Another form, and whoever changed it forgot to count `schema` up."""

    def restore(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            raise KeyError(piece)


async def lose_a_chunk(client: Client, stage: Stage, _: str, record: Position) -> None:
    assert record.snapshot is not None
    chunk = record.snapshot.chunks[0]
    await jetstream.call(client, f"STREAM.MSG.DELETE.{stage.snapshots.name}", {"seq": chunk})


async def change_a_chunk(client: Client, stage: Stage, subject: str, record: Position) -> None:
    """Let the record name a chunk of another body, as if the disk had spoiled it."""
    assert record.snapshot is not None
    chunk = f"{stage.snapshot_prefix}.spoiled"
    ack = await jetstream.publish(client, chunk, msgspec.msgpack.encode([b"\x92\xa5since\x90"]))
    other = msgspec.structs.replace(record.snapshot, chunks=(ack.sequence,))
    spoiled = msgspec.structs.replace(record, snapshot=other)
    await jetstream.publish(client, subject, msgspec.json.encode(spoiled), {"Nats-Rollup": "sub"})


async def nothing(_: Client, __: Stage, ___: str, ____: Position) -> None:
    pass


@pytest.mark.parametrize(
    ("harm", "fold", "reason"),
    [
        (lose_a_chunk, Counting, "is gone"),
        (change_a_chunk, Counting, "checksum"),
        (nothing, NextCounting, "schema 1, this code has 2"),
        (nothing, ForgetfulCounting, "of another form"),
    ],
)
async def test_without_a_usable_snapshot_the_log_is_folded_anew(
    server: Server,
    client: Client,
    unique: str,
    *,
    harm: Callable[[Client, Stage, str, Position], object],
    fold: Callable[[str], Fold],
    reason: str,
) -> None:
    stage = await prepare(client, unique)
    async with member(server.url, unique, "a", EAGER):
        await publish(client, unique, KEYS[:300])
        await eventually(lambda: complete(client, unique))
    for number, record in (await records(client, stage)).items():
        await harm(client, stage, stage.position(number), record)  # type: ignore[misc]
    with capture_logs() as said:
        async with member(server.url, unique, "b", EAGER, fold) as b:
            await publish(client, unique, KEYS[:300])
            await eventually(lambda: complete(client, unique))
            assert sum(one.stats.suppressed for one in b.partitions.values()) >= 300
            assert b.ready
    unusable = [line for line in said if line["event"] == "snapshot unusable, folding anew"]
    assert len(unusable) == PARTITIONS
    assert all(reason in line["error"] for line in unusable)
    for record in (await records(client, stage)).values():
        assert record.snapshot is not None  # and it has made one that it can use
        assert record.snapshot.schema == fold("").schema


async def break_the_snapshot_stream(client: Client, stage: Stage, *, missing: bool) -> None:
    if missing:
        await jetstream.call(client, f"STREAM.DELETE.{stage.snapshots.name}")
        return
    info = await jetstream.call(client, f"STREAM.INFO.{stage.snapshots.name}")
    full = info["config"] | {"max_bytes": 1, "discard": "new"}
    await jetstream.call(client, f"STREAM.UPDATE.{stage.snapshots.name}", full)


async def mend_the_snapshot_stream(client: Client, stage: Stage, *, missing: bool) -> None:
    if missing:
        await provision(client, topology_of(stage), StreamSettings())
        return
    info = await jetstream.call(client, f"STREAM.INFO.{stage.snapshots.name}")
    roomy = info["config"] | {"max_bytes": -1}
    await jetstream.call(client, f"STREAM.UPDATE.{stage.snapshots.name}", roomy)


@pytest.mark.parametrize("missing", [True, False], ids=["stream missing", "stream full"])
async def test_a_snapshot_that_cannot_be_stored_is_tried_later_and_stops_nothing(
    server: Server, client: Client, unique: str, *, missing: bool
) -> None:
    stage = await prepare(client, unique)
    with capture_logs() as said:
        async with member(server.url, unique, "a", EAGER) as a:
            await eventually(lambda: len(a.partitions) == PARTITIONS)
            owned = dict(a.partitions)
            await break_the_snapshot_stream(client, stage, missing=missing)
            await publish(client, unique, KEYS)
            await eventually(lambda: complete(client, unique))
            assert [line for line in said if line["event"] == "snapshot failed"]
            assert all(one.snapshot is None for one in (await records(client, stage)).values())
            await mend_the_snapshot_stream(client, stage, missing=missing)
            await publish(client, unique, KEYS)
            await eventually(lambda: _all_named(client, stage))
            await eventually(lambda: complete(client, unique))
            assert a.partitions == owned  # none was given up meanwhile


async def _all_named(client: Client, stage: Stage) -> bool:
    found = await records(client, stage)
    return all(record.snapshot is not None for record in found.values())


async def test_what_no_record_names_is_removed_with_the_next_snapshot(
    server: Server, client: Client, unique: str
) -> None:
    stage = await prepare(client, unique)
    for number in range(PARTITIONS):  # of a zombie, say, whose record was refused
        await jetstream.publish(client, f"{stage.snapshot_prefix}.{number}.1-1.0", b"orphan")
    async with member(server.url, unique, "a", EAGER):
        await publish(client, unique, KEYS)
        await eventually(lambda: complete(client, unique))
    named = {
        chunk
        for record in (await records(client, stage)).values()
        if record.snapshot
        for chunk in record.snapshot.chunks
    }
    info = await jetstream.call(client, f"STREAM.INFO.{stage.snapshots.name}")
    assert info["state"]["messages"] == len(named)


async def test_a_log_that_forgets_is_followed_by_snapshots_however_few_events_there_are(
    server: Server, client: Client, unique: str
) -> None:
    stage = await prepare(client, unique)
    source = (await jetstream.call(client, f"STREAM.INFO.{stage.source.name}"))["config"]
    await jetstream.call(client, f"STREAM.UPDATE.{stage.source.name}", source | {"max_msgs": 400})
    rare = msgspec.structs.replace(POLICY, snapshot_least_events=1_000_000, upkeep_seconds=0.05)
    async with member(server.url, unique, "a", rare):
        for start in range(0, 1200, 20):
            await publish(client, unique, KEYS[start : start + 20])
            await eventually(lambda last=start + 20: _folded(client, stage, last))  # type: ignore[misc]
        taken = await records(client, stage)
    first = (await jetstream.call(client, f"STREAM.INFO.{stage.source.name}"))["state"]["first_seq"]
    assert first > 400
    for record in taken.values():  # as it would have been found after a kill
        assert record.snapshot is not None
        assert record.snapshot.sequence >= first - 1


async def _folded(client: Client, stage: Stage, last: int) -> bool:
    found = await records(client, stage)
    return max(record.sequence for record in found.values()) >= last


async def test_encoding_lets_others_run_between_any_two_pieces() -> None:
    turns = 0
    ended = asyncio.Event()

    async def others() -> None:
        nonlocal turns
        while not ended.is_set():
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(others())
        pieces = 500
        chunks = await snapshots.encode([n, "x" * 3000] for n in range(pieces))
        ended.set()
    assert turns >= pieces
    assert len(chunks) > 1
    assert max(map(len, chunks)) < 500_000
