"""Discovery by the NATS service protocol (ADR-32): `nats micro ls | info | stats`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version

import msgspec
from nats.aio.client import Client
from nats.micro.request import Request
from nats.micro.service import Service, ServiceConfig

from shared.jetstream import BROKER_ERRORS
from shared.logs import logger

_log = logger("discovery")

_JOIN_SECONDS = 3.0
_LEAVE_SECONDS = 1.0

Status = Callable[[], dict[str, object]]


@contextlib.asynccontextmanager
async def announced(
    client: Client, name: str, description: str, status: Status
) -> AsyncIterator[None]:
    """Answer discovery as an instance of service `name` while the context is open.

    `headrace.status.<name>` answers a request with one instance's counters as JSON,
    `headrace.instances.<name>` with those of every instance, a message each.
    """

    async def answer(request: Request) -> None:
        await request.respond(msgspec.json.encode(status()))

    service = Service(
        client, ServiceConfig(name=name, version=version("headrace"), description=description)
    )
    await _join(service)
    await service.add_endpoint(name="status", subject=f"headrace.status.{name}", handler=answer)
    await service.add_endpoint(  # a queue group of its own: so each instance answers
        name="instance",
        subject=f"headrace.instances.{name}",
        handler=answer,
        queue_group=service.id,
    )
    try:
        yield
    finally:
        if client.is_connected:
            await _leave(service)


async def _join(service: Service) -> None:
    """Subscribe. Where the server dies meanwhile, nats-py subscribes again with the next one."""
    try:
        async with asyncio.timeout(_JOIN_SECONDS):
            await service.start()
    except BROKER_ERRORS as error:
        _log.warning("discovery not confirmed", error=str(error) or repr(error))


async def _leave(service: Service) -> None:
    """Answer no more. The connection ends soon in any case, so nothing here may fail a stop.

    For each of its subscriptions nats-py waits for an answer of the server: ten seconds, and
    then raises, where that has just died.
    """
    try:
        async with asyncio.timeout(_LEAVE_SECONDS):
            await service.stop()
    except BROKER_ERRORS as error:
        _log.warning("discovery not left", error=str(error) or repr(error))
