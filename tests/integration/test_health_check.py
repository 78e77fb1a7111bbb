"""The health check of the images tells by its exit code whether a service lives."""

from __future__ import annotations

import asyncio
import sys

from prometheus_client import CollectorRegistry

from shared.health import served
from tests.headrace import environment
from tests.processes import free_ports


async def checked(port: str) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "shared.health_check",
        env=environment(HTTP_PORT=port),
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await process.wait()


async def test_who_lives_is_healthy_ready_or_not_and_who_does_not_answer_is_not() -> None:
    (port,) = free_ports(1)
    assert await checked(str(port)) == 1
    async with served(port, CollectorRegistry(), lambda: ["the server is away"]):
        assert await checked(str(port)) == 0
    assert await checked(str(port)) == 1


async def test_without_a_port_there_is_nothing_to_ask() -> None:
    assert await checked("0") == 0
    assert await checked("") == 0
