"""A server is parted from its cluster while a worker is connected to it: the worker moves."""

from __future__ import annotations

from pathlib import Path

import nats
import pytest

from tests.acceptance import books
from tests.acceptance.traffic import publish_all, simple_jobs
from tests.cluster import SERVERS
from tests.eventually import eventually
from tests.parted_cluster import parted_cluster
from tests.processes import invoice_worker
from tests.proxy import Way

JOBS = 10


@pytest.mark.parametrize("way", ["cut", "held"])
async def test_a_worker_leaves_a_server_that_is_parted_from_the_others(
    tmp_path: Path, way: Way
) -> None:
    traffic = simple_jobs(JOBS)
    async with parted_cluster(tmp_path) as servers:
        with invoice_worker(servers.url, STREAM_REPLICAS=str(SERVERS)) as worker:
            await worker.started(60)
            lone = servers.named(worker.events("broker connected")[0]["server"])
            servers.part(lone, way)
            found = await eventually(lambda: worker.events("broker found again"), 90)
            assert worker.events("server knows no leader, trying another")
            assert servers.named(found[0]["server"]) != lone

            async with await nats.connect(f"nats://{found[0]['server']}") as client:
                await publish_all(client, traffic.publications)
                await books.all_done(client, JOBS, seconds=90)
                await books.assert_audited(client, traffic.orders)
            worker.terminate()
            assert await worker.exit_code() == 0
