"""The reader on the real server: every event in order and unchanged, or a disturbance."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from typing import Self

import pytest
from nats.aio.client import Client

from shared import jetstream
from shared.broker import Broker, connected
from shared.log_stream import frames
from shared.log_stream.fold import Event
from shared.log_stream.reader import DisturbedError, Reader
from shared.log_stream.stage import Stage
from shared.settings import BrokerSettings
from tests.eventually import eventually
from tests.log_rig import prepare, publish
from tests.server import Server

PARTITION = 0
LARGE = 300_000


@contextlib.asynccontextmanager
async def reader_of(url: str, stage: Stage) -> AsyncIterator[tuple[Reader, Broker]]:
    """Yield a reader, not yet open, of the partition that `keys_of` fills."""
    async with connected(BrokerSettings(url=url), "reader") as broker:
        reader = Reader(broker, stage, PARTITION)
        try:
            yield reader, broker
        finally:
            await reader.close()


async def read(reader: Reader, count: int) -> list[Event]:
    """Read so many events; what disturbs is raised."""
    events: list[Event] = []
    while len(events) < count:
        events += await reader.batch(0.25)
    return events


async def store(client: Client, stage: Stage, bodies: list[bytes], *, ids: bool) -> None:
    """Store events in the partition, under the subject that the transform would give them."""
    for n, body in enumerate(bodies):
        subject = f"{stage.source.prefix}.{PARTITION}.control.k{n}"
        given = {"Nats-Msg-Id": f"id-{secrets.token_hex(4)}", "Status": f"é {n}"} if ids else None
        await jetstream.publish(client, subject, body, given)


def test_the_two_runs_differ(reading: str) -> None:
    assert (frames.unusable(Client()) == "") == (reading == "lists")


async def test_every_event_comes_once_in_order_and_unchanged(
    server: Server, client: Client, unique: str
) -> None:
    stage = await prepare(client, unique)
    bodies = [
        secrets.token_bytes(LARGE if n % 20 == 7 else n) + b"\r\nMSG a 1 b 3\r\n" for n in range(60)
    ]
    await store(client, stage, bodies[:30], ids=False)
    await store(client, stage, bodies[30:], ids=True)
    async with reader_of(server.url, stage) as (reader, _):
        await reader.open(0)
        events = await read(reader, 60)
        assert reader.lag == 0
    assert [event.data for event in events] == bodies
    assert [event.subject for event in events] == [f"control.k{n % 30}" for n in range(60)]
    assert [event.sequence for event in events] == list(range(1, 61))
    for n, event in enumerate(events):
        stored = await jetstream.message_at(client, stage.source.name, n + 1)
        assert stored is not None
        assert dict(event.headers or {}) == stored.headers


async def test_other_traffic_on_the_connection_is_not_disturbed(
    server: Server, client: Client, unique: str
) -> None:
    stage = await prepare(client, unique)
    async with reader_of(server.url, stage) as (reader, broker):
        await reader.open(0)
        heard: list[bytes] = []
        echo = await broker.client.subscribe(f"echo.{unique}")

        async def echoes() -> None:
            for n in range(200):
                await broker.client.publish(f"echo.{unique}", b"%d" % n)
                heard.append((await echo.next_msg(timeout=10)).data)
                await jetstream.call(broker.client, f"STREAM.INFO.{stage.source.name}")

        async with asyncio.TaskGroup() as group:
            group.create_task(echoes())
            group.create_task(store(client, stage, [b"x" * n for n in range(200)], ids=True))
            events = await read(reader, 200)
    assert [len(event.data) for event in events] == list(range(200))
    assert heard == [b"%d" % n for n in range(200)]


async def test_opened_again_it_begins_where_it_is_told(
    server: Server, client: Client, unique: str
) -> None:
    stage = await prepare(client, unique)
    await store(client, stage, [b"%d" % n for n in range(20)], ids=False)
    async with reader_of(server.url, stage) as (reader, _):
        await reader.open(0)
        assert len(await read(reader, 20)) == 20
        await reader.open(15)
        assert [event.sequence for event in await read(reader, 5)] == [16, 17, 18, 19, 20]


async def test_who_opens_later_disturbs_who_reads(
    server: Server, client: Client, unique: str
) -> None:
    stage = await prepare(client, unique)
    await store(client, stage, [b"a"], ids=False)
    async with (
        reader_of(server.url, stage) as (first, _),
        reader_of(server.url, stage) as (second, _),
    ):
        await first.open(0)
        await read(first, 1)
        await second.open(0)
        assert len(await read(second, 1)) == 1
        with pytest.raises(DisturbedError, match="Consumer Deleted"):
            await read(first, 1)


async def steal(client: Client, stage: Stage) -> int:
    """Take an event from under the reader's nose; return how many were stored for that."""
    inbox = client.new_inbox()
    stolen = await client.subscribe(inbox)
    name = f"{stage.source.name}.{stage.durable(PARTITION)}"
    count = 0
    while not stolen.pending_msgs:  # the server serves pulls in turn
        await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{name}", b"1", reply=inbox)
        await store(client, stage, [b"%d" % count], ids=False)
        await client.flush()
        count += 1
    return count


async def test_a_gap_disturbs(server: Server, client: Client, unique: str) -> None:
    stage = await prepare(client, unique)
    async with reader_of(server.url, stage) as (reader, _):
        await reader.open(0)
        count = await steal(client, stage)
        await store(client, stage, [b"after"], ids=False)
        events = await read(reader, count - 1)
        with pytest.raises(DisturbedError, match="gap"):
            events += await read(reader, 1)
    assert [event.data for event in events] == [b"%d" % n for n in range(count - 1)]


