"""Jobs for later: what is due while the queue is full waits, and comes when there is room."""

from __future__ import annotations

import datetime as dt

import pytest
from nats.aio.client import Client

from services.invoice_worker.settings import QueueSettings
from services.invoice_worker.topology import INVOICE_JOBS, INVOICE_SCHEDULES, topology
from shared import jetstream
from shared.provision import provision
from shared.settings import StreamSettings
from tests.eventually import eventually


async def messages(client: Client, stream: str) -> int:
    return int((await jetstream.call(client, f"STREAM.INFO.{stream}"))["state"]["messages"])


async def test_what_is_due_waits_while_the_queue_is_full(
    own_client: Client,
) -> None:
    await provision(own_client, topology(QueueSettings(max_messages=1)), StreamSettings())
    await jetstream.publish(own_client, "jobs.invoice.demo", b"first")
    now = dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")
    for name in ("a", "b"):
        headers = {
            "Nats-Schedule": f"@at {now}",
            "Nats-Schedule-Target": "scheduled.invoice.demo",
        }
        await jetstream.publish(own_client, f"schedules.invoice.{name}", name.encode(), headers)

    async def both_due() -> bool:
        subjects = {"subjects_filter": "scheduled.>"}
        state = (await jetstream.call(own_client, "STREAM.INFO.INVOICE_SCHEDULES", subjects))[
            "state"
        ]
        return (state.get("subjects") or {}) == {"scheduled.invoice.demo": 2}

    await eventually(both_due)
    with pytest.raises(jetstream.JetStreamError, match="maximum messages"):
        await jetstream.publish(own_client, "jobs.invoice.demo", b"refused")
    assert await messages(own_client, INVOICE_JOBS.name) == 1

    taken = []
    for _ in range(3):
        job = await eventually(
            lambda: jetstream.last_message(own_client, INVOICE_JOBS.name, "jobs.invoice.demo"), 30
        )
        assert job is not None
        taken.append(job.data)
        await jetstream.delete_message(own_client, INVOICE_JOBS.name, job.sequence)
    assert taken[0] == b"first"
    assert set(taken) == {b"first", b"a", b"b"}
    await eventually(lambda: _empty(own_client))


async def _empty(client: Client) -> bool:
    return await messages(client, INVOICE_SCHEDULES.name) == 0
