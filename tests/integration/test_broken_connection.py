"""What is asked of a connection in the moment in which it breaks fails as with any lost server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvloop
from nats.aio.client import Client

from shared import jetstream
from shared.broker import Broker, connected
from shared.discovery import announced
from shared.jetstream import BROKER_ERRORS
from shared.settings import BrokerSettings
from tests.eventually import eventually
from tests.proxy import Proxy, proxy
from tests.server import Server


@contextlib.asynccontextmanager
async def deaf(server: Server) -> AsyncIterator[tuple[Proxy, Broker, asyncio.Event]]:
    """Connect by a network that then lets nothing through; the event tells of a reconnect."""
    async with (
        proxy(server.port) as network,
        connected(BrokerSettings(url=network.url), "test") as broker,
    ):
        found = asyncio.Event()
        broker.on_reconnect(found.set)
        network.part("lost")
        yield network, broker, found


async def test_a_connection_that_takes_nothing_is_closed_all_the_same(server: Server) -> None:
    async with (
        proxy(server.port) as network,
        asyncio.timeout(10),
        connected(BrokerSettings(url=network.url), "test") as broker,
    ):
        network.part("lost")
        for _ in range(30):
            await broker.client.publish("nobody.listens", bytes(1_000_000))


def test_a_write_on_a_broken_connection_raises_no_other_errors(server: Server) -> None:
    # As services run: asyncio's own loop takes writes on a closed transport without a word.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_write_on_what_is_broken(server.url))


@pytest.mark.parametrize("megabytes", [0, 30], ids=["nothing is under way", "much is under way"])
async def test_a_connection_that_fell_silent_is_given_up_and_made_anew(
    server: Server, megabytes: int
) -> None:
    async with deaf(server) as (network, broker, found):
        network.heal()  # for new connections; nobody tells the old one
        for _ in range(megabytes):
            await broker.client.publish("nobody.listens", bytes(1_000_000))
        await asyncio.wait_for(found.wait(), 30)
        await jetstream.call(broker.client, "INFO")


async def test_a_service_whose_connection_breaks_as_it_announces_itself_is_announced_later(
    server: Server, client: Client, unique: str
) -> None:
    async with (
        deaf(server) as (network, broker, found),
        announced(broker.client, unique, "of a test", dict),
    ):
        network.heal()
        await asyncio.wait_for(found.wait(), 30)
        await broker.client.flush()
        answer = await client.request(f"headrace.status.{unique}", b"", timeout=30)
        assert answer.data == b"{}"
        assert await client.request(f"$SRV.PING.{unique}", b"", timeout=30)


async def _write_on_what_is_broken(url: str) -> None:
    async with connected(BrokerSettings(url=url), "test") as broker:
        private: Any = broker.client
        for _ in range(3):
            lost = asyncio.Event()
            private._disconnected_cb = _setting(lost)  # noqa: SLF001 - what nats-py sees late is seen here
            private._flusher_task.cancel()  # noqa: SLF001 - it ends when a write of its own fails
            private._transport._io_writer.transport.abort()  # noqa: SLF001 - as the kernel does on a reset
            raised = await asyncio.gather(
                broker.client.publish("x", b""),
                broker.client.flush(1),
                broker.client.subscribe("x"),
                jetstream.call(broker.client, "INFO", timeout=1),
                return_exceptions=True,
            )
            found = [one for one in raised if isinstance(one, BaseException)]
            assert all(isinstance(one, BROKER_ERRORS) for one in found), found
            await asyncio.wait_for(lost.wait(), 10)
            await eventually(lambda: broker.client.is_connected)


def _setting(event: asyncio.Event) -> Any:
    async def set_it() -> None:
        event.set()

    return set_it
