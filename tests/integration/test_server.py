"""The test server itself: what others rest on."""

from __future__ import annotations

from pathlib import Path

import nats
from nats.aio.client import Client

from shared import jetstream
from tests.server import Server


async def test_what_was_acked_survives_a_kill_and_the_url_stays(tmp_path: Path) -> None:
    with Server(tmp_path, config="max_payload: 64KB") as server:
        first = server.url
        client = await nats.connect(first)
        assert client.max_payload == 64 * 1024
        await jetstream.call(client, "STREAM.CREATE.S", {"name": "S", "subjects": ["s.>"]})
        await jetstream.publish(client, "s.a", b"kept")
        await client.close()
        server.kill()
        server.start()
        assert server.url == first
        client = await nats.connect(server.url)
        message = await jetstream.last_message(client, "S", "s.a")
        assert message is not None
        assert message.data == b"kept"
        await client.close()


async def test_the_shared_server_has_jetstream(client: Client) -> None:
    assert "limits" in await jetstream.call(client, "INFO")
