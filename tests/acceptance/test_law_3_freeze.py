"""Law 3: a worker frozen past its ack wait and woken again does no second effect."""

from __future__ import annotations

from nats.aio.client import Client

from tests.acceptance import books
from tests.acceptance.traffic import publish_all, simple_jobs
from tests.eventually import eventually
from tests.processes import invoice_workers
from tests.server import Server

ROUNDS = 3
JOBS_A_ROUND = 250
SLOW = {
    "INVOICE_ACK_WAIT_SECONDS": "1",
    "INVOICE_GROUP_COMMIT": "2",  # so that the frozen worker holds jobs of all kinds
    "INVOICE_CONCURRENCY": "40",
}


async def test_a_frozen_worker_wakes_up_to_work_that_is_done_and_goes_on(
    own_server: Server, own_client: Client
) -> None:
    traffic = simple_jobs(ROUNDS * JOBS_A_ROUND + 20)
    async with invoice_workers(2, own_server.url, **SLOW) as [frozen, other]:
        for round_ in range(ROUNDS):
            before = round_ * JOBS_A_ROUND
            until = before + JOBS_A_ROUND
            await publish_all(own_client, traffic.publications[before : before + 50])
            await eventually(lambda n=before + 5: _issued(own_client, n))  # type: ignore[misc]  # a default binds the loop's value
            frozen.freeze()
            await publish_all(own_client, traffic.publications[before + 50 : until])
            await books.all_done(own_client, until)
            frozen.thaw()
        other.terminate()
        await other.stopped()
        await publish_all(own_client, traffic.publications[until:])
        await books.all_done(own_client, len(traffic.orders))
        frozen.terminate()
        await frozen.stopped()
        stale = sum(line.get("stale", 0) for line in frozen.events("worker stopped"))
        assert stale + len(frozen.events("delivery settled", repeated=True)) > 0
    await books.assert_audited(own_client, traffic.orders)
    assert await books.left(own_client, "DEAD_LETTERS") == 0


async def _issued(client: Client, count: int) -> bool:
    return await books.issued(client) >= count
