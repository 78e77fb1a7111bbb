"""What is stored is read in a cluster too, by a consumer that only one server knows yet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from shared import dead_letters, jetstream
from shared.dead_letters import Selection
from shared.log_stream import history
from tests.cluster import SERVERS, cluster
from tests.eventually import eventually

READS = 60


@pytest.fixture
async def clients(tmp_path: Path) -> AsyncIterator[list[Client]]:
    """A connection to each server of a cluster."""
    async with cluster(tmp_path) as servers:
        connections = [await nats.connect(url) for url in servers.url.split(",")]
        yield connections
        for connection in connections:
            await connection.close()


async def test_pages_of_a_log_come_whichever_server_is_asked(clients: list[Client]) -> None:
    await one_message(clients[0], "LOG", "log")
    for client in clients:
        for _ in range(READS):
            assert [len(page) async for page in history.pages(client, "LOG")] == [1]


async def test_dead_letters_are_found_whichever_server_is_asked(clients: list[Client]) -> None:
    await one_message(clients[0], "DEAD_LETTERS", "dead.service.invalid")
    for client in clients:
        for _ in range(READS):
            found = [letter async for letter in dead_letters.read(client, Selection())]
            assert len(found) == 1


async def one_message(client: Client, stream: str, subject: str) -> None:
    """Make a stream on all servers that holds one message."""
    config = {"name": stream, "subjects": [subject], "num_replicas": SERVERS}
    await jetstream.call(client, f"STREAM.CREATE.{stream}", config)

    async def stored() -> bool:
        try:  # nobody may lead the new stream yet; a repeat carries the same id
            await jetstream.publish(client, subject, b"", {"Nats-Msg-Id": "one"}, timeout=1)
        except jetstream.BROKER_ERRORS:
            return False
        return True

    await eventually(stored, 30)
