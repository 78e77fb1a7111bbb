"""More than can be done, then less; and traffic for half an hour, in which memory stays flat."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.acceptance import books
from tests.chaos.fleet import Setup
from tests.chaos.progress import invoices_waiting
from tests.chaos.report import Report
from tests.chaos.run import Run, under_traffic
from tests.chaos.traffic import Rates
from tests.fraud_rig import BEGIN_S
from tests.process_facts import memory_mb
from tests.server import Server

SOAK_SECONDS = float(os.environ.get("SOAK_SECONDS", "1800"))
pytestmark = [pytest.mark.chaos, pytest.mark.timeout(SOAK_SECONDS + 900)]

PROBE_JOBS = 150
OVERLOAD = 1.5
OVERLOAD_SECONDS = 30
GROWTH = 1.1
GROWTH_MB = 8.0
SAMPLES = 20
"""In each third."""
FAST = Rates(payments_apart_seconds=1800, payments_begin_s=BEGIN_S - 4 * 365 * 86_400)
"""Event time goes on so fast that the longest memory of a starter rule, 90 days, is soon full."""


async def test_half_as_much_again_as_can_be_done_and_then_it_drains(
    own_server: Server, tmp_path: Path, report: Report
) -> None:
    async with under_traffic(Setup(own_server.url, tmp_path), report) as run:
        usual = run.traffic.rates
        capacity = await _capacity(run)
        run.traffic.rates = Rates(OVERLOAD * capacity, 2 * usual.samples, 2 * usual.payments)
        await run.going_on(OVERLOAD_SECONDS)
        behind = await invoices_waiting(run.client)
        run.traffic.rates = usual
        await run.recovered(300)
        run.notes.append(
            f"{capacity:.0f} invoices a second are all that it can; {OVERLOAD} times that for "
            f"{OVERLOAD_SECONDS} s left {behind} waiting"
        )
        assert behind > OVERLOAD_SECONDS  # or it was none


async def test_a_soak_with_flat_memory(own_server: Server, tmp_path: Path, report: Report) -> None:
    async with under_traffic(Setup(own_server.url, tmp_path, FAST), report) as run:
        taken: list[list[float]] = []
        for _ in range(3 * SAMPLES):
            await run.going_on(SOAK_SECONDS / SAMPLES / 3)
            taken.append([memory_mb(member.pid) for member in run.fleet.everyone])
        members = list(zip(*taken, strict=True))
        for member, megabytes in zip(run.fleet.everyone, members, strict=True):
            middle, last = max(megabytes[SAMPLES:-SAMPLES]), max(megabytes[-SAMPLES:])
            assert last <= max(GROWTH * middle, middle + GROWTH_MB), (member.program, megabytes)
        sums = [sum(column) for column in taken]
        second, third = max(sums[SAMPLES:-SAMPLES]), max(sums[-SAMPLES:])
        run.notes.append(
            f"{SOAK_SECONDS:.0f} s; all members and their renderers took {second:.0f} MB in the "
            f"second third, {third:.0f} MB in the last"
        )
        await run.recovered()


async def _capacity(run: Run) -> float:
    """Return how many invoices a second, documents and all, the workers make when they can."""
    before, begin = await books.rendered(run.client), time.monotonic()
    await run.traffic.burst("jobs", PROBE_JOBS)
    await run.caught_up(300)
    return (await books.rendered(run.client) - before) / (time.monotonic() - begin)
