"""One cheap scenario in each `make test`: that the suite works is tried before it is needed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.chaos.fleet import SERVICES, Setup
from tests.chaos.report import Report
from tests.chaos.run import under_traffic
from tests.server import Server


async def test_a_member_of_each_and_the_server_are_killed(
    own_server: Server, tmp_path: Path, report: Report
) -> None:
    async with under_traffic(Setup(own_server.url, tmp_path), report) as run:
        for service in SERVICES:
            run.fleet.kill(service)
        await asyncio.to_thread(own_server.kill)
        await asyncio.to_thread(own_server.start)
        await run.recovered()
