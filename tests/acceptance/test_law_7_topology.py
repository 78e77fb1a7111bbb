"""Law 7: a service finds its topology, puts it right, or refuses to start and says why."""

from __future__ import annotations

from typing import Any

from nats.aio.client import Client

from shared import jetstream
from tests.acceptance import books
from tests.acceptance.traffic import publish_all, simple_jobs
from tests.processes import Process, invoice_worker, invoice_workers
from tests.server import Server

STREAMS = (
    "INVOICE_SCHEDULES", "INVOICE_JOBS", "INVOICES", "OBJ_INVOICE_DOCUMENTS", "DEAD_LETTERS",
    "ATTEMPTS",
)  # fmt: skip
DURABLES = (("INVOICE_JOBS", "invoice_worker"), ("INVOICES", "invoice_documents"))


async def test_a_second_start_changes_nothing(own_server: Server, own_client: Client) -> None:
    async with invoice_workers(1, own_server.url) as [first]:
        before = await _configuration(own_client)
        assert len(_changes(first)) == len(STREAMS) + len(DURABLES)
    async with invoice_workers(1, own_server.url) as [second]:
        assert _changes(second) == []
    assert await _configuration(own_client) == before


async def test_a_start_puts_right_what_has_drifted(own_server: Server, own_client: Client) -> None:
    async with invoice_workers(1, own_server.url):
        good = await _configuration(own_client)
    await _change_durable(own_client, ack_wait=1_000_000, max_ack_pending=1, max_deliver=3)
    jobs = good["INVOICE_JOBS"] | {"discard": "old", "max_msgs": 1}
    await jetstream.call(own_client, "STREAM.UPDATE.INVOICE_JOBS", jobs)
    assert await _configuration(own_client) != good
    async with invoice_workers(1, own_server.url) as [worker]:
        assert sorted((line["event"], line["name"]) for line in _changes(worker)) == [
            ("durable updated", "invoice_worker"),
            ("stream updated", "INVOICE_JOBS"),
        ]
        assert await _configuration(own_client) == good
        await publish_all(own_client, simple_jobs(20).publications)
        await books.all_done(own_client, 20)


async def test_a_durable_removed_under_a_running_worker_is_made_again(
    own_server: Server, own_client: Client
) -> None:
    traffic = simple_jobs(40)
    async with invoice_workers(2, own_server.url):
        await publish_all(own_client, traffic.publications[:20])
        await books.all_done(own_client, 20)
        for stream, durable in DURABLES:
            await jetstream.call(own_client, f"CONSUMER.DELETE.{stream}.{durable}")
        await publish_all(own_client, traffic.publications[20:])
        await books.all_done(own_client, 40)
    await books.assert_audited(own_client, traffic.orders)


async def test_what_cannot_be_changed_is_refused_in_words_and_left_alone(
    own_server: Server, own_client: Client
) -> None:
    theirs = {"name": "INVOICE_JOBS", "subjects": ["jobs.invoice.>"], "retention": "limits"}
    await jetstream.call(own_client, "STREAM.CREATE.INVOICE_JOBS", theirs)
    before = (await jetstream.call(own_client, "STREAM.INFO.INVOICE_JOBS"))["config"]
    with invoice_worker(own_server.url) as worker:
        assert await worker.exit_code() == 3
        (said,) = worker.events("topology refused")
        words = "\n".join(said["differences"])
        assert "REFUSED   stream INVOICE_JOBS" in words
        assert "retention: 'limits' -> 'workqueue'" in words
        assert "nats stream rm INVOICE_JOBS" in words
        assert worker.words == []
    after = (await jetstream.call(own_client, "STREAM.INFO.INVOICE_JOBS"))["config"]
    assert after == before
    names = await jetstream.call(own_client, "STREAM.NAMES")
    assert names["streams"] == ["INVOICE_JOBS"]


def _changes(worker: Process) -> list[dict[str, Any]]:
    return [line for line in worker.log if line["part"] == "provision"]


async def _configuration(client: Client) -> dict[str, Any]:
    """Return the configuration of everything."""
    everything = {}
    for stream in STREAMS:
        everything[stream] = (await jetstream.call(client, f"STREAM.INFO.{stream}"))["config"]
    for stream, durable in DURABLES:
        info = await jetstream.call(client, f"CONSUMER.INFO.{stream}.{durable}")
        everything[durable] = info["config"]
    return everything


async def _change_durable(client: Client, **fields: Any) -> None:
    stream, durable = DURABLES[0]
    info = await jetstream.call(client, f"CONSUMER.INFO.{stream}.{durable}")
    body = {"stream_name": stream, "config": info["config"] | fields}
    await jetstream.call(client, f"CONSUMER.CREATE.{stream}.{durable}.jobs.invoice.>", body)
