"""Discovery by the NATS service protocol (ADR-32): `nats micro ls | info | stats`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version

import msgspec
from nats import micro
from nats.aio.client import Client
from nats.micro.request import Request

Status = Callable[[], dict[str, object]]


@contextlib.asynccontextmanager
async def announced(
    client: Client, name: str, description: str, status: Status
) -> AsyncIterator[None]:
    """Answer discovery as an instance of service `name` while the context is open.

    `headrace.status.<name>` answers a request with one instance's counters as JSON.
    """

    async def answer(request: Request) -> None:
        await request.respond(msgspec.json.encode(status()))

    service = await micro.add_service(
        client, name=name, version=version("headrace"), description=description
    )
    await service.add_endpoint(name="status", subject=f"headrace.status.{name}", handler=answer)
    try:
        yield
    finally:
        if client.is_connected:
            await service.stop()
