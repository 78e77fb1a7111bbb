"""The log engine on the real server: everything once, whoever owns a partition."""

from __future__ import annotations

import msgspec
from nats.aio.client import Client

from shared import jetstream
from shared.log_stream import position
from shared.log_stream.position import Position
from tests.eventually import eventually
from tests.log_rig import (
    PARTITIONS,
    by_subject,
    complete,
    member,
    owners,
    prepare,
    publish,
    results,
    stage_of,
)
from tests.server import Server

KEYS = [f"k{n % 13}" for n in range(300)]


async def test_results_are_what_the_log_demands(
    server: Server, client: Client, unique: str
) -> None:
    await prepare(client, unique)
    await publish(client, unique, KEYS)
    async with member(server.url, unique, "a"):
        await eventually(lambda: complete(client, unique))
        await publish(client, unique, KEYS, b"\xff not json")
        await eventually(lambda: complete(client, unique))


async def test_a_stop_and_a_start_lose_and_repeat_nothing(
    server: Server, client: Client, unique: str
) -> None:
    await prepare(client, unique)
    for _ in range(3):
        async with member(server.url, unique, "a") as one:
            await eventually(lambda: len(one.partitions) == PARTITIONS)
            await publish(client, unique, KEYS[:100])
    async with member(server.url, unique, "b"):
        await eventually(lambda: complete(client, unique))


async def test_an_event_that_emits_more_than_a_batch_holds_is_split_and_whole(
    server: Server, client: Client, unique: str
) -> None:
    await prepare(client, unique)
    await publish(client, unique, ["a"], {"burst": 2500})
    await publish(client, unique, ["a", "a"])
    async with member(server.url, unique, "a"):
        await eventually(lambda: complete(client, unique))


async def test_members_share_the_partitions_and_each_has_one_owner(
    server: Server, client: Client, unique: str
) -> None:
    await prepare(client, unique)
    async with member(server.url, unique, "a") as a:
        await eventually(lambda: len(a.partitions) == PARTITIONS)
        async with member(server.url, unique, "b") as b, member(server.url, unique, "c") as c:
            await publish(client, unique, KEYS)
            await eventually(
                lambda: (
                    owners((a, b, c)) == dict.fromkeys(range(PARTITIONS), 1)
                    and len(a.partitions) < PARTITIONS
                )
            )
            await eventually(lambda: complete(client, unique))
        await eventually(lambda: len(a.partitions) == PARTITIONS)
        await publish(client, unique, KEYS)
        await eventually(lambda: complete(client, unique))


async def test_windows_close_by_ticks_when_events_stop(
    server: Server, client: Client, unique: str
) -> None:
    await prepare(client, unique)
    async with member(server.url, unique, "a"):
        await publish(client, unique, ["x", "x", "y"])
        await eventually(
            lambda: _has(client, unique, {f"out.{unique}.tick-x", f"out.{unique}.tick-y"})
        )
        await eventually(lambda: complete(client, unique))


async def _has(client: Client, name: str, subjects: set[str]) -> bool:
    return subjects <= set(by_subject(await results(client, name)))


async def test_who_was_fenced_writes_nothing_more(
    server: Server, client: Client, unique: str
) -> None:
    stage = await prepare(client, unique)
    async with member(server.url, unique, "a") as a:
        await eventually(lambda: len(a.partitions) == PARTITIONS)
        await publish(client, unique, KEYS)
        await eventually(lambda: complete(client, unique))
        for number in range(PARTITIONS):
            await position.claim(client, stage.target.name, stage.position(number), "usurper")
        before = len(await results(client, unique))
        await publish(client, unique, ["k1", "k2", "k3", "k4", "k5", "k6", "k7"])
        await eventually(lambda: a.fenced >= 1)
        assert len(await results(client, unique)) >= before
        # it claims again, with an epoch above the usurper's, and goes on from the record
        await eventually(lambda: complete(client, unique))


async def test_a_snapshot_shortens_the_way_back(
    server: Server, client: Client, unique: str
) -> None:
    stage = await prepare(client, unique)
    async with member(server.url, unique, "a"):
        for _ in range(4):
            await publish(client, unique, KEYS)
        await eventually(lambda: complete(client, unique))
    records = [
        (await position.read(client, stage.target.name, stage.position(n)))[1]
        for n in range(PARTITIONS)
    ]
    assert all(record.snapshot is not None for record in records if record.sequence)
    async with member(server.url, unique, "b") as b:
        await eventually(lambda: len(b.partitions) == PARTITIONS)
        await publish(client, unique, KEYS)
        await eventually(lambda: complete(client, unique))
        # it has folded the new events only, and a tick here and there
        folded = sum(one.stats.events for one in b.partitions.values())
        assert len(KEYS) <= folded < 2 * len(KEYS)


async def test_without_its_snapshot_a_partition_is_folded_anew(
    server: Server, client: Client, unique: str
) -> None:
    stage = await prepare(client, unique)
    async with member(server.url, unique, "a"):
        await publish(client, unique, KEYS)
        await eventually(lambda: complete(client, unique))
    await jetstream.call(client, f"STREAM.PURGE.{stage.snapshots.name}", {})
    async with member(server.url, unique, "b") as b:
        await publish(client, unique, KEYS)
        await eventually(lambda: complete(client, unique))
        assert sum(one.stats.suppressed for one in b.partitions.values()) >= len(KEYS)


async def test_a_log_that_is_not_the_folded_one_stops_the_partition_and_says_what_mends_it(
    server: Server, client: Client, unique: str
) -> None:
    stage = await prepare(client, unique)
    async with member(server.url, unique, "a"):
        await publish(client, unique, KEYS)
        await eventually(lambda: complete(client, unique))
    await jetstream.call(client, f"STREAM.DELETE.{stage.source.name}")
    await prepare(client, unique)
    await publish(client, unique, KEYS[:50])
    before = await results(client, unique)
    async with member(server.url, unique, "b") as b:
        await eventually(lambda: len(b.broken) == PARTITIONS)
        assert not b.ready
        assert all(f"nats stream purge OUT_{unique}" in why for why in b.broken.values())
    assert await results(client, unique) == before


async def test_a_damaged_snapshot_is_not_used(server: Server, client: Client, unique: str) -> None:
    stage = await prepare(client, unique)
    async with member(server.url, unique, "a"):
        await publish(client, unique, KEYS)
        await eventually(lambda: complete(client, unique))
    for number in range(PARTITIONS):
        subject = stage.position(number)
        sequence, record = await position.read(client, stage.target.name, subject)
        assert record.snapshot is not None
        other = msgspec.structs.replace(record.snapshot, crc=record.snapshot.crc ^ 1)
        spoiled: Position = msgspec.structs.replace(record, snapshot=other)
        await jetstream.publish(
            client, subject, msgspec.json.encode(spoiled), {"Nats-Rollup": "sub"}
        )
        assert sequence
    async with member(server.url, unique, "b"):
        await publish(client, unique, KEYS)
        await eventually(lambda: complete(client, unique))


def test_the_rig_names_what_it_uses() -> None:
    assert stage_of("x").events(3) == "log-x.3.>"
