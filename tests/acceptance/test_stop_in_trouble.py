"""A soft stop ends well, with exit code 0, whatever the server does in that moment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator

import pytest

from tests.eventually import eventually
from tests.metrics_rig import metrics_aggregator
from tests.processes import Process, invoice_worker
from tests.server import Server

SERVICES = [
    pytest.param(invoice_worker, id="invoice_worker"),
    pytest.param(metrics_aggregator, id="metrics_aggregator"),
]

Start = Callable[[str], Process]


@pytest.mark.parametrize("start", SERVICES)
async def test_while_the_server_is_silent(own_server: Server, start: Start) -> None:
    with start(own_server.url) as service:
        await service.started()
        with frozen(own_server):
            service.terminate()
            await service.stopped()


@pytest.mark.parametrize("start", SERVICES)
async def test_as_the_server_dies(own_server: Server, start: Start) -> None:
    with start(own_server.url) as service:
        await service.started()
        service.terminate()
        await asyncio.to_thread(own_server.kill)
        await service.stopped()


@pytest.mark.parametrize("start", SERVICES)
async def test_while_the_server_is_gone(own_server: Server, start: Start) -> None:
    with start(own_server.url) as service:
        await service.started()
        await asyncio.to_thread(own_server.kill)
        await eventually(lambda: service.events("broker lost"))
        service.terminate()
        await service.stopped()


@pytest.mark.parametrize("start", SERVICES)
async def test_as_the_server_is_back(own_server: Server, start: Start) -> None:
    with start(own_server.url) as service:
        await service.started()
        await asyncio.to_thread(own_server.kill)
        await eventually(lambda: service.events("broker lost"))
        await asyncio.to_thread(own_server.start)
        await eventually(lambda: service.events("broker found again"))
        service.terminate()
        await service.stopped()


@pytest.mark.parametrize("start", SERVICES)
async def test_during_the_start_as_the_server_dies(own_server: Server, start: Start) -> None:
    with start(own_server.url) as service:
        await eventually(lambda: service.events("broker connected"), 30)
        await asyncio.to_thread(own_server.kill)
        await eventually(lambda: service.events("broker lost"))
        service.terminate()
        await service.stopped()


@contextlib.contextmanager
def frozen(server: Server) -> Iterator[None]:
    """Stop the server in the midst of things: it holds its connections, and answers nothing."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)
