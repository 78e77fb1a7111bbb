"""How many PDF and XML pairs a core renders, and how long the event loop waits meanwhile.

Run as `python -m tests.bench documents`. CPU time is what counts: on a machine that
others use too, wall time says nothing. The best of several rounds is the least disturbed.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Callable

import msgspec

from services.invoice_worker.documents import Documents, Renderer, render
from services.invoice_worker.documents.cii import cii_xml
from services.invoice_worker.documents.epc_qr import epc_payload, qr_svg
from services.invoice_worker.documents.page import page_of
from services.invoice_worker.documents.ubl import ubl_xml
from shared.contracts.invoices import InvoiceIssued
from tests.bench.__main__ import say
from tests.invoice_facts import contract_job, fact_of

ROUNDS = 60
ROUND = 5
PARALLEL = 200
TARGET = 80
LONGEST_STALL = 0.020


def main() -> None:
    """Print pairs a second a core, the parts, and the longest stall; raise on a missed target."""
    facts = [
        fact_of(contract_job(order_id=f"SO-{n}"), number=n) for n in range(1, ROUNDS * ROUND + 1)
    ]
    render(facts[0])
    rounds = [_cpu_ms(render, facts[n : n + ROUND]) for n in range(0, len(facts), ROUND)]
    best, middle = min(rounds), sorted(rounds)[len(rounds) // 2]
    say(f"pair: {best:.1f} ms CPU at best, {middle:.1f} ms in the middle")
    say(f"pairs a second a core: {1000 / best:.0f} (target {TARGET})")
    some = facts[:ROUND]
    say(f"  cii {_cpu_ms(cii_xml, some):.2f} ms, ubl {_cpu_ms(ubl_xml, some):.2f} ms")
    say(f"  page {_cpu_ms(page_of, some):.2f} ms, of it QR code {_cpu_ms(_qr, some):.2f} ms")
    stall = asyncio.run(_parallel([msgspec.json.encode(fact) for fact in facts]))
    if best > 1000 / TARGET:
        raise AssertionError(f"a pair takes {best:.1f} ms CPU, {1000 / TARGET} are allowed")
    if stall > LONGEST_STALL:
        raise AssertionError(f"the event loop stood still for {stall * 1000:.0f} ms")


async def _parallel(facts: list[bytes]) -> float:
    """Render in processes; return the longest stall of the event loop in seconds."""
    async with Renderer() as renderer:
        await asyncio.gather(*(renderer.render(fact) for fact in facts[: os.cpu_count()]))
        before = resource.getrusage(resource.RUSAGE_SELF)
        start = time.perf_counter()
        work = asyncio.gather(*(renderer.render(facts[n % len(facts)]) for n in range(PARALLEL)))
        stall = await _longest_stall(work)
        seconds = time.perf_counter() - start
    own = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before.ru_utime
    say(f"in parallel: {PARALLEL / seconds:.0f} pairs a second on {os.cpu_count()} cores")
    say(f"  longest stall of the event loop {stall * 1000:.1f} ms, its CPU {own * 1000:.0f} ms")
    return stall


async def _longest_stall(work: asyncio.Future[list[Documents]]) -> float:
    """Return the longest time between two turns of the loop until the work is done."""
    longest = 0.0
    while not work.done():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - before - 0.001)
    return longest


def _cpu_ms(call: Callable[[InvoiceIssued], object], facts: list[InvoiceIssued]) -> float:
    start = time.process_time()
    for fact in facts:
        call(fact)
    return (time.process_time() - start) / len(facts) * 1000


def _qr(fact: InvoiceIssued) -> str:
    return qr_svg(epc_payload(fact) or "")


if __name__ == "__main__":
    main()
