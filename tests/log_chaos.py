"""Harm for members of a log stage and for their servers, by chance that can be repeated.

`CHAOS_SEEDS` chooses the seeds: `20` for the first twenty, `31-40` for those.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Awaitable, Callable

from nats.aio.client import Client

from shared import jetstream
from shared.broker import Broker
from shared.jetstream import BROKER_ERRORS
from tests.eventually import eventually
from tests.log_members import MemberProcess, Members
from tests.log_rig import by_subject, complete, expected, results

KEYS = 50
MOST_MEMBERS = 5
MOST_SERVER_KILLS = 2


def seeds(by_default: int) -> list[int]:
    """Return the seeds that were chosen, or the first ones."""
    first, _, last = os.environ.get("CHAOS_SEEDS", str(by_default)).partition("-")
    return list(range(int(first), int(last) + 1)) if last else list(range(1, int(first) + 1))


async def publish_all(broker: Broker, name: str, chance: random.Random, events: int) -> None:
    """Publish every event once, whatever the servers do: repeats carry the same id."""
    for n in range(events):
        key = f"in.{name}.k{chance.randrange(KEYS)}"
        body = b'{"burst": 40}' if n % 500 == 0 else b"{}" if n % 97 else b"\xfe"
        while True:
            try:
                await jetstream.publish(
                    broker.client, key, body, {"Nats-Msg-Id": f"{name}-{n}"}, timeout=1
                )
                break
            except BROKER_ERRORS:
                await eventually(lambda: broker.connected, 30)


async def disturb(
    members: Members,
    chance: random.Random,
    ended: asyncio.Event,
    kill_a_server: Callable[[random.Random], Awaitable[None]],
) -> None:
    """Do harm, one after another, until `ended`; at the end nobody is frozen."""
    frozen: list[MemberProcess] = []
    server_kills = 0
    while not ended.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(chance.uniform(0.4, 1.2)):
                await ended.wait()
        for member in frozen:
            member.send(signal.SIGCONT)
        frozen.clear()
        victim = chance.choice(members.running)
        harm = chance.choice(("kill", "kill", "freeze", "freeze", "stop", "add", "server"))
        if harm == "freeze":
            victim.send(signal.SIGSTOP)
            frozen.append(victim)
        elif harm == "kill":
            await members.end(victim, signal.SIGKILL)
            await members.spawn()
        elif harm == "stop":
            assert await members.end(victim, signal.SIGTERM) == 0
            await members.spawn()
        elif harm == "server" and server_kills < MOST_SERVER_KILLS:
            server_kills += 1
            await kill_a_server(chance)
        elif harm == "add" and len(members.running) < MOST_MEMBERS:
            await members.spawn()
    for member in frozen:
        member.send(signal.SIGCONT)


async def assert_what_the_log_demands(
    client: Client, name: str, members: Members, events: int, seconds: float
) -> None:
    """See that every result is there once and in order, and that the members end well."""
    await eventually(lambda: complete(client, name), seconds)
    assert set(await members.end_all()) == {0}
    wanted = await expected(client, name)
    found = by_subject(await results(client, name))
    # A last tick may stand in the log that nobody has folded; nothing else is missing.
    assert [key for key in found if found[key] != wanted[key][: len(found[key])]] == []
    assert sum(map(len, found.values())) > events
