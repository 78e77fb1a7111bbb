"""`diff` and `verify` on the real server: they find what differs, and say what they cannot tell."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from nats.aio.client import Client

from shared import jetstream
from shared.contracts import headers
from shared.log_stream import position
from shared.log_stream.diff import Comparison, compare
from shared.log_stream.emitted import Within
from shared.log_stream.expected import Verdict
from shared.log_stream.generation import generation_of
from shared.log_stream.generations import Begun
from shared.log_stream.replay import sequence_at
from shared.log_stream.verify import UnverifiableError, verify
from tests.eventually import eventually
from tests.generation_rig import change_factor, entries_of, fixed_seed, live, prepare
from tests.integration.log_stream.test_generations import begin, settled
from tests.log_rig import publish
from tests.server import Server

KEYS = [f"k{n % 5}" for n in range(60)]


async def folded(server: Server, client: Client, name: str) -> None:
    """Publish, and let members fold it."""
    await prepare(client, name)
    async with live(server.url, name):
        await publish(client, name, KEYS)
        await eventually(lambda: settled(client, name, len(KEYS)))


async def compared(client: Client, name: str, one: str, other: str) -> Comparison:
    pair = (generation_of(entries_of(name), one), generation_of(entries_of(name), other))
    return await compare(client, pair, lambda _: None)


async def verdicts(client: Client, name: str, generation: str = "live") -> list[Verdict]:
    entries = generation_of(entries_of(name), generation).entries
    return [one for entry in entries for one in await verify(client, entry, lambda _: None)]


async def test_other_rules_differ_and_the_first_difference_is_told(
    server: Server, client: Client, unique: str
) -> None:
    await folded(server, client, unique)
    how = Begun("", {f"IN_{unique}": 1}, "5", fixed_seed("5", None))
    await begin(server, client, unique, "other", how)
    found = await compared(client, unique, "live", "other")
    assert len(found.differences) == found.subjects == 10
    assert found.messages == (2 * len(KEYS), 2 * len(KEYS))
    (one,) = [one for one in found.differences if one.subject == f"out.{unique}.k0"]
    assert one.counts == (12, 12)
    assert f"only live has OUT_{unique}:" in one.first
    assert "[1, 1]" in one.first
    assert "[1, 5]" in one.first


async def test_a_lost_message_and_a_forged_one_are_found_and_those_to_come_are_none(
    server: Server, client: Client, unique: str
) -> None:
    await folded(server, client, unique)
    await begin(server, client, unique, "new")
    assert (await compared(client, unique, "live", "new")).differences == ()
    async with live(server.url, unique):
        await publish(client, unique, ["k0", "k1"])
        await eventually(lambda: settled(client, unique, len(KEYS) + 2))
    ahead = await compared(client, unique, "live", "new")
    assert ahead.differences == ()
    assert ahead.ahead == (4, 0)
    last = await jetstream.last_message(
        client, f"OUT_{unique}-new", f"generation.new.out.{unique}.k2"
    )
    assert last is not None
    await jetstream.delete_message(client, f"OUT_{unique}-new", last.sequence)
    lost = await compared(client, unique, "live", "new")
    assert [(one.subject, one.counts) for one in lost.differences] == [
        (f"out.{unique}.k2", (12, 11))
    ]
    forged = {headers.SOURCE: last.headers[headers.SOURCE]}
    await jetstream.publish(client, last.subject, b"[12, 7]", forged)
    other = await compared(client, unique, "live", "new")
    assert [one.counts for one in other.differences] == [(12, 12)]
    assert [one.difference for one in await verdicts(client, unique, "new") if one.difference]
    assert not [one.difference for one in await verdicts(client, unique) if one.difference]


async def test_what_aged_out_is_verified_from_the_newest_snapshot_or_not_at_all(
    server: Server, client: Client, unique: str
) -> None:
    await folded(server, client, unique)
    stage = entries_of(unique)[0].stage
    newest = [
        (await position.read(client, stage.target.name, stage.position(number)))[1].sequence
        for number in range(stage.source.partitions)
    ]
    dropped = min(filter(None, newest)) + 1
    await jetstream.call(client, f"STREAM.PURGE.{stage.source.name}", {"seq": dropped})
    found = await verdicts(client, unique)
    assert [one.difference for one in found if one.difference] == []
    assert max(one.since for one in found) == max(newest)
    await jetstream.call(client, f"STREAM.PURGE.{stage.snapshots.name}", {})
    with pytest.raises(UnverifiableError, match="cannot be folded again"):
        await verdicts(client, unique)


async def test_a_time_is_resolved_by_the_server(client: Client, unique: str) -> None:
    await prepare(client, unique)
    stream = f"IN_{unique}"
    assert await sequence_at(client, stream, dt.datetime.now(dt.UTC)) == 1
    await publish(client, unique, KEYS[:3])
    stored = await jetstream.message_at(client, stream, 2)
    assert stored is not None
    when = dt.datetime.fromisoformat(stored.time[:26] + "+00:00")
    assert await sequence_at(client, stream, when) == 2
    assert await sequence_at(client, stream, when + dt.timedelta(hours=1)) == 4


def test_results_are_chosen_by_their_window() -> None:
    noon = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
    within = Within(noon, noon + dt.timedelta(minutes=1))

    def result(start: str, end: str) -> bytes:
        return json.dumps({"start": f"2026-11-23T{start}Z", "end": f"2026-11-23T{end}Z"}).encode()

    assert within.holds(result("12:00:00", "12:01:00"))
    assert not within.holds(result("11:59:59", "12:00:30"))
    assert not within.holds(result("12:00:30", "12:01:01"))
    assert not within.holds(b"{}")
    assert not within.holds(b'{"start": "2026-11-23T12:00:10", "end": "2026-11-23T12:00:20"}')


async def test_a_rule_change_in_the_log_is_verified_like_any_event(
    server: Server, client: Client, unique: str
) -> None:
    await prepare(client, unique)
    async with live(server.url, unique):
        await publish(client, unique, KEYS)
        await change_factor(client, unique, 3)
        await publish(client, unique, KEYS)
        await eventually(lambda: settled(client, unique, 2 * len(KEYS)))
    found = await verdicts(client, unique)
    assert [one.difference for one in found if one.difference] == []
    assert sum(one.outputs for one in found) == 6 * len(KEYS)  # parts between the stages as well
