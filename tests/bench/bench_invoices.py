"""Invoices issued a second by one real worker whose queue is full, with and without group commit.

Run as `python -m tests.bench invoices`. The clock is the server's: from the stored time of the
first `invoices.issued` to that of the last, so start-up does not count, and neither do the
invoices of the first commit, whose work lies before that time.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from services.invoice_worker.settings import QueueSettings
from services.invoice_worker.topology import INVOICE_JOBS, INVOICES, topology
from shared import jetstream, logs
from shared.broker import Broker, connected
from shared.provision import provision
from shared.settings import BrokerSettings, LogSettings, StreamSettings
from tests.bench.__main__ import say
from tests.bench.rig import (
    ROUNDS,
    Measured,
    compare,
    cpu_of,
    cpu_ratio,
    epoch_seconds,
    fill,
    messages_in,
    ratio,
    require,
    row,
    two_line_job,
)
from tests.eventually import eventually
from tests.processes import invoice_worker
from tests.server import Server

GROUP: Final = 200
COUNTS: Final = {GROUP: 10_000, 1: 600}
OF_SINGLE: Final = 8.0
GOAL: Final = 5_000

_DRAIN_SECONDS = 120.0
_FACTS = "invoices.issued.>"


async def main() -> None:
    """Print rates, CPU and the ratio; raise if group commit does not gain what it should."""
    logs.configure(LogSettings(level="warning"))
    runs: dict[int, list[Measured]] = {group: [] for group in COUNTS}
    for _ in range(ROUNDS):
        for group, count in COUNTS.items():
            with tempfile.TemporaryDirectory() as folder, Server(Path(folder)) as server:
                runs[group].append(await _run(server, group, count))
    row(f"commits of up to {GROUP}", runs[GROUP], 1_000)
    row("commits of one", runs[1], 1_000)
    missed = require("group commit to single", ratio(runs[GROUP], runs[1]), OF_SINGLE)
    compare("  by CPU", cpu_ratio(runs[GROUP], runs[1]))
    best = max(one.rate for one in runs[GROUP])
    alone = 1 / min(one.cpu_each(1) for one in runs[GROUP])
    say(f"  best round {best:,.0f} invoices/s (goal {GOAL:,}, depends on the machine)")
    say(f"  a core of its own, by the CPU used, would issue {alone:,.0f}/s")
    if missed:
        raise AssertionError(missed)


async def _run(server: Server, group: int, count: int) -> Measured:
    async with connected(BrokerSettings(url=server.url), "bench") as broker:
        await provision(broker.client, topology(QueueSettings()), StreamSettings())
        bodies = (two_line_job(f"SO-{n}") for n in range(count))
        await fill(broker.client, "jobs.invoice.demo", bodies)
        with invoice_worker(
            server.url,
            INVOICE_RENDER_PROCESSES="0",
            INVOICE_GROUP_COMMIT=str(group),
            LOG_LEVEL="warning",
        ) as worker:
            return await _drained(broker, server.pid, worker.pid, group=group, count=count)


async def _drained(
    broker: Broker, server_pid: int, worker_pid: int, *, group: int, count: int
) -> Measured:
    """Wait until all is issued; CPU counts from the first invoice that is seen."""
    client = broker.client

    async def issued() -> int:
        return count - await messages_in(client, INVOICE_JOBS.name)

    seen = await eventually(issued, _DRAIN_SECONDS)
    cpu, server_cpu = cpu_of(worker_pid), cpu_of(server_pid)

    async def all_issued() -> bool:
        return await issued() == count

    await eventually(all_issued, _DRAIN_SECONDS)
    cpu, server_cpu = cpu_of(worker_pid) - cpu, cpu_of(server_pid) - server_cpu
    first = await jetstream.next_message(client, INVOICES.name, _FACTS, 1)
    last = await jetstream.last_message(client, INVOICES.name, _FACTS)
    assert first is not None
    assert last is not None
    seconds = epoch_seconds(last.time) - epoch_seconds(first.time)
    timed = count - group
    share = timed / (count - seen)  # CPU was counted over other invoices than time was
    return Measured(timed, seconds, cpu * share, server_cpu * share)
