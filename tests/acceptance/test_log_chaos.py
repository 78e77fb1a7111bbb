"""Results are a pure function of the log: members killed, frozen, added, stopped; the server too.

Every result that the log demands is there once, and in the order of its key, byte for byte as
an undisturbed fold makes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sys
from pathlib import Path

import nats.errors
import pytest
from nats.aio.client import Client

from shared import jetstream
from shared.broker import Broker, connected
from shared.settings import BrokerSettings
from tests.eventually import eventually
from tests.log_rig import by_subject, expected, prepare, results
from tests.server import Server, die_with_parent

EVENTS = 6000
KEYS = 50


class Members:
    """Member processes that come and go; `spawn` starts one more."""

    def __init__(self, url: str, name: str, logs: Path) -> None:
        self._arguments = ("-m", "tests.log_rig", url, name)
        self._logs = logs
        self._count = 0
        self.running: list[asyncio.subprocess.Process] = []

    async def spawn(self) -> None:
        self._count += 1
        member = f"m{self._count}"
        with (self._logs / f"{member}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._arguments,
                member,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        assert process.stdout is not None
        await process.stdout.readline()  # it hears signals from now on
        self.running.append(process)

    async def end(self, process: asyncio.subprocess.Process, number: signal.Signals) -> int:
        self.running.remove(process)
        process.send_signal(number)
        return await process.wait()

    async def end_all(self) -> list[int]:
        return [await self.end(process, signal.SIGTERM) for process in list(self.running)]


async def publish_all(broker: Broker, name: str, chance: random.Random) -> None:
    """Publish every event once, whatever the server does: repeats carry the same id."""
    for n in range(EVENTS):
        key = f"in.{name}.k{chance.randrange(KEYS)}"
        body = b'{"burst": 40}' if n % 500 == 0 else b"{}" if n % 97 else b"\xfe"
        while True:
            try:
                await jetstream.publish(
                    broker.client, key, body, {"Nats-Msg-Id": f"{name}-{n}"}, timeout=1
                )
                break
            except (jetstream.JetStreamError, nats.errors.Error, TimeoutError):
                await eventually(lambda: broker.connected, 30)


async def disturb(
    members: Members, server: Server, chance: random.Random, ended: asyncio.Event
) -> None:
    """Do harm, one after another, until `ended`."""
    frozen: list[asyncio.subprocess.Process] = []
    server_kills = 0
    while not ended.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(chance.uniform(0.5, 1.2)):
                await ended.wait()
        for process in frozen:
            process.send_signal(signal.SIGCONT)
        frozen.clear()
        victim = chance.choice(members.running)
        harm = chance.choice(("kill", "kill", "freeze", "freeze", "stop", "add", "server"))
        if harm == "freeze":
            victim.send_signal(signal.SIGSTOP)
            frozen.append(victim)
        elif harm == "kill":
            await members.end(victim, signal.SIGKILL)
            await members.spawn()
        elif harm == "stop":
            assert await members.end(victim, signal.SIGTERM) == 0
            await members.spawn()
        elif harm == "server" and server_kills < 2:
            server_kills += 1
            server.kill()
            server.start()
        elif harm == "add" and len(members.running) < 5:
            await members.spawn()
    for process in frozen:
        process.send_signal(signal.SIGCONT)


async def complete(client: Client, name: str) -> bool:
    try:
        return by_subject(await results(client, name)) == await expected(client, name)
    except nats.errors.TimeoutError:  # asked of a server that was killed just then
        return False


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_disturbed_run_gives_byte_for_byte_what_the_log_demands(
    tmp_path: Path, unique: str, seed: int
) -> None:
    chance = random.Random(seed)
    with Server(tmp_path) as server:
        async with connected(BrokerSettings(url=server.url), "test") as broker:
            await prepare(broker.client, unique)
            members = Members(server.url, unique, tmp_path)
            for _ in range(3):
                await members.spawn()
            ended = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                harm = group.create_task(disturb(members, server, chance, ended))
                await publish_all(broker, unique, chance)
                ended.set()
                await harm
            await eventually(lambda: complete(broker.client, unique), 60)
            assert set(await members.end_all()) == {0}
            wanted = await expected(broker.client, unique)
            found = by_subject(await results(broker.client, unique))
            # A last tick may stand in the log that nobody has folded; nothing else is missing.
            assert [name for name in found if found[name] != wanted[name][: len(found[name])]] == []
            assert sum(map(len, found.values())) > EVENTS
