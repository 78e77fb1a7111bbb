"""What the benches share: contenders as processes of their own, CPU beside every rate.

Only ratios of one run mean anything: contenders take turns, round after round, so that what
else the machine does meets them all alike, and the median of the rounds counts.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct
from nats.aio.client import Client

from shared import jetstream
from tests.bench.__main__ import say

T = TypeVar("T")

ROUNDS = 3

_IN_FLIGHT = 500
_TWO_LINES = {
    "buyer": {
        "name": "Blue GmbH",
        "street": "Hauptstr. 1",
        "postal_code": "10115",
        "city": "Berlin",
        "country": "DE",
    },
    "lines": [
        {
            "description": "Consulting",
            "quantity": "2.5",
            "unit": "HUR",
            "unit_price": "80.00",
            "vat_rate": "19",
        },
        {
            "description": "Handbook",
            "quantity": 3,
            "unit_price": "9.99",
            "vat_rate": "7",
            "discount_percent": "10",
        },
    ],
}
_TICKS = os.sysconf("SC_CLK_TCK")
_LONGEST_SECONDS = 120


class Measured(Struct, frozen=True):
    """One run: what was done, in what time, with how much CPU."""

    count: int
    seconds: float
    cpu: float
    """CPU seconds of the contender."""
    server_cpu: float
    """CPU seconds of the server meanwhile, in steps of 10 ms."""

    @property
    def rate(self) -> float:
        """How many a second."""
        return self.count / self.seconds

    def cpu_each(self, count: int) -> float:
        """CPU seconds of the contender per `count`."""
        return self.cpu / self.count * count


class Meter:
    """Measures the process that it lives in, from its making to `stop`."""

    def __init__(self, server_pid: int) -> None:
        self._server = server_pid
        self._server_cpu = cpu_of(server_pid)
        self._cpu = _own_cpu()
        self._start = time.perf_counter()

    def stop(self, count: int) -> Measured:
        """Return what was used since the start."""
        return Measured(
            count,
            time.perf_counter() - self._start,
            _own_cpu() - self._cpu,
            cpu_of(self._server) - self._server_cpu,
        )


def contend(module: str, *arguments: str, log: Path) -> Measured:
    """Run a module as a process that prints its `Measured` as JSON; `log` takes its stderr."""
    return contend_for(Measured, module, *arguments, log=log)


def contend_for(kind: type[T], module: str, *arguments: str, log: Path) -> T:
    """Run a module as a process that prints a `kind` as JSON; `log` takes its stderr."""
    with log.open("w", encoding="utf-8") as stderr:
        ended = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            timeout=_LONGEST_SECONDS,
            check=False,
        )
    if ended.returncode:
        raise RuntimeError(f"{module} {arguments[0]} failed:\n{log.read_text('utf-8')[-3000:]}")
    return msgspec.json.decode(ended.stdout, type=kind)


async def fill(client: Client, subject: str, bodies: Iterable[bytes]) -> None:
    """Publish bodies, many in flight, until the server has acknowledged each."""
    waiting = iter(bodies)

    async def publish_some() -> None:
        for body in waiting:
            await jetstream.publish(client, subject, body)

    await asyncio.gather(*(publish_some() for _ in range(_IN_FLIGHT)))


async def messages_in(client: Client, stream: str) -> int:
    """Messages that a stream holds."""
    info = await jetstream.call(client, f"STREAM.INFO.{stream}")
    return int(info["state"]["messages"])


def two_line_job(order_id: str) -> bytes:
    """Return an invoice job as shops send them: an address, two lines, two VAT rates."""
    return json.dumps(_TWO_LINES | {"order_id": order_id}).encode()


def epoch_seconds(time_of_stream: str) -> float:
    """Return a stream's stored time as seconds."""
    return dt.datetime.fromisoformat(time_of_stream).timestamp()


def cpu_of(pid: int) -> float:
    """CPU seconds that a process has used, all its threads, in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    user, system = fields[11:13]
    return (int(user) + int(system)) / _TICKS


def median(runs: Sequence[Measured]) -> Measured:
    """Return the run with the middle rate."""
    return sorted(runs, key=lambda one: one.rate)[len(runs) // 2]


def ratio(ours: Sequence[Measured], theirs: Sequence[Measured]) -> float:
    """How much faster: the median over the rounds of the ratio of the rates of one round."""
    pairs = zip(ours, theirs, strict=True)
    return statistics.median([one.rate / other.rate for one, other in pairs])


def cpu_ratio(ours: Sequence[Measured], theirs: Sequence[Measured]) -> float:
    """How much less CPU each takes, likewise."""
    pairs = zip(ours, theirs, strict=True)
    return statistics.median([other.cpu_each(1) / one.cpu_each(1) for one, other in pairs])


def row(name: str, runs: Sequence[Measured], unit: int) -> None:
    """Print the median run of a contender; CPU per `unit`."""
    middle = median(runs)
    each = f"{unit // 1000}k"
    server = middle.server_cpu / middle.count * unit
    rates = " ".join(f"{one.rate:,.0f}" for one in runs)
    say(
        f"  {name:<22} {middle.rate:>9,.0f}/s   CPU s per {each}: own {middle.cpu_each(unit):6.2f}"
        f"   server {server:6.2f}   rounds: {rates}"
    )


def require(what: str, measured: float, least: float) -> str:
    """Print a ratio beside its target; return words if it was missed, else nothing."""
    words = f"{what}: {measured:.2f} (target at least {least:g})"
    say(f"  {words}")
    return "" if measured >= least else words


def require_below(what: str, measured: float, most: float) -> str:
    """Print a figure beside its limit; return words if it was missed, else nothing."""
    words = f"{what}: {measured:.2f} (target at most {most:g})"
    say(f"  {words}")
    return "" if measured <= most else words


def require_rate(what: str, measured: float, least: float) -> str:
    """Print a rate beside its target; return words if it was missed, else nothing."""
    words = f"{what}: {measured:,.0f} (target at least {least:,.0f})"
    say(f"  {words}")
    return "" if measured >= least else words


def compare(what: str, measured: float) -> None:
    """Print a ratio that has no target."""
    say(f"  {what}: {measured:.2f}")


def _own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
