"""Generations on the real server: the same log folded again, beside the live one."""

from __future__ import annotations

import asyncio

import pytest
from nats.aio.client import Client

from shared import jetstream
from shared.broker import connected
from shared.log_stream import generations
from shared.log_stream.generation import GenerationError, generation_of, prefix_of
from shared.log_stream.generations import Begun
from shared.log_stream.replay import replay
from shared.settings import BrokerSettings
from tests.eventually import eventually
from tests.generation_rig import PARTITIONS, change_factor, entries_of, fixed_seed, live, prepare
from tests.log_rig import by_subject, messages, publish
from tests.server import Server

KEYS = [f"k{n % 13}" for n in range(120)]


async def outputs(client: Client, name: str, generation: str = "live") -> dict[str, list[bytes]]:
    """Return a generation's results by their live subject."""
    prefix = prefix_of(generation)
    stream = f"OUT_{name}" if generation == "live" else f"OUT_{name}-{generation}"
    found = await messages(client, stream, f"{prefix}out.{name}.>")
    return by_subject((subject.removeprefix(prefix), data) for subject, data in found)


async def settled(client: Client, name: str, count: int) -> bool:
    found = await outputs(client, name)
    return sum(map(len, found.values())) == 2 * count


async def begin(  # what `headrace replay` does
    server: Server, client: Client, name: str, generation: str, how: Begun | None = None
) -> bool:
    one = generation_of(entries_of(name), generation)
    await generations.begin(client, one, how or Begun("", {f"IN_{name}": 1}))
    async with connected(BrokerSettings(url=server.url), "replay") as broker:
        return await replay(broker, one, lambda *_: None, asyncio.Event())


async def test_a_replay_equals_the_live_results_and_a_second_replay_equals_the_first(
    server: Server, client: Client, unique: str
) -> None:
    await prepare(client, unique)
    async with live(server.url, unique):
        await publish(client, unique, KEYS)
        await change_factor(client, unique, 3)
        await publish(client, unique, KEYS)
        await eventually(lambda: settled(client, unique, 2 * len(KEYS)))
        last = await jetstream.last_message(client, f"IN_{unique}", ">")
        for name in ("one", "two"):
            assert not await begin(server, client, unique, name)
        found = await outputs(client, unique)
        assert found == await outputs(client, unique, "one") == await outputs(client, unique, "two")
        after = await jetstream.last_message(client, f"IN_{unique}", ">")
    assert last is not None
    assert after is not None
    assert last.sequence == after.sequence  # it has added nothing to the log
    assert await generations.names(client, entries_of(unique)) == ["one", "two"]


async def test_rules_of_its_own_stand_whatever_the_log_says(
    server: Server, client: Client, unique: str
) -> None:
    await prepare(client, unique)
    async with live(server.url, unique):
        await publish(client, unique, ["k"])
        await change_factor(client, unique, 3)
        await publish(client, unique, ["k"])
        await eventually(lambda: settled(client, unique, 2))
    how = Begun("", {f"IN_{unique}": 1}, "7", fixed_seed("7", None))
    await begin(server, client, unique, "own", how)
    found = await outputs(client, unique, "own")
    assert found[f"out.{unique}.k"] == [b"[1, 7]", b"[2, 7]"]
    assert found[f"out.{unique}.sum.k"] == [b"[1, 7]", b"[2, 14]"]


async def test_a_generation_may_begin_late_and_says_where(
    server: Server, client: Client, unique: str
) -> None:
    await prepare(client, unique)
    async with live(server.url, unique):
        await publish(client, unique, ["a", "b", "a", "b", "a"])
        await eventually(lambda: settled(client, unique, 5))
    await begin(server, client, unique, "late", Begun("3", {f"IN_{unique}": 3}))
    found = await outputs(client, unique, "late")
    assert found[f"out.{unique}.a"] == [b"[1, 1]", b"[2, 1]"]
    assert found[f"out.{unique}.b"] == [b"[1, 1]"]
    await publish(client, unique, ["a"])  # it goes on from there, and not from the beginning
    await begin(server, client, unique, "late", Begun("3", {f"IN_{unique}": 3}))
    found = await outputs(client, unique, "late")
    assert found[f"out.{unique}.a"] == [b"[1, 1]", b"[2, 1]", b"[3, 1]"]


async def test_begun_otherwise_it_is_refused_with_words(
    server: Server, client: Client, unique: str
) -> None:
    await prepare(client, unique)
    async with live(server.url, unique):
        await publish(client, unique, ["a"])
        await eventually(lambda: settled(client, unique, 1))
    await begin(server, client, unique, "one")
    with pytest.raises(GenerationError, match="another beginning"):
        await begin(server, client, unique, "one", Begun("2h", {f"IN_{unique}": 1}))
    with pytest.raises(GenerationError, match="other rules"):
        await begin(server, client, unique, "one", Begun("", {f"IN_{unique}": 1}, "7", "7"))


async def test_without_seeds_it_does_not_begin(server: Server, client: Client, unique: str) -> None:
    await prepare(client, unique)
    await publish(client, unique, ["a"])
    with pytest.raises(GenerationError, match="never run"):
        await begin(server, client, unique, "one")


async def test_of_two_replays_at_once_one_completes_and_all_is_there_once(
    server: Server, client: Client, unique: str
) -> None:
    await prepare(client, unique)
    async with live(server.url, unique):
        await publish(client, unique, KEYS)
        await eventually(lambda: settled(client, unique, len(KEYS)))
    ended = await asyncio.gather(
        *(begin(server, client, unique, "both") for _ in range(3)), return_exceptions=True
    )
    assert False in ended
    assert await outputs(client, unique, "both") == await outputs(client, unique)


async def test_what_is_removed_leaves_nothing(server: Server, client: Client, unique: str) -> None:
    await prepare(client, unique)
    async with live(server.url, unique):
        await publish(client, unique, KEYS)
        await eventually(lambda: settled(client, unique, len(KEYS)))
    await begin(server, client, unique, "gone")
    one = generation_of(entries_of(unique), "gone")
    snapshots = f"snap-{unique}.generation.gone"
    assert await messages(client, f"SNAP_{unique}", f"{snapshots}.>")
    await generations.remove(client, one)
    await generations.remove(client, one)  # killed half-way, it can be done again
    assert await messages(client, f"SNAP_{unique}", f"{snapshots}.>") == []
    assert await generations.names(client, entries_of(unique)) == []
    info = await jetstream.call(client, f"CONSUMER.NAMES.IN_{unique}")
    assert sorted(info["consumers"]) == [f"{unique}-{n}" for n in range(PARTITIONS)]


@pytest.mark.parametrize("name", ["", "a.b", "a b", "x" * 33, "*"])
def test_a_name_is_a_token(name: str) -> None:
    with pytest.raises(GenerationError):
        generation_of(entries_of("x"), name)
