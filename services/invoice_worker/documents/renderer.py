"""Rendering in parallel: a pool of processes beside the event loop.

typst works without the interpreter's lock, the rest of a rendering does not; in threads it
would hold up the loop, and a crash in native code would take the worker with it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Self

import msgspec

from services.invoice_worker.documents.render import Documents, render
from shared.contracts.invoices import InvoiceIssued

_NICENESS = 5


class RendererDiedError(Exception):
    """A rendering process ended while this document waited for it; the next call finds another."""


class Renderer:
    """Renders facts in processes of its own, `processes` at a time (default: one a core).

    An async context manager: leaving it lets running renderings end within `grace` seconds,
    then ends the processes. They are deaf to SIGINT and SIGTERM, which a terminal or a
    container sends to the whole group, and end by themselves when their parent is gone.
    """

    def __init__(self, processes: int | None = None, *, grace: float = 5.0) -> None:
        self._processes = processes or os.cpu_count() or 1
        self._grace = grace
        self._pool: ProcessPoolExecutor | None = None

    async def __aenter__(self) -> Self:
        self._pool = self._new_pool()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(_close, pool, self._grace)

    async def render(self, fact_json: bytes) -> Documents:
        """Return the documents of an encoded InvoiceIssued.

        Raises msgspec.DecodeError, UnrenderableError or ValueError for a fact that cannot be
        rendered, RendererDiedError where the process was lost.
        """
        pool = self._pool
        if pool is None:
            raise RuntimeError("the renderer is not open")
        try:
            pdf, xml = await asyncio.wrap_future(_submit(pool, fact_json))
        except BrokenProcessPool as broken:
            self._replace(pool)
            raise RendererDiedError("a rendering process died") from broken
        return Documents(pdf=pdf, xml=xml)

    def _replace(self, broken: ProcessPoolExecutor) -> None:
        """Put a new pool in the broken one's place; all its waiters come here, one does it."""
        if self._pool is broken:
            self._pool = self._new_pool()
            _kill(_processes_of(broken))
            broken.shutdown(wait=False, cancel_futures=True)

    def _new_pool(self) -> ProcessPoolExecutor:
        # Not fork: a copy of a process with threads and open connections may hang.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._processes, mp_context=context, initializer=_begin)


def _submit(pool: ProcessPoolExecutor, fact_json: bytes) -> Future[tuple[bytes, bytes]]:
    """Hand over a fact. Processes that start for it inherit the mask: no signal interrupts them.

    Ignoring the signals once the process runs would be too late for one that comes while
    Python starts, and a traceback would be the answer to Ctrl-C.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        return pool.submit(_render, fact_json)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _close(pool: ProcessPoolExecutor, grace: float) -> None:
    """Wait for running renderings, not for queued ones; after `grace` seconds, kill."""
    killer = threading.Timer(grace, _kill, [_processes_of(pool)])
    killer.start()
    try:
        pool.shutdown(wait=True, cancel_futures=True)
    finally:
        killer.cancel()


def _processes_of(pool: ProcessPoolExecutor) -> list[BaseProcess]:
    return list((pool._processes or {}).values())  # noqa: SLF001 - no public way to them


def _kill(processes: list[BaseProcess]) -> None:
    """End them; the pool itself would send SIGTERM, which they do not hear."""
    for process in processes:
        process.kill()


def _begin() -> None:
    """See in a rendering process that it ends with its parent and stands back for it.

    The event loop must have its turn at once on a machine where every core renders.
    """
    os.nice(_NICENESS)
    # One process a core is parallel enough: typst's own threads would only wait for each other.
    os.environ["RAYON_NUM_THREADS"] = "1"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the pipe that the parent holds open, and end when it is closed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _render(fact_json: bytes) -> tuple[bytes, bytes]:
    documents = render(_decoder().decode(fact_json))
    return documents.pdf, documents.xml


@cache
def _decoder() -> msgspec.json.Decoder[InvoiceIssued]:
    return msgspec.json.Decoder(InvoiceIssued)
