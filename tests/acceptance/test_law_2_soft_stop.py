"""Law 2: SIGTERM under load ends a worker in good order, and another takes over at once.

The ack wait is ten minutes here: whatever had to wait for it would not be done in time.
"""

from __future__ import annotations

import asyncio
import time

import nats
from nats.aio.client import Client

from tests.acceptance import books
from tests.acceptance.traffic import publish_all, simple_jobs
from tests.eventually import eventually
from tests.processes import Process, invoice_worker, invoice_workers
from tests.server import Server

DEADLINE_SECONDS = 6
SLOW = {
    "INVOICE_ACK_WAIT_SECONDS": "600",
    "INVOICE_STOP_DEADLINE_SECONDS": str(DEADLINE_SECONDS),
    "INVOICE_GROUP_COMMIT": "2",  # so that jobs wait in line when the signal comes
    "INVOICE_CONCURRENCY": "40",
}


async def test_rolling_workers_under_load_loses_no_time_and_counts_no_failure(
    own_server: Server, own_client: Client
) -> None:
    traffic = simple_jobs(800)
    ended: list[Process] = []
    async with invoice_workers(3, own_server.url, **SLOW) as workers:
        publishing = asyncio.create_task(publish_all(own_client, traffic.publications))
        await eventually(lambda: _issued_any(own_client))
        for place in (0, 1, 2, 0, 1, 2):
            await _stop_in_good_order(workers[place])
            ended.append(workers[place])
            workers[place] = invoice_worker(own_server.url, **SLOW)
            await workers[place].started()
        await publishing
        await books.all_done(own_client, len(traffic.orders), seconds=120)
        handed_back = sum(
            line.get("handed_back", 0) for one in ended for line in one.events("worker stopped")
        )
        assert handed_back > 0, "no worker was stopped under load"
        _assert_no_failed_attempt([*workers, *ended])
    await books.assert_audited(own_client, traffic.orders)
    assert await books.left(own_client, "DEAD_LETTERS") == 0


async def test_the_last_worker_leaves_its_jobs_to_the_next_one(own_server: Server) -> None:
    client = await nats.connect(own_server.url)
    traffic = simple_jobs(400)
    async with invoice_workers(1, own_server.url, **SLOW) as [first]:
        publishing = asyncio.create_task(publish_all(client, traffic.publications))
        await eventually(lambda: _issued_any(client))
        await _stop_in_good_order(first)
        await publishing
    async with invoice_workers(1, own_server.url, **SLOW) as [second]:
        await books.all_done(client, len(traffic.orders))
        _assert_no_failed_attempt([first, second])
    await books.assert_audited(client, traffic.orders)
    await client.close()


async def _stop_in_good_order(worker: Process) -> None:
    begun = time.monotonic()
    worker.terminate()
    assert await worker.exit_code() == 0, worker.log[-5:]
    assert time.monotonic() - begun < DEADLINE_SECONDS + 1
    assert worker.events("service stopped")
    assert not worker.words


def _assert_no_failed_attempt(workers: list[Process]) -> None:
    settled = [line for one in workers for line in one.events("delivery settled")]
    assert [line for line in settled if line["outcome"] != "ack" or line["attempt"] != 1] == []


async def _issued_any(client: Client) -> bool:
    try:
        return await books.issued(client) > 0
    except nats.errors.NoRespondersError:
        return False
