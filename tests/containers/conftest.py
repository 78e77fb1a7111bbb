"""One project of compose for the tests that share it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator

import nats
import pytest
from nats.aio.client import Client

from tests.containers.stack import Stack, running


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """All services, each once, with a queue that soon gives up on the dead."""
    project = f"headrace-{secrets.token_hex(3)}"
    with running(project, INVOICE_ACK_WAIT_SECONDS="5", METRICS_PARTITIONS="4") as started:
        yield started


@pytest.fixture
async def stack_client(stack: Stack) -> AsyncIterator[Client]:
    """A connection to the project's server that outlives its restarts."""
    connection = await nats.connect(stack.url, max_reconnect_attempts=-1)
    yield connection
    await connection.close()
