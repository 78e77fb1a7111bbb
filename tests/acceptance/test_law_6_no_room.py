"""Law 6: what finds no room is refused or kept, and nothing that was acknowledged is lost."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from shared import jetstream
from shared.jetstream import STREAM_FULL, JetStreamError
from tests.acceptance import books
from tests.acceptance.traffic import Publication, body, job, publish_all, simple_jobs
from tests.eventually import eventually
from tests.headrace import headrace
from tests.processes import Process, invoice_workers
from tests.server import Server

ROOM = 50
SMALL = {"INVOICE_QUEUE_MAX_MESSAGES": str(ROOM)}
STORE_MEGABYTES = 24


async def test_a_full_queue_refuses_the_publisher_and_loses_nothing(
    own_server: Server, own_client: Client, nats_cli: str
) -> None:
    provisioned = await headrace("provision", url=own_server.url, env=SMALL)
    assert provisioned.code == 0, provisioned
    traffic = simple_jobs(ROOM + 10)
    acknowledged: list[Publication] = []
    for one in traffic.publications:
        try:
            await jetstream.publish(own_client, one.subject, one.body)
        except JetStreamError as error:
            assert error.err_code == STREAM_FULL  # noqa: PT017  publishing others must go on
        else:
            acknowledged.append(one)
    assert len(acknowledged) == ROOM
    refused = subprocess.run(  # noqa: ASYNC221  nothing else happens meanwhile
        [nats_cli, "-s", own_server.url, "pub", "-J", "jobs.invoice.demo", "{}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert refused.returncode != 0
    assert "maximum messages exceeded" in refused.stderr + refused.stdout
    async with invoice_workers(1, own_server.url, **SMALL):
        await books.all_done(own_client, ROOM)
    await books.assert_audited(
        own_client, {("demo", "invoice", f"SO-{n}") for n in range(len(acknowledged))}
    )


@pytest.fixture
def small_server(tmp_path: Path) -> Iterator[Server]:
    """A server whose disk is soon full."""
    with Server(tmp_path, jetstream=f"max_file_store: {STORE_MEGABYTES}MB") as running:
        yield running


async def test_a_full_disk_holds_jobs_up_and_loses_none(small_server: Server) -> None:
    client = await nats.connect(small_server.url)
    traffic = simple_jobs(100)
    bad = body(job("SO-bad", lines=[]))
    assert (await headrace("provision", url=small_server.url)).code == 0
    await publish_all(client, traffic.publications)
    await jetstream.publish(client, "jobs.invoice.demo", bad)
    await _fill_the_disk(client)
    quick = {"INVOICE_ACK_WAIT_SECONDS": "2", "INVOICE_RETRY_FIRST_SECONDS": "0.2"}
    async with invoice_workers(1, small_server.url, **quick) as [worker]:
        await eventually(lambda: len(_held_up(worker)) > 2 * len(traffic.orders), seconds=60)
        assert await books.left(client, "DEAD_LETTERS") == 0
        assert await books.left(client, "INVOICE_JOBS") == len(traffic.orders) + 1
        await jetstream.call(client, "STREAM.DELETE.BALLAST")
        await books.all_done(client, len(traffic.orders))
    await books.assert_audited(client, traffic.orders)
    await books.assert_parked_once(client, {bad: ("invalid", "lines: ")})
    await client.close()


@pytest.mark.parametrize("how", ["full", "gone"])
async def test_a_bad_job_waits_in_its_queue_while_no_dead_letter_can_be_stored(
    own_server: Server, own_client: Client, how: str
) -> None:
    quick = {"INVOICE_RETRY_FIRST_SECONDS": "0.1"}
    bad = body(job("SO-bad", lines=[]))
    async with invoice_workers(1, own_server.url, **quick) as [worker]:
        if how == "full":
            await jetstream.publish(own_client, "dead.other.invalid", b"filler")
            await _change(own_client, discard="new", max_msgs=1)
        else:
            await jetstream.call(own_client, "STREAM.DELETE.DEAD_LETTERS")
        await jetstream.publish(own_client, "jobs.invoice.demo", bad)
        await publish_all(own_client, simple_jobs(20).publications)
        refused = "dead letter refused, the job stays in its queue"
        await eventually(lambda: len(worker.events(refused)) >= 6)  # more than its attempts
        await eventually(lambda: _all_but_one_done(own_client, 20))
        if how == "full":
            await _change(own_client, discard="old", max_msgs=-1)
        else:
            assert (await headrace("provision", url=own_server.url)).code == 0
        await books.all_done(own_client, 20)
    await books.assert_audited(own_client, {("demo", "invoice", f"SO-{n}") for n in range(20)})
    await books.assert_parked_once(own_client, {bad: ("invalid", "lines: ")})
    (letter,) = await books.dead(own_client)
    assert letter.attempts == 1


def _held_up(worker: Process) -> list[dict[str, Any]]:
    return [
        line
        for line in list(worker.log)
        if line["level"] == "warning" and line.get("sequence") is not None
    ]


async def _fill_the_disk(client: Client) -> None:
    await jetstream.call(
        client, "STREAM.CREATE.BALLAST", {"name": "BALLAST", "subjects": ["ballast"]}
    )
    for size in (900_000, 50_000, 1_000, 1):
        with contextlib.suppress(JetStreamError):
            while True:
                await jetstream.publish(client, "ballast", b"x" * size)


async def _all_but_one_done(client: Client, invoices: int) -> bool:
    done = await books.issued(client) == invoices
    return done and await books.left(client, "INVOICE_JOBS") == 1


async def _change(client: Client, **fields: Any) -> None:
    info = await jetstream.call(client, "STREAM.INFO.DEAD_LETTERS")
    await jetstream.call(client, "STREAM.UPDATE.DEAD_LETTERS", info["config"] | fields)
