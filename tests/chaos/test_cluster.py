"""Three servers: the one that leads dies, or is parted from the others with members behind it."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
from nats.aio.client import Client

from shared import jetstream
from shared.jetstream import BROKER_ERRORS
from tests.chaos.fleet import Setup
from tests.chaos.report import Report
from tests.chaos.run import under_traffic
from tests.chaos.traffic import Rates
from tests.cluster import SERVERS, cluster, leader_of
from tests.eventually import eventually
from tests.parted_cluster import parted_cluster

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

LED = ("INVOICES", "METRICS", "PAYMENTS")
PARTED_SECONDS = 30
RATES = Rates(jobs=2, samples=15, payments=15)
REPLICAS = {"STREAM_REPLICAS": str(SERVERS)}


async def test_leaders_of_three_servers_are_killed(tmp_path: Path, report: Report) -> None:
    async with cluster(tmp_path) as servers:
        setup = Setup(servers.url, tmp_path, RATES, REPLICAS)
        async with under_traffic(setup, report) as run:
            for stream in LED:
                led = partial(leader_of, run.client, stream)
                leader = await eventually(led, 60)
                await servers.kill(leader)
                await eventually(led, 60)
                await servers.start(leader)
                await run.recovered()
            run.notes.append(f"{len(LED)} leaders, one after another; the slowest counts")


@pytest.mark.parametrize("way", ["cut", "held"])
async def test_the_routes_of_a_leader_are(
    tmp_path: Path, report: Report, way: Literal["cut", "held"]
) -> None:
    async with parted_cluster(tmp_path) as servers:
        setup = Setup(servers.url, tmp_path, RATES, REPLICAS)
        async with under_traffic(setup, report) as run:
            leader = await eventually(partial(_led_elsewhere, run.client), 60)
            servers.part(leader, way)
            await run.going_on(PARTED_SECONDS)
            servers.heal()
            await run.recovered()
            run.notes.append(f"for {PARTED_SECONDS} s; publishers are on another server")


async def _led_elsewhere(client: Client) -> str:
    """Return who leads the invoices; empty, and another one is to lead, if publishers are there."""
    leader = await leader_of(client, "INVOICES")
    info: Any = client._server_info  # noqa: SLF001  nats-py tells the address only, not the name
    if leader != info["server_name"]:
        return leader
    with contextlib.suppress(*BROKER_ERRORS):
        await jetstream.call(client, "STREAM.LEADER.STEPDOWN.INVOICES")
    return ""
