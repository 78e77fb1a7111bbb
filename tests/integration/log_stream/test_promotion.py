"""A generation becomes live on the real server: each event takes effect once, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client

from shared import jetstream
from shared.broker import connected
from shared.log_stream import generations
from shared.log_stream.generation import generation_of
from shared.log_stream.generations import Begun
from shared.log_stream.live_records import abort
from shared.log_stream.promote import Promotion
from shared.log_stream.verify import verify
from shared.settings import BrokerSettings
from tests.eventually import eventually
from tests.generation_rig import change_factor, entries_of, fixed_seed, live, prepare, records
from tests.integration.log_stream.test_generations import begin, outputs, settled
from tests.log_rig import publish
from tests.server import Server

KEYS = [f"k{n}" for n in range(7)]
OTHER = "5"


class KilledError(Exception):
    """Stands for a kill: whatever a promotion has done by then stands on the server."""


async def begin_other(server: Server, client: Client, name: str, at: int = 1) -> None:
    """Fold the log by another factor, as generation `new`."""
    how = Begun("", {f"IN_{name}": at}, OTHER, fixed_seed(OTHER, None))
    await begin(server, client, name, "new", how)


async def promote(server: Server, client: Client, name: str, kill_at: int = -1) -> list[str]:
    """Promote `new`; return what was said. Raises `KilledError` when so much was said."""
    said: list[str] = []

    def say(words: str) -> None:
        if len(said) == kill_at:
            raise KilledError(words)
        said.append(words)

    one = generation_of(entries_of(name), "new")
    how = await generations.begun(client, one)
    assert how is not None
    async with connected(BrokerSettings(url=server.url), "promote") as broker:
        promotion = Promotion(broker, one, how, say, fixed_seed)
        if not await promotion.is_live():
            await promotion.catch_up(lambda *_: None, asyncio.Event())
            await promotion.complete()
    return said


@contextlib.asynccontextmanager
async def traffic(client: Client, name: str) -> AsyncIterator[list[int]]:
    """Publish while the context is open; the list holds how many of each key were."""
    published = [0]
    stop = asyncio.Event()

    async def flow() -> None:
        while not stop.is_set():
            await publish(client, name, [*KEYS, "silent"])
            published[0] += 1

    async with asyncio.TaskGroup() as group:
        group.create_task(flow())
        try:
            yield published
        finally:
            stop.set()


async def once(client: Client, name: str, rounds: int) -> set[int]:
    """See that every event had its effect once; return how many the old state has counted."""
    found = await outputs(client, name)
    old: set[int] = set()
    for key in KEYS:
        counts = [json.loads(data) for data in found[f"out.{name}.{key}"]]
        factors = [factor for _, factor in counts]
        assert [count for count, _ in counts] == list(range(1, rounds + 1))
        assert factors == sorted(factors)
        before = factors.count(1)
        old.add(before)
        sums = [json.loads(data) for data in found[f"out.{name}.sum.{key}"]]
        assert sums == [[n, n * (1 if n <= before else 5)] for n in range(1, rounds + 1)]
    return old


async def complete(client: Client, name: str, rounds: list[int]) -> bool:
    return await settled(client, name, rounds[0] * len(KEYS))


async def verified(client: Client, name: str) -> tuple[int, int]:
    """Return how many outputs were verified of the live one, and from where on at most."""
    verdicts = [
        one for entry in entries_of(name) for one in await verify(client, entry, lambda _: None)
    ]
    assert [one.difference for one in verdicts if one.difference] == []
    return sum(one.outputs for one in verdicts), max(one.since for one in verdicts)


async def test_while_traffic_flows_there_is_no_gap_and_no_double(
    server: Server, client: Client, unique: str
) -> None:
    await prepare(client, unique)
    async with live(server.url, unique, "a"), live(server.url, unique, "b"):
        async with traffic(client, unique) as rounds:
            await eventually(lambda: rounds[0] > 20)
            await begin_other(server, client, unique)
            at = rounds[0]
            await promote(server, client, unique)
            promoted = rounds[0]
            await eventually(lambda: rounds[0] > promoted + 20)
        await eventually(lambda: complete(client, unique, rounds), 30)
        old = await once(client, unique, rounds[0])
        assert at <= min(old) <= max(old) <= promoted + 1
        compared, since = await verified(client, unique)
        assert since > 0
        assert compared >= 3 * len(KEYS) * 10
        # and once more, from nothing but the log and what the promotion has left
    await purge_own_snapshots(client, unique)
    async with live(server.url, unique, "c"):
        await publish(client, unique, KEYS)
        rounds[0] += 1
        await eventually(lambda: complete(client, unique, rounds), 30)
        assert await once(client, unique, rounds[0]) == old


async def purge_own_snapshots(client: Client, name: str) -> None:
    """Remove all snapshots but those that promotions have handed over."""
    for entry in entries_of(name):
        for number in range(entry.stage.source.partitions):
            await jetstream.call(
                client,
                f"STREAM.PURGE.{entry.stage.snapshots.name}",
                {"filter": f"{entry.stage.snapshot_prefix}.{number}.>"},
            )


@pytest.mark.parametrize("kill_at", range(2, 10))
async def test_killed_anywhere_it_completes_when_it_is_run_again(
    server: Server, client: Client, unique: str, kill_at: int
) -> None:
    await prepare(client, unique)
    async with live(server.url, unique):
        async with traffic(client, unique) as rounds:
            await eventually(lambda: rounds[0] > 5)
            await begin_other(server, client, unique)
            with contextlib.suppress(KilledError):
                await promote(server, client, unique, kill_at)
            await promote(server, client, unique)
            promoted = rounds[0]
            await eventually(lambda: rounds[0] > promoted + 5)
        await eventually(lambda: complete(client, unique, rounds), 30)
        await once(client, unique, rounds[0])
        await verified(client, unique)
    assert {one.generation for one in await records(client, entries_of(unique))} == {"new"}


@pytest.mark.parametrize("kill_at", [3, 5, 7, 8])
async def test_undone_in_time_all_is_as_before(
    server: Server, client: Client, unique: str, kill_at: int
) -> None:
    await prepare(client, unique)
    async with live(server.url, unique) as members:
        async with traffic(client, unique) as rounds:
            await eventually(lambda: rounds[0] > 5)
            await begin_other(server, client, unique)
            with contextlib.suppress(KilledError):
                await promote(server, client, unique, kill_at)
            await eventually(lambda: members[0].held)
            assert not members[0].ready
            assert any("promote" in why for why in members[0].why_not_ready())
            await abort(client, generation_of(entries_of(unique), "new"))
            await eventually(lambda: members[0].ready and members[1].ready, 30)
        await eventually(lambda: complete(client, unique, rounds), 30)
        assert await once(client, unique, rounds[0]) == {rounds[0]}  # by the old factor alone
        await verified(client, unique)


async def test_after_it_the_log_changes_the_rules_again(
    server: Server, client: Client, unique: str
) -> None:
    await prepare(client, unique)
    async with live(server.url, unique):
        await publish(client, unique, ["k"])
        await change_factor(client, unique, 3)
        await eventually(lambda: settled(client, unique, 1))
        await begin_other(server, client, unique)
        await promote(server, client, unique)
        await publish(client, unique, ["k"])
        await eventually(lambda: settled(client, unique, 2))
        await change_factor(client, unique, 9)
        await publish(client, unique, ["k"])
        await eventually(lambda: settled(client, unique, 3))
        found = await outputs(client, unique)
        assert found[f"out.{unique}.k"] == [b"[1, 1]", b"[2, 5]", b"[3, 9]"]


async def test_it_works_without_members_too(server: Server, client: Client, unique: str) -> None:
    await prepare(client, unique)
    async with live(server.url, unique):
        await publish(client, unique, KEYS)
        await eventually(lambda: settled(client, unique, len(KEYS)))
    await publish(client, unique, KEYS)
    await begin_other(server, client, unique)
    await promote(server, client, unique)
    assert await once(client, unique, 2) == {2}  # live was behind: run up by its own state
    snapshots = f"STREAM.PURGE.SNAP_{unique}"  # the first stage has the log to fold anew
    await jetstream.call(client, snapshots, {"filter": f"snap-{unique}.base.>"})
    async with live(server.url, unique):
        await publish(client, unique, KEYS)
        await eventually(lambda: settled(client, unique, 3 * len(KEYS)))
    assert await once(client, unique, 3) == {2}