async def test_a_heartbeat_that_is_ahead_disturbs(
    server: Server, client: Client, unique: str
) -> None:
    stage = await prepare(client, unique)
    async with reader_of(server.url, stage) as (reader, _):
        await reader.open(0)
        count = await steal(client, stage)
        await read(reader, count - 1)
        with pytest.raises(DisturbedError, match="heartbeat"):
            await read(reader, 1)


async def test_it_asks_for_more_before_it_runs_dry(
    server: Server, client: Client, unique: str
) -> None:
    stage = await prepare(client, unique)
    async with asyncio.TaskGroup() as group:
        for _ in range(25):
            group.create_task(store(client, stage, [b"x"] * 100, ids=False))
    async with reader_of(server.url, stage) as (reader, _):
        await reader.open(0)
        assert len(await read(reader, 2500)) == 2500


async def test_heartbeats_are_no_silence(server: Server, client: Client, unique: str) -> None:
    stage = await prepare(client, unique)
    async with reader_of(server.url, stage) as (reader, _):
        await reader.open(0)
        for _ in range(16):  # longer than a silence lasts
            assert await reader.batch(0.3) == []
        await store(client, stage, [b"a"], ids=False)
        assert len(await read(reader, 1)) == 1


async def test_silence_disturbs(own_server: Server, own_client: Client, unique: str) -> None:
    stage = await prepare(own_client, unique)
    async with reader_of(own_server.url, stage) as (reader, _):
        await reader.open(0)
        os.kill(own_server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(DisturbedError, match="silence"):
                await read(reader, 1)
        finally:
            os.kill(own_server.pid, signal.SIGCONT)


class CutProxy:
    """Passes bytes to a server and back; cuts the connection after so many bytes from it."""

    def __init__(self, port: int, cuts: list[int]) -> None:
        self._port = port
        self._cuts = cuts
        self._armed = False
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for pipe in self._pipes:
            pipe.cancel()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"nats://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def arm(self) -> None:
        """Count from now on."""
        self._armed = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._port)

        def end() -> None:
            for one in (writer, back_writer):
                one.close()

        for source, target, counts in ((reader, back_writer, False), (back_reader, writer, True)):
            task = asyncio.create_task(self._pipe(source, target, end, counts=counts))
            self._pipes.add(task)
            task.add_done_callback(self._pipes.discard)

    async def _pipe(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        end: Callable[[], None],
        *,
        counts: bool,
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(10_000):
                if counts and self._armed and self._cuts:
                    self._cuts[0] -= len(data)
                    if self._cuts[0] <= 0:
                        target.write(data[: len(data) + self._cuts.pop(0)])
                        await target.drain()
                        break
                target.write(data)
                await target.drain()
        end()


async def test_a_connection_that_breaks_in_the_middle_of_a_frame_loses_nothing(
    server: Server, client: Client, unique: str
) -> None:
    stage = await prepare(client, unique)
    bodies = [b"%d " % n + b"x" * 997 for n in range(300)]
    await store(client, stage, bodies, ids=True)
    cuts = [1500, 40_000, 30_003, 100_007]
    async with (
        CutProxy(server.port, cuts) as proxy,
        reader_of(proxy.url, stage) as (reader, broker),
    ):
        await reader.open(0)
        proxy.arm()
        causes: set[str] = set()
        events: list[Event] = []
        while len(events) < len(bodies):
            try:
                events += await reader.batch(0.25)
            except DisturbedError as disturbance:
                causes.add(str(disturbance))
                await eventually(lambda: broker.connected, 30)
                with contextlib.suppress(*jetstream.BROKER_ERRORS):
                    await reader.open(events[-1].sequence if events else 0)
    assert not cuts
    assert causes == {"reconnected"}
    assert [event.data for event in events] == bodies


async def test_a_server_that_is_killed_while_it_sends_loses_nothing(
    own_server: Server, own_client: Client, unique: str
) -> None:
    stage = await prepare(own_client, unique)
    bodies = [b"%d " % n + b"x" * 20_000 for n in range(200)]
    await store(own_client, stage, bodies, ids=True)
    async with reader_of(own_server.url, stage) as (reader, broker):
        await reader.open(0)
        events = await read(reader, 1)
        own_server.kill()
        own_server.start()
        while len(events) < len(bodies):
            try:
                events += await reader.batch(0.25)
            except DisturbedError:
                await eventually(lambda: broker.connected, 30)
                with contextlib.suppress(*jetstream.BROKER_ERRORS):
                    await reader.open(events[-1].sequence)
    assert [event.data for event in events] == bodies


async def test_events_of_publishers_are_read_under_their_own_names(
    server: Server, client: Client, unique: str
) -> None:
    stage = await prepare(client, unique)
    keys = [f"k{n}" for n in range(40)]
    await publish(client, unique, keys)
    info = await jetstream.call(
        client,
        f"STREAM.INFO.{stage.source.name}",
        {"subjects_filter": f"{stage.source.prefix}.{PARTITION}.>"},
    )
    wanted = {name.partition(f".{PARTITION}.")[2] for name in info["state"]["subjects"]}
    async with reader_of(server.url, stage) as (reader, _):
        await reader.open(0)
        events = await read(reader, len(wanted))
    assert {event.subject for event in events} == wanted
