"""What a log holds is read in a cluster too, whichever server is asked."""

from __future__ import annotations

from pathlib import Path

import nats

from shared import jetstream
from shared.log_stream import history
from tests.cluster import SERVERS, cluster

READS = 60


async def test_a_consumer_that_only_one_server_knows_yet_is_asked_again(tmp_path: Path) -> None:
    async with cluster(tmp_path) as servers:
        for url in servers.url.split(","):
            client = await nats.connect(url)
            config = {"name": "LOG", "subjects": ["log"], "num_replicas": SERVERS}
            await jetstream.call(client, "STREAM.CREATE.LOG", config)
            await jetstream.publish(client, "log", b"")
            for _ in range(READS):
                assert [len(page) async for page in history.pages(client, "LOG")] == [1]
            await jetstream.call(client, "STREAM.DELETE.LOG")
            await client.close()
