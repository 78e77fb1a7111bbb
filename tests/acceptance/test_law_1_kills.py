"""Law 1: three workers, 3,000 jobs, one worker killed every second: each job takes effect once."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from tests.acceptance import books
from tests.acceptance.traffic import mixed_jobs, publish_all, sellers_file
from tests.eventually import eventually
from tests.processes import Process, end_all, invoice_worker
from tests.server import Server

JOBS = 3_000
WORKERS = 3
KILL_EVERY_SECONDS = 1.0
MOST_KILLS = 30
LEAST_KILLS = 10


class Fleet:
    """Workers of which one dies every second, and is started again, as a supervisor would."""

    def __init__(self, url: str, sellers: str) -> None:
        self._url = url
        self._sellers = sellers
        self._chance = random.Random(20261123)
        self._ended: list[Process] = []
        self.workers = [self._start() for _ in range(WORKERS)]
        self.kills = 0

    def end(self) -> None:
        """End all that were ever started."""
        end_all(self.workers + self._ended)

    async def die_one_by_one(self, spared: asyncio.Event) -> None:
        """Kill a random worker every second, until `spared` is set or enough have died."""
        while self.kills < MOST_KILLS:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(spared.wait(), KILL_EVERY_SECONDS)
                return
            place = self._chance.randrange(WORKERS)
            self.workers[place].kill()
            self._ended.append(self.workers[place])
            self.workers[place] = self._start()
            self.kills += 1

    def assert_died_only_of_kills(self) -> None:
        """Audit: nobody went down by itself, nothing was logged as a failure of the service."""
        assert all(worker.alive for worker in self.workers)
        everyone = self.workers + self._ended
        assert [line for one in everyone for line in one.events("service failed")] == []
        # A rendering process that was just starting complains when its parent is killed.
        assert ["".join(one.words) for one in self.workers if one.words] == []

    def _start(self) -> Process:
        return invoice_worker(
            self._url,
            INVOICE_SELLERS=self._sellers,
            INVOICE_ACK_WAIT_SECONDS="3",
            INVOICE_CONCURRENCY="50",
        )


@contextlib.asynccontextmanager
async def fleet(url: str, folder: Path) -> AsyncIterator[Fleet]:
    """Run a fleet."""
    running = Fleet(url, sellers_file(folder))
    try:
        for worker in running.workers:
            await worker.started()
        yield running
    finally:
        running.end()


@pytest.mark.timeout(600)  # 3,000 pairs of documents on as few cores as there are
@pytest.mark.parametrize("server_kills", [0, 2], ids=["workers die", "server and workers die"])
async def test_every_job_takes_effect_once_whatever_dies(
    own_server: Server, tmp_path: Path, server_kills: int
) -> None:
    traffic = mixed_jobs(JOBS, seed=1)
    async with fleet(own_server.url, tmp_path) as workers:
        client = await nats.connect(
            own_server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1
        )
        spared = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(workers.die_one_by_one(spared))
            publishing = group.create_task(publish_all(client, traffic.publications))
            for part in range(server_kills):
                await _reached(client, len(traffic.orders) * (part + 1) // (server_kills + 2))
                await asyncio.to_thread(own_server.kill)
                await asyncio.to_thread(own_server.start)
            await publishing
            await books.all_done(client, len(traffic.orders), seconds=400)
            spared.set()
        assert workers.kills >= LEAST_KILLS
        await books.assert_audited(client, traffic.orders)
        await books.assert_parked_once(client, traffic.bad)
        workers.assert_died_only_of_kills()
        await client.close()


async def _reached(client: Client, invoices: int) -> None:
    async def there() -> bool:
        return await books.rendered(client) >= invoices

    await eventually(there, seconds=200)
