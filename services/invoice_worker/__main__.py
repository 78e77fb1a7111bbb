"""The invoice worker, put together. Start it with `python -m services.invoice_worker`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from nats.js.object_store import ObjectStore

from services.invoice_worker import issuing, rendering
from services.invoice_worker.documents import Renderer
from services.invoice_worker.domain import Sellers, SellersError
from services.invoice_worker.entry import ENTRY
from services.invoice_worker.exposition import InvoiceCollector
from services.invoice_worker.issuing import Issuer
from services.invoice_worker.ledger import Ledger
from services.invoice_worker.rendering import DocumentsWriter
from services.invoice_worker.settings import InvoiceSettings
from services.invoice_worker.topology import INVOICE_DOCUMENTS, SERVICE, topology
from shared.broker import Broker
from shared.metrics import WorkerCollector
from shared.service import Parts, Runtime, load_settings, serve
from shared.work_queue import Backoff, Worker, WorkerPolicy


def main() -> int:
    """Run the service; return its exit code."""
    settings = load_settings(InvoiceSettings)
    try:
        sellers = Sellers.load(Path(settings.sellers) if settings.sellers else None)
    except SellersError as error:
        sys.stderr.write(f"INVOICE_SELLERS: {error}\n")
        return 2
    runtime = Runtime(settings.process, settings.stop_deadline_seconds)
    return serve(
        ENTRY, runtime, lambda broker, provision: build(settings, sellers, broker, provision)
    )


@contextlib.asynccontextmanager
async def build(
    settings: InvoiceSettings,
    sellers: Sellers,
    broker: Broker,
    provision: Callable[[], Awaitable[None]],
) -> AsyncIterator[Parts]:
    """Put the parts together: the worker that issues, the one that renders."""
    issue, render = topology(settings.queue).durables
    ledger = Ledger(broker.client, settings.group_commit)
    issuer = Issuer(sellers, ledger)
    issuing_worker = Worker(
        broker,
        issue,
        _policy(settings, settings.concurrency, prefetch=settings.concurrency),
        service=SERVICE,
        decode=issuing.decode,
        handler=issuer.handle,
        restore=provision,
    )
    workers: dict[str, Worker[issuing.SellersJob] | Worker[rendering.Fact]] = {
        "issue": issuing_worker
    }
    async with contextlib.AsyncExitStack() as stack:
        if settings.render_processes:
            renderer = await stack.enter_async_context(Renderer(settings.render_processes))
            # Not `object_store`: that asks the server, which may be gone just now.
            bucket = ObjectStore(
                INVOICE_DOCUMENTS.name, f"OBJ_{INVOICE_DOCUMENTS.name}", broker.client.jetstream()
            )
            workers["render"] = Worker(
                broker,
                render,
                _policy(settings, settings.render_processes * 2, prefetch=0),
                service=SERVICE,
                decode=rendering.decode,
                handler=DocumentsWriter(broker, bucket, renderer).handle,
                restore=provision,
            )
        group = await stack.enter_async_context(asyncio.TaskGroup())
        commits = group.create_task(ledger.run())
        yield Parts(
            units=dict(workers),
            collectors=[
                WorkerCollector(list(workers.values())),
                InvoiceCollector(ledger, issuer),
            ],
            status=lambda: {name: dict(one.stats.outcomes) for name, one in workers.items()},
        )
        commits.cancel()


def _policy(settings: InvoiceSettings, concurrency: int, prefetch: int) -> WorkerPolicy:
    return WorkerPolicy(
        concurrency=concurrency,
        prefetch=prefetch,
        max_attempts=settings.max_attempts,
        handler_timeout_seconds=settings.handler_timeout_seconds,
        backoff=Backoff(first_seconds=settings.retry_first_seconds),
        confirmed_acks=False,  # the done records recognise a repeated delivery
    )


if __name__ == "__main__":
    sys.exit(main())
