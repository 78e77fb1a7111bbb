"""A log that lost what was not folded stops the partition; one that did not goes on.

The mending command is typed as it is said, with the nats CLI.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from nats.aio.client import Client
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from shared import jetstream
from shared.log_metrics import MemberCollector
from shared.log_stream import position
from shared.log_stream.member import Member
from shared.log_stream.partitions import partition_of
from shared.log_stream.stage import Stage
from tests.eventually import eventually
from tests.log_rig import (
    PARTITIONS,
    POLICY,
    by_subject,
    complete,
    member,
    prepare,
    publish,
    records,
    results,
)
from tests.mending import mend, typed
from tests.server import Server

KEYS = [f"k{n % 13}" for n in range(130)]
IDLE_KEY = "k0"
IDLE = partition_of(PARTITIONS, IDLE_KEY)
BUSY_KEYS = [key for key in KEYS if partition_of(PARTITIONS, key) != IDLE]
CAREFUL = msgspec.structs.replace(POLICY, upkeep_seconds=0.1)
CARELESS = msgspec.structs.replace(POLICY, upkeep_seconds=3600)


async def state_of(client: Client, stream: str) -> dict[str, int]:
    info = await jetstream.call(client, f"STREAM.INFO.{stream}")
    state: dict[str, int] = info["state"]
    return state


async def purge(client: Client, stream: str, **how: object) -> None:
    await jetstream.call(client, f"STREAM.PURGE.{stream}", how)


async def counted(client: Client, name: str) -> bool:
    """Whether each key has the counts 1, 2, 3, ...: no event lost, none twice."""
    found = {
        subject: [msgspec.json.decode(data)[0] for data in bodies]
        for subject, bodies in by_subject(await results(client, name)).items()
        if ".tick-" not in subject
    }
    return all(counts == list(range(1, len(counts) + 1)) for counts in found.values())


async def at_least(client: Client, name: str, subject: str, count: int) -> bool:
    return len(by_subject(await results(client, name)).get(subject, [])) >= count


async def quiet(client: Client, stage: Stage) -> bool:
    """Whether each partition has noted that the log holds no more of it."""
    last = (await state_of(client, stage.source.name))["last_seq"]
    return all(
        max(record.sequence, record.clear[0]) >= last
        for record in (await records(client, stage)).values()
    )


async def test_an_idle_partition_goes_on_when_its_last_event_has_left_the_log(
    server: Server, client: Client, unique: str
) -> None:
    stage = await prepare(client, unique)
    async with member(server.url, unique, "a", CAREFUL) as a:
        await publish(client, unique, KEYS)
        await eventually(lambda: complete(client, unique))
        await eventually(lambda: _no_window_open(a))
        await publish(client, unique, BUSY_KEYS)
        await eventually(lambda: quiet(client, stage))
        last = (await records(client, stage))[IDLE].sequence
        await purge(client, stage.source.name, keep=20)
        await publish(client, unique, BUSY_KEYS)
    assert (await state_of(client, stage.source.name))["first_seq"] > last
    async with member(server.url, unique, "b", CAREFUL) as b:
        await eventually(lambda: len(b.partitions) == PARTITIONS and b.ready)
        await publish(client, unique, KEYS)
        await eventually(lambda: at_least(client, unique, f"out.{unique}.{IDLE_KEY}", 20))
        assert not b.broken
    assert await counted(client, unique)


async def test_a_log_that_is_emptied_when_all_was_folded_lost_nothing(
    server: Server, client: Client, unique: str
) -> None:
    stage = await prepare(client, unique)
    async with member(server.url, unique, "a", CAREFUL):
        await publish(client, unique, KEYS)
        await eventually(lambda: complete(client, unique))
        await eventually(lambda: quiet(client, stage))
        await purge(client, stage.source.name)
        await publish(client, unique, KEYS)
        await eventually(lambda: at_least(client, unique, f"out.{unique}.{IDLE_KEY}", 20))
    await purge(client, stage.source.name)
    async with member(server.url, unique, "b", CAREFUL) as b:
        await eventually(lambda: len(b.partitions) == PARTITIONS and b.ready)
        await publish(client, unique, KEYS)
        await eventually(lambda: at_least(client, unique, f"out.{unique}.{IDLE_KEY}", 30))
        assert not b.broken
    assert await counted(client, unique)


async def test_windows_are_closed_by_ticks_though_their_events_have_left_the_log(
    server: Server, client: Client, unique: str
) -> None:
    stage = await prepare(client, unique)
    slow = msgspec.structs.replace(CAREFUL, idle_seconds=3600)
    async with member(server.url, unique, "a", slow):
        await publish(client, unique, [IDLE_KEY])
        await eventually(lambda: complete(client, unique))
    await purge(client, stage.source.name)
    async with member(server.url, unique, "b", CAREFUL):
        await eventually(lambda: at_least(client, unique, f"out.{unique}.tick-{IDLE_KEY}", 1))


async def test_events_purged_before_they_were_folded_stop_the_partition_until_it_is_mended(
    server: Server, client: Client, unique: str, nats_cli: str
) -> None:
    stage = await prepare(client, unique)
    async with member(server.url, unique, "a", CAREFUL):
        await publish(client, unique, KEYS)
        await eventually(lambda: complete(client, unique))
    await publish(client, unique, KEYS)
    await purge(client, stage.source.name, keep=30)
    before = await results(client, unique)
    async with member(server.url, unique, "b", CAREFUL) as b:
        await eventually(lambda: len(b.broken) == PARTITIONS)
        assert all("were purged or have aged out" in why for why in b.why_not_ready())
        assert await results(client, unique) == before
        await mend(nats_cli, server.url, *b.broken.values())
        await eventually(lambda: b.ready and len(b.partitions) == PARTITIONS, 20)
        # What there is was folded from its beginning, results again.
        await eventually(lambda: _added(client, unique, len(before)), 20)


async def _added(client: Client, name: str, before: int) -> bool:
    """Whether the 30 events that are left have been folded as if they were the first."""
    found = [(s, d) for s, d in (await results(client, name))[before:] if ".tick-" not in s]
    return sum(map(len, by_subject(found).values())) == 30 and all(
        [msgspec.json.decode(data)[0] for data in bodies] == list(range(1, len(bodies) + 1))
        for bodies in by_subject(found).values()
    )


async def test_one_broken_partition_says_why_and_leaves_the_others_running(
    server: Server, client: Client, unique: str, nats_cli: str
) -> None:
    stage = await prepare(client, unique)
    async with member(server.url, unique, "a", CARELESS) as a:
        await publish(client, unique, KEYS)
        await eventually(lambda: complete(client, unique))
        await eventually(lambda: _no_window_open(a))
        registry = CollectorRegistry()
        registry.register(MemberCollector(lambda: [a]))
        others = {n: one for n, one in a.partitions.items() if n != IDLE}
        _, record = await position.claim(
            client, stage.target.name, stage.position(IDLE), "an older member"
        )
        await typed(
            nats_cli, server.url, "stream", "rmm", stage.source.name, str(record.sequence), "-f"
        )
        await publish(client, unique, [IDLE_KEY])  # is refused a commit, so claims again
        await eventually(lambda: IDLE in a.broken)
        assert not a.ready
        assert a.why_not_ready() == [a.broken[IDLE]]
        assert f"stands at {stage.source.name}:{record.sequence}" in a.broken[IDLE]
        assert "it was deleted" in a.broken[IDLE]
        broken = {"group": stage.group}
        assert registry.get_sample_value("headrace_broken_partitions", broken) == 1
        await publish(client, unique, BUSY_KEYS)
        busy = BUSY_KEYS[0]
        await eventually(lambda: at_least(client, unique, f"out.{unique}.{busy}", 20))
        assert {n: one for n, one in a.partitions.items() if n != IDLE} == others
        await mend(nats_cli, server.url, a.broken[IDLE])
        await eventually(lambda: a.ready and len(a.partitions) == PARTITIONS, 20)
        assert registry.get_sample_value("headrace_broken_partitions", broken) == 0


def _no_window_open(one: Member) -> bool:
    """Whether no tick will come: the last folded event is then the last of its partition."""
    return not any(partition.fold.open_windows() for partition in one.partitions.values())


async def test_a_log_restored_from_an_older_backup_is_not_the_one_that_was_folded(
    server: Server, client: Client, unique: str, nats_cli: str, tmp_path: Path
) -> None:
    stage = await prepare(client, unique)
    async with member(server.url, unique, "a", CAREFUL):
        await publish(client, unique, KEYS)
        await eventually(lambda: complete(client, unique))
    source = stage.source.name
    backup = str(tmp_path / "backup")
    await typed(nats_cli, server.url, "backup", "stream", source, backup)
    async with member(server.url, unique, "a", CAREFUL):
        await publish(client, unique, KEYS)
        await eventually(lambda: complete(client, unique))
    await jetstream.call(client, f"STREAM.DELETE.{source}")
    await typed(nats_cli, server.url, "backup", "restore", "stream", backup)
    async with member(server.url, unique, "b", CAREFUL) as b:
        await eventually(lambda: len(b.broken) == PARTITIONS)
        assert all("ends at" in why for why in b.broken.values())
        await publish(client, unique, KEYS * 3)  # now there is a message again, another one
        await eventually(
            lambda: all("holds another message" in why for why in b.broken.values()), 20
        )
        await mend(nats_cli, server.url, *b.broken.values())
        await eventually(lambda: b.ready and len(b.partitions) == PARTITIONS, 20)


async def test_a_log_restored_as_it_was_is_the_one_that_was_folded(
    server: Server, client: Client, unique: str, nats_cli: str, tmp_path: Path
) -> None:
    stage = await prepare(client, unique)
    async with member(server.url, unique, "a", CAREFUL):
        await publish(client, unique, KEYS)
        await eventually(lambda: complete(client, unique))
    source = stage.source.name
    backup = str(tmp_path / "backup")
    await typed(nats_cli, server.url, "backup", "stream", source, backup)
    await jetstream.call(client, f"STREAM.DELETE.{source}")
    await typed(nats_cli, server.url, "backup", "restore", "stream", backup)
    async with member(server.url, unique, "b", CAREFUL) as b:
        await publish(client, unique, KEYS)
        await eventually(lambda: complete(client, unique))
        assert not b.broken


async def test_a_log_recreated_while_it_is_read_stops_its_partitions(
    server: Server, client: Client, unique: str, nats_cli: str
) -> None:
    stage = await prepare(client, unique)
    async with member(server.url, unique, "a", CAREFUL) as a:
        await publish(client, unique, KEYS)
        await eventually(lambda: complete(client, unique))
        before = len(await results(client, unique))
        await jetstream.call(client, f"STREAM.DELETE.{stage.source.name}")
        await prepare(client, unique)
        await publish(client, unique, KEYS * 2)
        await eventually(lambda: len(a.broken) == PARTITIONS, 20)
        assert len(await results(client, unique)) == before
        await mend(nats_cli, server.url, *a.broken.values())
        await eventually(lambda: a.ready and len(a.partitions) == PARTITIONS, 20)


async def test_events_purged_while_a_member_lags_are_missed(
    server: Server, client: Client, unique: str, nats_cli: str
) -> None:
    stage = await prepare(client, unique)
    target = (await jetstream.call(client, f"STREAM.INFO.{stage.target.name}"))["config"]
    full = target | {"max_bytes": 20_000, "discard": "new"}
    with capture_logs() as said:
        async with member(server.url, unique, "a", CARELESS) as a:
            await publish(client, unique, KEYS)
            await eventually(lambda: complete(client, unique))
            await jetstream.call(client, f"STREAM.UPDATE.{stage.target.name}", full)
            # So much waits for its commit that reading waits too.
            await publish(client, unique, [IDLE_KEY], {"burst": 6000})
            for _ in range(3000):
                await client.publish(f"in.{unique}.{IDLE_KEY}", b"{}")
            await client.flush()
            # Tried again at growing intervals: so it has been held up for some seconds.
            failed = {"event": "commit failed", "subject": stage.position(IDLE)}
            await eventually(lambda: sum(failed.items() <= line.items() for line in said) > 5, 20)
            await purge(client, stage.source.name, keep=1)
            await jetstream.call(client, f"STREAM.UPDATE.{stage.target.name}", target)
            await eventually(lambda: IDLE in a.broken, 20)
            await mend(nats_cli, server.url, a.broken[IDLE])
            await eventually(lambda: a.ready and IDLE in a.partitions, 20)
