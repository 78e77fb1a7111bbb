"""Law 5: once the cause is mended, redrive gives the invoice; a second redrive none."""

from __future__ import annotations

from pathlib import Path

from nats.aio.client import Client

from tests.acceptance import books
from tests.acceptance.traffic import body, job, publish_all, sellers_file, simple_jobs
from tests.eventually import eventually
from tests.headrace import headrace
from tests.processes import Process, invoice_workers
from tests.server import Server

REDRIVE = ("dead", "redrive", "--service", "invoice_worker", "--yes")


async def test_redrive_gives_the_invoice_once_the_seller_is_known(
    own_server: Server, own_client: Client, tmp_path: Path
) -> None:
    traffic = simple_jobs(5, seller="north")
    async with invoice_workers(1, own_server.url):
        await publish_all(own_client, traffic.publications)
        await eventually(lambda: _parked(own_client, 5))
        # Its job goes after the letter: who is killed in between leaves it to be done again.
        await eventually(lambda: _no_job_left(own_client))
    for letter in await books.dead(own_client):
        assert letter.error.startswith("seller: ")
        assert "north" in letter.error
        assert letter.reason == "invalid"
    async with invoice_workers(1, own_server.url, INVOICE_SELLERS=sellers_file(tmp_path)) as [now]:
        await _redrive(own_server, "--keep")
        await books.all_done(own_client, 5)
        await _redrive(own_server, "--keep")
        await _redrive(own_server)
        await eventually(lambda: len(_repeated(now)) == 10)
        assert await books.left(own_client, "DEAD_LETTERS") == 0
    await books.assert_audited(own_client, traffic.orders)


async def test_what_is_not_mended_is_parked_again(own_server: Server, own_client: Client) -> None:
    async with invoice_workers(1, own_server.url):
        await own_client.jetstream().publish("jobs.invoice.demo", body(job("SO-1", lines=[])))
        await eventually(lambda: _parked(own_client, 1))
        (before,) = await books.dead(own_client)
        await _redrive(own_server)
        await eventually(lambda: _parked_as(own_client, before.sequence + 1))
        (after,) = await books.dead(own_client)
        assert (after.error, after.body) == (before.error, before.body)
        assert await books.left(own_client, "INVOICE_JOBS") == 0
        assert await books.issued(own_client) == 0


async def _redrive(server: Server, *options: str) -> None:
    finished = await headrace(*REDRIVE, *options, url=server.url)
    assert finished.code == 0, finished


def _repeated(worker: Process) -> list[dict[str, object]]:
    return worker.events("delivery settled", stream="INVOICE_JOBS", repeated=True)


async def _no_job_left(client: Client) -> bool:
    return await books.left(client, "INVOICE_JOBS") == 0


async def _parked(client: Client, count: int) -> bool:
    return await books.left(client, "DEAD_LETTERS") == count


async def _parked_as(client: Client, sequence: int) -> bool:
    return [letter.sequence for letter in await books.dead(client)] == [sequence]
