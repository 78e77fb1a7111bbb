"""One cheap scenario in each `make test`: that the suite works is tried before it is needed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from nats.aio.client import Client

from shared import jetstream
from tests.chaos.fleet import SERVICES, Setup, rules_file
from tests.chaos.judge import judge
from tests.chaos.report import Report
from tests.chaos.run import under_traffic
from tests.server import Server


async def test_a_member_of_each_and_the_server_are_killed(
    own_server: Server, own_client: Client, tmp_path: Path, report: Report
) -> None:
    async with under_traffic(Setup(own_server.url, tmp_path), report) as run:
        for service in SERVICES:
            run.fleet.kill(service)
        await asyncio.to_thread(own_server.kill)
        await asyncio.to_thread(own_server.start)
        await run.recovered()
    # The judge has found nothing; it finds what is missing where something is.
    for stream, subject, words in (
        ("FRAUD", "fraud.scores.>", "FRAUD lacks 1 of "),
        ("PAYMENTS", "payments-log.*.event.made.>", "PAYMENTS"),
        ("INVOICES", "invoices.issued.>", "SO-"),
    ):
        last = await jetstream.last_message(own_client, stream, subject)
        assert last is not None
        await jetstream.delete_message(own_client, stream, last.sequence)
        with pytest.raises(AssertionError, match=words):
            await judge(own_client, run.traffic, own_server.url, rules_file(tmp_path))
