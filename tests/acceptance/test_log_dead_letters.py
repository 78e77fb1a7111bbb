"""Dead letters of a log are there once each, whatever dies between the event and the letter."""

from __future__ import annotations

import asyncio
import itertools
import signal
from pathlib import Path

from nats.aio.client import Client

from shared import jetstream
from shared.provision import provision
from shared.settings import StreamSettings
from shared.topology import Log, Source, Topology
from tests.eventually import eventually
from tests.log_members import Members
from tests.log_rig import by_subject, complete, expected, messages, prepare
from tests.server import Server

KILLS = 4


async def publish_on(client: Client, name: str, stop: asyncio.Event) -> None:
    """Publish events of which every third cannot be read, until `stop`."""
    for n in itertools.count():
        if stop.is_set():
            return
        body = b"{}" if n % 3 else b"\xff"
        await jetstream.publish(client, f"in.{name}.k{n % 20}", body)


async def test_dead_letters_are_there_once_each_across_kills(
    own_server: Server, own_client: Client, unique: str, tmp_path: Path
) -> None:
    stage = await prepare(own_client, unique)
    letters = Log(
        f"DEAD_{unique}",
        (f"dead.{unique}.>",),
        "dead letters of a test",
        sources=(
            Source(
                stage.target.name,
                f"out.{unique}.dead.*",
                f"dead.{unique}.malformed.{{{{wildcard(1)}}}}",
            ),
        ),
    )
    await provision(own_client, Topology((letters,)), StreamSettings())
    members = Members(own_server.url, unique, tmp_path)
    await members.spawn()
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(publish_on(own_client, unique, stop))
        for _ in range(KILLS):
            before = len(await messages(own_client, letters.name, ">"))
            await eventually(lambda least=before: _more(own_client, letters.name, least), 30)  # type: ignore[misc]
            await members.end(members.running[0], signal.SIGKILL)
            await members.spawn()
        stop.set()
    await eventually(lambda: complete(own_client, unique), 30)
    prefix = f"out.{unique}.dead."
    wanted = {
        f"dead.{unique}.malformed.{subject.removeprefix(prefix)}": bodies
        for subject, bodies in (await expected(own_client, unique)).items()
        if subject.startswith(prefix)
    }
    assert sum(map(len, wanted.values())) > KILLS
    await eventually(lambda: _holds(own_client, letters.name, wanted), 30)
    assert await members.end_all() == [0]


async def _more(client: Client, stream: str, least: int) -> bool:
    return len(await messages(client, stream, ">")) > least


async def _holds(client: Client, stream: str, wanted: dict[str, list[bytes]]) -> bool:
    return by_subject(await messages(client, stream, ">")) == wanted
