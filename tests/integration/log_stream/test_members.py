"""Members join and leave, die and come back; results once each, in the order of their key."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any

from nats.aio.client import Client
from structlog.testing import capture_logs

from shared import jetstream
from shared.log_stream.fold import Event, Output
from shared.log_stream.member import Member
from shared.log_stream.partition import Partition
from shared.log_stream.partitions import owner_of, partition_of
from shared.log_stream.stage import Stage
from tests.eventually import eventually
from tests.log_rig import PARTITIONS, Counting, complete, member, owners, prepare, publish, records
from tests.server import Server

KEYS = [f"k{n % 13}" for n in range(130)]
NAMES = ("a", "b", "c")


def rightful(*members: Member, names: tuple[str, ...]) -> bool:
    """Whether each partition is run by the one whom the names give it."""
    by_name = dict(zip(NAMES, members, strict=False))
    return all(
        number in run_by(by_name[owner_of(number, names) or ""]) for number in range(PARTITIONS)
    ) and owners(members) == dict.fromkeys(range(PARTITIONS), 1)


def run_by(one: Member) -> dict[int, Partition]:
    return {number: partition for number, partition in one.partitions.items() if partition.reading}


async def test_who_joins_or_leaves_stops_none_of_the_partitions_that_stay(
    server: Server, client: Client, unique: str
) -> None:
    await prepare(client, unique)
    async with member(server.url, unique, "a") as a, contextlib.AsyncExitStack() as leaving:
        await eventually(lambda: rightful(a, names=("a",)))
        alone = run_by(a)
        b = await leaving.enter_async_context(member(server.url, unique, "b"))
        c = await leaving.enter_async_context(member(server.url, unique, "c"))
        await publish(client, unique, KEYS)
        await eventually(lambda: rightful(a, b, c, names=NAMES), 20)
        together = run_by(a)
        assert together.items() <= alone.items()  # the very same that ran before
        assert len(together) < PARTITIONS
        await publish(client, unique, KEYS)
        await leaving.aclose()
        await eventually(lambda: rightful(a, names=("a",)), 20)
        assert together.items() <= run_by(a).items()
        await publish(client, unique, KEYS)
        await eventually(lambda: complete(client, unique))


async def test_a_member_that_cannot_commit_loses_nothing_once_there_is_room(
    server: Server, client: Client, unique: str
) -> None:
    stage = await prepare(client, unique)
    target = (await jetstream.call(client, f"STREAM.INFO.{stage.target.name}"))["config"]
    full = target | {"max_bytes": 20_000, "discard": "new"}
    with capture_logs() as said:
        async with member(server.url, unique, "a") as a:
            await eventually(lambda: rightful(a, names=("a",)))
            owned = run_by(a)
            await jetstream.call(client, f"STREAM.UPDATE.{stage.target.name}", full)
            for _ in range(4):
                await publish(client, unique, KEYS)
            await eventually(lambda: refused(said) == set(map(stage.position, owned)))
            assert not await complete(client, unique)
            await jetstream.call(client, f"STREAM.UPDATE.{stage.target.name}", target)
            await eventually(lambda: complete(client, unique), 20)
            assert run_by(a) == owned  # none was given up


def refused(said: Iterable[MutableMapping[str, Any]]) -> set[str]:
    """Return the positions whose commit was refused for want of room, as the log says it."""
    lines = [line for line in said if line["event"] == "commit failed"]
    return {line["subject"] for line in lines if "maximum bytes exceeded" in line["error"]}


class Fragile(Counting):
    """Cannot take an event that says so."""

    def apply(self, event: Event) -> Sequence[Output]:
        if b"fragile" in event.data:
            raise KeyError("fragile")
        return super().apply(event)


async def test_a_fold_that_fails_stops_its_partition_and_no_other(
    server: Server, client: Client, unique: str
) -> None:
    stage = await prepare(client, unique)
    number = partition_of(PARTITIONS, KEYS[0])
    async with member(server.url, unique, "a", fold=Fragile) as a:
        await eventually(lambda: rightful(a, names=("a",)))
        others = {n: one for n, one in run_by(a).items() if n != number}
        await publish(client, unique, KEYS)
        await publish(client, unique, [KEYS[0]], {"fragile": True})
        await publish(client, unique, KEYS)
        await eventually(lambda: number in a.broken)
        assert f"the fold failed at {stage.source.name}:" in a.why_not_ready()[0]
        done = await records(client, stage)
        await eventually(lambda: _all_done(client, stage, number))
        assert run_by(a) == others
        assert done[number].sequence > 0  # what came before is out
    async with member(server.url, unique, "b") as b:
        await eventually(lambda: complete(client, unique))
        assert b.ready


async def _all_done(client: Client, stage: Stage, but: int) -> bool:
    """Whether every other partition has folded what there is of it."""
    for number, record in (await records(client, stage)).items():
        events = stage.events(number)
        last = await jetstream.last_message(client, stage.source.name, events)
        if number != but and (last is None or record.sequence < last.sequence):
            return False
    return True
