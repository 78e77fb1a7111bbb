"""A service that is nothing but one handler on one work queue, put together.

A service of more parts (the invoice worker) composes them itself, see its `__main__`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

from msgspec import Struct

from shared.broker import Broker
from shared.metrics import WorkerCollector
from shared.registry import ServiceEntry
from shared.service import Parts, Runtime, serve
from shared.settings import ProcessSettings
from shared.topology import Durable
from shared.work_queue import Decoder, Handler, Worker, WorkerPolicy

T = TypeVar("T")

_STOP_DEADLINE_SECONDS = 25.0


class QueueService(Struct, Generic[T], frozen=True):
    """Entry, durable and policy of a queue service, its decoder and its handler."""

    entry: ServiceEntry
    durable: Durable
    policy: WorkerPolicy
    decode: Decoder[T]
    handler: Handler[T]
    stop_deadline_seconds: float = _STOP_DEADLINE_SECONDS


def serve_queue(service: QueueService[T], process: ProcessSettings) -> int:
    """Run the service until it is told to stop; return the exit code (see `shared.service`)."""
    runtime = Runtime(process, service.stop_deadline_seconds)
    return serve(service.entry, runtime, lambda broker, again: _build(service, broker, again))


@contextlib.asynccontextmanager
async def _build(
    service: QueueService[T], broker: Broker, provision: Callable[[], Awaitable[None]]
) -> AsyncIterator[Parts]:
    worker = Worker(
        broker,
        service.durable,
        service.policy,
        service=service.entry.name,
        decode=service.decode,
        handler=service.handler,
        restore=provision,
    )
    yield Parts(
        units={"work": worker},
        collectors=[WorkerCollector([worker])],
        status=lambda: {"work": dict(worker.stats.outcomes)},
    )
