"""One scenario: services up, traffic flowing, harm done, recovery timed, all of it judged."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from functools import partial

import nats
from nats.aio.client import Client

from shared.jetstream import BROKER_ERRORS
from tests.acceptance import books
from tests.chaos.fleet import Fleet, Setup, rules_file
from tests.chaos.judge import judge
from tests.chaos.progress import ISSUED, Mark, all_passed, longest_pause, mark, passed, patient
from tests.chaos.report import Report, Row
from tests.chaos.traffic import Traffic
from tests.eventually import eventually

_WARM_SECONDS = 90
_RECOVERY_SECONDS = 120
_DRAIN_SECONDS = 240
_WARM_INVOICES = 10


class Run:
    """What a scenario does its harm to."""

    def __init__(self, client: Client, fleet: Fleet, traffic: Traffic) -> None:
        self.client = client
        self.fleet = fleet
        self.traffic = traffic
        self.recoveries: list[float] = []
        self.notes: list[str] = []

    async def recovered(self, seconds: float = _RECOVERY_SECONDS) -> None:
        """Call when the harm has ended: wait until all that is stored then has had its effect.

        Traffic flows on meanwhile, so results flow as before by then.
        """
        ended = time.monotonic()
        await self.caught_up(seconds)
        self.recoveries.append(time.monotonic() - ended)

    async def caught_up(self, seconds: float) -> None:
        """Wait until all that is stored now has had its effect."""
        end = await _answered(self.client)
        await eventually(patient(lambda: passed(self.client, end)), seconds)

    async def going_on(self, seconds: float) -> None:
        """Let so much time pass, under traffic."""
        end = time.monotonic() + seconds
        await eventually(lambda: time.monotonic() > end, seconds + 5)


@contextlib.asynccontextmanager
async def under_traffic(setup: Setup, report: Report) -> AsyncIterator[Run]:
    """Run all services under traffic; at the end let them drain, stop them, and judge."""
    client = await nats.connect(
        setup.url.split(","), max_reconnect_attempts=-1, reconnect_time_wait=0.1
    )
    fleet = Fleet(setup)
    try:
        await fleet.started()
        run = Run(client, fleet, Traffic(client, setup.rates))
        async with asyncio.TaskGroup() as group:
            group.create_task(run.traffic.flow())
            await eventually(partial(_warm, client), _WARM_SECONDS)
            yield run
            run.traffic.end()
        until_ns = time.time_ns()
        await eventually(patient(lambda: all_passed(client)), _DRAIN_SECONDS)
        await fleet.stopped()
        await judge(client, run.traffic, setup.url, rules_file(setup.folder))
        report.add(await _row(run, until_ns))
    finally:
        fleet.end()
        await client.close()


async def _warm(client: Client) -> bool:
    return await books.rendered(client) >= _WARM_INVOICES


async def _answered(client: Client) -> Mark:
    while True:
        with contextlib.suppress(*BROKER_ERRORS):
            return await mark(client)


async def _row(run: Run, until_ns: int) -> Row:
    acknowledged = run.traffic.acknowledged
    return Row(
        published=", ".join(str(len(ids)) for ids in acknowledged.values()),
        recovery=max(run.recoveries, default=0.0),
        pause_invoices=await longest_pause(run.client, "INVOICES", ISSUED, until_ns),
        pause_payments=await longest_pause(run.client, "FRAUD", "fraud.scores.>", until_ns),
        note="; ".join(run.notes),
    )
