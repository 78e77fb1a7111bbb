"""A subject need not be UTF-8: no publisher can make a service deaf by one."""

from __future__ import annotations

import json
import socket

from nats.aio.client import Client

from shared import jetstream
from shared.contracts import headers
from tests.acceptance.test_metrics import of_subject
from tests.acceptance.traffic import body, job
from tests.eventually import eventually
from tests.metrics_rig import metrics_aggregator
from tests.processes import invoice_worker
from tests.server import Server


def publish_raw(port: int, subject: bytes, data: bytes) -> None:
    """Publish as a client would that checks nothing; return when the server has it."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        said = connection.makefile("rb")
        said.readline()
        head = b'CONNECT {"verbose":false}\r\nPUB %s %d\r\n' % (subject, len(data))
        connection.sendall(head + data + b"\r\nPING\r\n")
        assert said.readline().startswith(b"PONG")


async def test_a_worker_parks_a_job_on_such_a_subject_and_goes_on(
    own_server: Server, own_client: Client
) -> None:
    with invoice_worker(own_server.url) as worker:
        await worker.started()
        publish_raw(own_server.port, b"jobs.invoice.\xff", body(job("SO-1")))
        await jetstream.publish(own_client, "jobs.invoice.demo", body(job("SO-2")))
        dead = "dead.invoice_worker.invalid"
        letter = await eventually(lambda: jetstream.last_message(own_client, "DEAD_LETTERS", dead))
        assert letter is not None
        assert letter.headers[headers.DEAD_ERROR].startswith("seller: ")
        issued = "invoices.issued.demo"
        fact = await eventually(lambda: jetstream.last_message(own_client, "INVOICES", issued))
        assert fact is not None
        assert json.loads(fact.data)["order_id"] == "SO-2"


async def test_the_aggregator_counts_what_such_a_subject_brings(
    own_server: Server, own_client: Client
) -> None:
    with metrics_aggregator(own_server.url) as member:
        await member.started()
        for minute in (0, 2):
            time = f"2026-11-23T08:0{minute}:00Z"
            sample = {"name": "latency_ms", "value": 7, "time": time}
            data = json.dumps(sample | {"labels": {"host": "a"}}).encode()
            publish_raw(own_server.port, b"telemetry.\xff.x", data)
        subject = "metrics.latency.latency_ms:1m_by_host_max"
        (found,) = await eventually(lambda: of_subject(own_client, subject, 1), 30)
        assert json.loads(found[1])["value"] == 7
