"""The server is not there yet, or away for a while: workers say so, wait, and go on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from tests.acceptance import books
from tests.acceptance.traffic import publish_all, simple_jobs
from tests.eventually import eventually
from tests.processes import invoice_worker, invoice_workers
from tests.server import Server

OUTAGE_SECONDS = 10
AT_ONCE_SECONDS = 3


@pytest.fixture
def absent_server(tmp_path: Path) -> Server:
    """A server that has a port and does not run."""
    with Server(tmp_path) as server:
        pass
    return server


async def test_a_worker_waits_for_a_server_that_comes_later(absent_server: Server) -> None:
    traffic = simple_jobs(20)
    with invoice_worker(absent_server.url) as worker:
        await eventually(lambda: len(worker.events("broker unreachable")) >= 2)
        assert worker.events("broker unreachable")[0]["url"] == absent_server.url
        with absent_server:
            await worker.started()
            async with _patient_client(absent_server) as client:
                await publish_all(client, traffic.publications)
                await books.all_done(client, 20)
                await books.assert_audited(client, traffic.orders)


async def test_a_worker_goes_on_after_an_outage_under_load(own_server: Server) -> None:
    traffic = simple_jobs(500)
    quick = {"INVOICE_ACK_WAIT_SECONDS": "3"}
    async with (
        _patient_client(own_server) as client,
        invoice_workers(2, own_server.url, **quick) as workers,
    ):
        publishing = asyncio.create_task(publish_all(client, traffic.publications))
        await eventually(lambda: _rendered(client, 20))
        await asyncio.to_thread(own_server.kill)
        back = time.monotonic() + OUTAGE_SECONDS
        for worker in workers:
            await eventually(lambda one=worker: one.events("broker lost"))  # type: ignore[misc]  # a default binds the loop's value
        await eventually(lambda: time.monotonic() > back, OUTAGE_SECONDS + 5)
        await asyncio.to_thread(own_server.start)
        await publishing
        await books.all_done(client, len(traffic.orders), seconds=90)
        for worker in workers:
            assert worker.alive
            assert worker.events("broker found again")
        await books.assert_audited(client, traffic.orders)
        assert await books.left(client, "DEAD_LETTERS") == 0


async def test_a_worker_that_never_found_a_server_stops_at_once(absent_server: Server) -> None:
    with invoice_worker(absent_server.url) as worker:
        await eventually(lambda: worker.events("broker unreachable"))
        worker.terminate()
        assert await worker.exit_code(AT_ONCE_SECONDS) == 0
        assert worker.words == []


async def test_a_worker_that_lost_its_server_stops_at_once(own_server: Server) -> None:
    async with invoice_workers(1, own_server.url) as [worker]:
        await asyncio.to_thread(own_server.kill)
        await eventually(lambda: worker.events("broker lost"))
        worker.terminate()
        assert await worker.exit_code(AT_ONCE_SECONDS) == 0
        assert worker.words == []


async def test_a_worker_that_lost_its_server_under_load_stops_within_its_deadline(
    own_server: Server,
) -> None:
    traffic = simple_jobs(2_000)
    deadline = 5
    slow = {"INVOICE_STOP_DEADLINE_SECONDS": str(deadline), "INVOICE_GROUP_COMMIT": "2"}
    async with (
        _patient_client(own_server) as client,
        invoice_workers(1, own_server.url, **slow) as [worker],
    ):
        publishing = asyncio.create_task(publish_all(client, traffic.publications))
        await eventually(lambda: _rendered(client, 5))
        await asyncio.to_thread(own_server.kill)
        worker.terminate()
        assert await worker.exit_code(deadline + AT_ONCE_SECONDS) == 0
        assert worker.words == []
        publishing.cancel()


@contextlib.asynccontextmanager
async def _patient_client(server: Server) -> AsyncIterator[Client]:
    client = await nats.connect(server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
    yield client
    await client.close()


async def _rendered(client: Client, count: int) -> bool:
    return await books.rendered(client) >= count
