"""The server dies, stands still, is slow, or has no room: what was acknowledged has its effect."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from shared import jetstream
from tests.chaos.fleet import Setup
from tests.chaos.report import Report
from tests.chaos.run import under_traffic
from tests.server import Server

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

RESTARTS = 3
OUTAGE_SECONDS = 5
PAUSE_SECONDS = 8
SLOW_SECONDS = 12
SLICE_SECONDS = 0.25
FULL_SECONDS = 8
STORM_JOBS = 200
STORM_COPIES = 5

INPUTS = ("INVOICE_JOBS", "TELEMETRY", "PAYMENTS")
OUTPUTS = ("INVOICES", "METRICS_PARTIALS", "METRICS", "FRAUD", "DEAD_LETTERS")


async def test_the_server_is_killed_and_starts_again_later(
    own_server: Server, tmp_path: Path, report: Report
) -> None:
    async with under_traffic(Setup(own_server.url, tmp_path), report) as run:
        for _ in range(RESTARTS):
            await asyncio.to_thread(own_server.kill)
            await run.going_on(OUTAGE_SECONDS)
            await asyncio.to_thread(own_server.start)
            await run.recovered()
        run.notes.append(f"{RESTARTS} times, away for {OUTAGE_SECONDS} s each; the slowest counts")
        await run.going_on(3)


async def test_the_server_stands_still(own_server: Server, tmp_path: Path, report: Report) -> None:
    async with under_traffic(Setup(own_server.url, tmp_path), report) as run:
        os.kill(own_server.pid, signal.SIGSTOP)
        await run.going_on(PAUSE_SECONDS)
        os.kill(own_server.pid, signal.SIGCONT)
        await run.recovered()
        run.notes.append(f"for {PAUSE_SECONDS} s, beyond all leases")
        await run.going_on(3)


async def test_the_server_is_slow(own_server: Server, tmp_path: Path, report: Report) -> None:
    async with under_traffic(Setup(own_server.url, tmp_path), report) as run:
        for _ in range(int(SLOW_SECONDS / SLICE_SECONDS / 2)):
            os.kill(own_server.pid, signal.SIGSTOP)
            await run.going_on(1.5 * SLICE_SECONDS)
            os.kill(own_server.pid, signal.SIGCONT)
            await run.going_on(0.5 * SLICE_SECONDS)
        await run.recovered()
        run.notes.append(f"for {SLOW_SECONDS} s it stands still three quarters of the time")


async def test_the_queue_and_the_logs_of_inputs_are_full(
    own_server: Server, tmp_path: Path, report: Report
) -> None:
    async with under_traffic(Setup(own_server.url, tmp_path), report) as run:
        async with full(run.client, INPUTS):
            await run.going_on(FULL_SECONDS)
        await run.recovered()
        assert run.traffic.refused > 0
        run.notes.append(f"for {FULL_SECONDS} s; {run.traffic.refused} refusals")
        await run.going_on(3)


async def test_the_streams_of_results_are_full(
    own_server: Server, tmp_path: Path, report: Report
) -> None:
    async with under_traffic(Setup(own_server.url, tmp_path), report) as run:
        async with full(run.client, OUTPUTS):
            await run.going_on(FULL_SECONDS)
        await run.recovered()
        run.notes.append(f"for {FULL_SECONDS} s")
        await run.going_on(3)


async def test_a_retry_storm(own_server: Server, tmp_path: Path, report: Report) -> None:
    quick = {"INVOICE_RETRY_FIRST_SECONDS": "0.1"}
    setup = Setup(own_server.url, tmp_path, variables=quick)
    async with under_traffic(setup, report) as run:
        run.traffic.copies = STORM_COPIES
        async with full(run.client, ("INVOICES",)):
            await run.traffic.burst("jobs", STORM_JOBS)
            await run.going_on(FULL_SECONDS)
        run.traffic.copies = 1
        await run.recovered()
        run.notes.append(
            f"{STORM_JOBS} jobs at once, all refused by the log for {FULL_SECONDS} s; "
            f"publishers send everything {STORM_COPIES} times"
        )
        await run.going_on(3)


@contextlib.asynccontextmanager
async def full(client: Client, streams: tuple[str, ...]) -> AsyncIterator[None]:
    """Let streams take no message beyond those that they hold."""
    before = {}
    for stream in streams:
        info = await jetstream.call(client, f"STREAM.INFO.{stream}")
        before[stream] = info["config"]
        limits = {"discard": "new", "max_msgs": max(1, info["state"]["messages"])}
        await jetstream.call(client, f"STREAM.UPDATE.{stream}", info["config"] | limits)
    yield
    for stream, config in before.items():
        await jetstream.call(client, f"STREAM.UPDATE.{stream}", config)
