"""Type what a broken partition says that mends it, with the nats CLI."""

from __future__ import annotations

import asyncio
import os
import re
import shlex


async def typed(nats_cli: str, url: str, *arguments: str) -> None:
    """Type a command of the nats CLI; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        nats_cli,
        *arguments,
        env=os.environ | {"NATS_URL": url},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


async def mend(nats_cli: str, url: str, *reasons: str) -> None:
    """Type the commands that the reasons name."""
    for reason in reasons:
        found = re.search("`nats (.+?)`", reason)
        assert found, reason
        await typed(nats_cli, url, *shlex.split(found[1]))
