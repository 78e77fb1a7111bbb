"""Members die, freeze, are cut off, or have another time; the rest go on, and nothing shows it."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest

from tests.chaos.fleet import ACK_WAIT_SECONDS, LEASE_SECONDS, MEMBERS, SERVICES, Service, Setup
from tests.chaos.report import Report
from tests.chaos.run import under_traffic
from tests.eventually import eventually
from tests.proxy import Proxy, proxy
from tests.server import Server

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

KILLS = 15
BEYOND_SECONDS = 2 * max(LEASE_SECONDS, ACK_WAIT_SECONDS)
LONGER_SECONDS = 15
DAY_SECONDS = 86_400
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


async def test_a_member_of_each_service_is_killed(
    own_server: Server, tmp_path: Path, report: Report
) -> None:
    async with under_traffic(Setup(own_server.url, tmp_path), report) as run:
        for service in SERVICES:
            run.fleet.kill(service)
        await run.recovered()
        await run.going_on(3)


async def test_members_are_killed_again_and_again(
    own_server: Server, tmp_path: Path, report: Report
) -> None:
    chance = random.Random(5)
    async with under_traffic(Setup(own_server.url, tmp_path), report) as run:
        for _ in range(KILLS):
            run.fleet.kill(chance.choice(SERVICES), chance.randrange(MEMBERS))
            await run.going_on(1)
        await run.recovered()
        run.notes.append(f"{KILLS} kills, one a second")


async def test_a_member_of_each_is_frozen_beyond_its_lease_and_wakes_up(
    own_server: Server, tmp_path: Path, report: Report
) -> None:
    async with under_traffic(Setup(own_server.url, tmp_path), report) as run:
        for member in run.fleet.firsts:
            member.freeze()
        await run.going_on(BEYOND_SECONDS)
        for member in run.fleet.firsts:
            member.thaw()
        await run.recovered()
        run.notes.append(f"frozen for {BEYOND_SECONDS} s")
        await run.going_on(3)


async def test_all_members_are_frozen_beyond_their_leases_and_wake_up(
    own_server: Server, tmp_path: Path, report: Report
) -> None:
    async with under_traffic(Setup(own_server.url, tmp_path), report) as run:
        for member in run.fleet.everyone:
            member.freeze()
        await run.going_on(BEYOND_SECONDS)
        for member in run.fleet.everyone:
            member.thaw()
        await run.recovered()
        run.notes.append(f"frozen for {BEYOND_SECONDS} s")


@pytest.mark.parametrize("way", ["cut", "held", "lost"])
async def test_the_network_of_a_member_of_each_is(
    own_server: Server, tmp_path: Path, report: Report, way: Literal["cut", "held", "lost"]
) -> None:
    async with proxies(own_server) as networks:
        urls = {service: network.url for service, network in networks.items()}
        setup = Setup(own_server.url, tmp_path, first_url=urls)
        async with under_traffic(setup, report) as run:
            for network in networks.values():
                network.part(way)
            await run.going_on(LONGER_SECONDS)
            for network in networks.values():
                network.heal()
            await run.recovered()
            for member in run.fleet.firsts if way != "held" else ():
                await eventually(lambda one=member: one.events("broker found again"), 60)  # type: ignore[misc]  # a default binds the loop's value
            run.notes.append(f"for {LONGER_SECONDS} s")
            await run.going_on(3)


@pytest.mark.skipif(not FAKETIME.exists(), reason="no libfaketime: apt-get install libfaketime")
async def test_the_clock_of_a_member_of_each_jumps(
    own_server: Server, tmp_path: Path, report: Report
) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0", "utf-8")
    faked = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    setup = Setup(own_server.url, tmp_path, first_variables=faked)
    async with under_traffic(setup, report) as run:
        for jump in (DAY_SECONDS, -DAY_SECONDS, 3, 0):
            clock.write_text(f"{jump:+}", "utf-8")
            await run.going_on(4)
        await run.recovered()
        tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=DAY_SECONDS / 2)
        assert max(line["time"] for line in run.fleet.firsts[0].log) > tomorrow.isoformat()
        run.notes.append("a day ahead, a day behind, 3 s ahead")


@contextlib.asynccontextmanager
async def proxies(server: Server) -> AsyncIterator[dict[Service, Proxy]]:
    """Run a proxy before the first member of each service."""
    async with contextlib.AsyncExitStack() as stack:
        yield {service: await stack.enter_async_context(proxy(server.port)) for service in SERVICES}
