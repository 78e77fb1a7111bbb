"""Run the installed `headrace` script as a user would, as a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

SCRIPT = Path(sys.executable).with_name("headrace")


class Finished(Struct, frozen=True):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment with `variables`, and none that the CLI would read."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(
            ("NATS_", "STREAM_", "LOG_", "HTTP_", "PORT", "INVOICE_", "METRICS_", "FRAUD_")
        )
    }
    return own | {"COLUMNS": "200"} | variables


async def headrace(
    *arguments: str, url: str = "", env: Mapping[str, str] | None = None, seconds: float = 60
) -> Finished:
    """Run `headrace` with the server at `url`; fails after `seconds`."""
    variables = dict(env or {}) | ({"NATS_URL": url} if url else {})
    process = await asyncio.create_subprocess_exec(
        SCRIPT,
        *arguments,
        env=environment(**variables),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return Finished(process.returncode or 0, out.decode(), err.decode())
